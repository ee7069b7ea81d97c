"""Every failure a user can meet, by name.

The message of each is one line for the user: what went wrong, with which file or
option, and what to do next. Lines below it list what there is to choose from. The command
line prints both without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

# Some libraries quote all that they were given.
_LONGEST_REASON = 300
# As many lines as a small terminal shows, with the command that they answer.
_MOST_DETAILS = 20


class Terminated(KeyboardInterrupt):
    """Somebody asked the command to end (SIGTERM)."""


class HungUp(KeyboardInterrupt):
    """The terminal of the command was closed (SIGHUP)."""


# What each is called, and the exit code by which shells tell it: 128 and the signal's number.
_INTERRUPTIONS = {
    KeyboardInterrupt: ("Interrupted", 130),
    Terminated: ("Terminated", 143),
    HungUp: ("Hung up", 129),
}


def describe_interruption(error: KeyboardInterrupt) -> tuple[str, int]:
    """Says in a word or two what ended the command, and with which exit code."""
    return _INTERRUPTIONS.get(type(error), _INTERRUPTIONS[KeyboardInterrupt])


class GradcamError(Exception):
    """Base of all errors that `gradcam_cli` raises on purpose (exit code 1).

    Attributes:
        message: One line.
        details: What it lists, a line each; mostly nothing.
    """

    exit_code = 1

    def __init__(self, message: str = "", details: Sequence[str] = ()) -> None:
        """Takes what the user is told.

        Args:
            message: One line.
            details: What it lists, as the classes that a name fits.
        """
        super().__init__(message)
        self.message = message
        self.details = tuple(details)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {line}" for line in self.first_details())])

    def first_details(self, number: int = _MOST_DETAILS) -> list[str]:
        """Gives the first lines of the details, and how many there are besides.

        Args:
            number: How many lines there may be before the one that counts the others.
        """
        more = len(self.details) - number
        return [*self.details[:number], *([f"and {more:,} more"] if more > 0 else [])]


def reason(error: BaseException) -> str:
    """Says in one line why something failed, as far as an error of another library tells."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def suggestion(
    name: str,
    known: Iterable[str],
    *,
    likeness: float = 0.6,
    spelling: Callable[[str], str] = str,
) -> str:
    """Names what a misspelt name may have meant, for the message of an error.

    Args:
        name: What was given.
        known: The names that there are.
        likeness: How like it a name must be, 0 to 1.
        spelling: What of a name is compared.

    Returns:
        "; did you mean ...?" with up to three names, the closest first; "" if none is close.
    """
    spelt = {spelling(one): one for one in known}
    close = difflib.get_close_matches(spelling(name), spelt, n=3, cutoff=likeness)
    names = [spelt[one] for one in close]
    return f"; did you mean {' or '.join(names)}?" if names else ""


class UsageError(GradcamError):
    """An option or argument can't be meant as it stands (exit code 2)."""

    exit_code = 2


def unreadable(what: str, error: Exception) -> UsageError:
    """Says in the same words for every option why the file that it names can't be read.

    Args:
        what: The option and the file, as ``--labels names.txt``.
        error: Why.

    Returns:
        The error to raise.
    """
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return UsageError(f"{what}: there is no such file")
    return UsageError(f"{what}: cannot be read ({reason(error)})")


class ImageError(GradcamError):
    """A picture can't be read: missing, not a picture, truncated or far too large."""


class OutputError(GradcamError):
    """A result can't be written."""


class ReaderGoneError(GradcamError):
    """Nobody reads what the command prints any more, as after ``| head -1``.

    That is no failure to be told: the exit code is that of a program that SIGPIPE ended.
    """

    exit_code = 141


class OutOfMemoryError(GradcamError):
    """The network needs more memory for a single picture than there is."""


class StorageError(GradcamError):
    """A store can't be reached or asked: no network, no permission, no such bucket."""


class ClusterError(GradcamError):
    """A cluster can't be reached, or its workers can't do what they were asked."""


class CheckpointError(GradcamError):
    """A weights file isn't what it should be, or holds more than tensors."""


class WeightsError(GradcamError):
    """The weights of a model can't be had, or don't belong to that model."""


class UnknownModelError(UsageError):
    """No model goes by the name that was given."""


class UnknownLayerError(UsageError):
    """The model has no layer by the name or index that was given."""


class UnusableLayerError(UsageError):
    """The layer exists, but no Grad-CAM can be drawn from it."""


class UnknownClassError(UsageError):
    """No class, or more than one, goes by what was given."""


class UnsupportedModelError(UsageError):
    """The model isn't an image classifier of a shape that can be explained."""


class ModelFileError(GradcamError):
    """A file isn't a whole model that can be read."""


class UnsafeModelError(GradcamError):
    """A model holds or needs code of its own, and nobody said that it may run."""


class LabelsError(UsageError):
    """The names of the classes can't be read, or aren't those of the model."""


class TruthError(GradcamError):
    """Nobody says what a picture really shows."""


class AnnotationError(GradcamError):
    """Nobody says where the objects of a picture are, or not in a way that can be read."""
