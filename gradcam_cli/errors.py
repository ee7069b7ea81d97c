"""Every error that a user can meet, as a class.

Each message is one line for the user: what went wrong, with which file or option, and what to
do next. Details below it list the choices. The command line prints both without a traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence

# Some libraries quote their whole input in an error.
_LONGEST_REASON = 300
# TensorFlow's message follows a stack trace and the name of the node.
_FAILED_NODE = re.compile(r"^Node: '(?P<node>[^']+)'\n(?P<why>.+)$", re.MULTILINE)
# Fits on a small terminal together with the command.
_MOST_DETAILS = 20


class Terminated(KeyboardInterrupt):
    """The command was asked to end (SIGTERM)."""


class HungUp(KeyboardInterrupt):
    """The terminal of the command was closed (SIGHUP)."""


# The word for each, and its exit code by the shells' convention: 128 plus the signal's number.
_INTERRUPTIONS = {
    KeyboardInterrupt: ("Interrupted", 130),
    Terminated: ("Terminated", 143),
    HungUp: ("Hung up", 129),
}


def describe_interruption(error: KeyboardInterrupt) -> tuple[str, int]:
    """Returns a short description of what ended the command, and the exit code for it."""
    return _INTERRUPTIONS.get(type(error), _INTERRUPTIONS[KeyboardInterrupt])


class GradcamError(Exception):
    """Base class of the errors that `gradcam_cli` raises on purpose (exit code 1).

    Attributes:
        message: One line.
        details: Further lines; usually none.
    """

    exit_code = 1

    def __init__(self, message: str = "", details: Sequence[str] = ()) -> None:
        """Sets the text for the user.

        Args:
            message: One line.
            details: Further lines, such as the classes that match a name.
        """
        super().__init__(message)
        self.message = message
        self.details = tuple(details)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {line}" for line in self.first_details())])

    def first_details(self, number: int = _MOST_DETAILS) -> list[str]:
        """Returns the first details, followed by a line that counts the rest.

        Args:
            number: The maximum number of details, not counting that line.
        """
        more = len(self.details) - number
        return [*self.details[:number], *([f"and {more:,} more"] if more > 0 else [])]


def reason(error: BaseException) -> str:
    """Returns the reason for another library's error in one line of limited length."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    failed = _FAILED_NODE.search(text)
    if failed is not None:
        text = f"{failed['why']} (at the node {failed['node']})"
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"


def suggestion(
    name: str,
    known: Iterable[str],
    *,
    likeness: float = 0.6,
    spelling: Callable[[str], str] = str,
) -> str:
    """Suggests known names for a misspelt one, as the end of an error message.

    Args:
        name: The name that was given.
        known: The names that exist.
        likeness: The similarity that a suggestion needs at least, 0 to 1.
        spelling: Converts a name to the form that is compared.

    Returns:
        "; did you mean ...?" with up to three names, the closest first; "" if none is close.
    """
    spelt = {spelling(one): one for one in known}
    close = difflib.get_close_matches(spelling(name), spelt, n=3, cutoff=likeness)
    names = [spelt[one] for one in close]
    return f"; did you mean {' or '.join(names)}?" if names else ""


class GradcamWarning(UserWarning):
    """Something may not be as the user means it, but the work goes on.

    The message is one line. The command prints it as "Warning: ...".
    """


class SharedWarning(GradcamWarning):
    """Something that is usually the same for all files of a folder.

    The command prints only the first warning of each subclass.
    """


class FirstPictureWarning(SharedWarning):
    """A file holds several pictures, of which only the first is used."""


class DarkPictureWarning(SharedWarning):
    """A picture uses so little of its range of values that a network gets it nearly black."""


class UsageError(GradcamError):
    """An option or argument is invalid (exit code 2)."""

    exit_code = 2


def unreadable(what: str, error: Exception) -> UsageError:
    """Makes the error for a file that can't be read, with the same words for every option.

    Args:
        what: The option and the file, such as ``--labels names.txt``.
        error: The cause.

    Returns:
        The error to raise.
    """
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return UsageError(f"{what}: there is no such file")
    return UsageError(f"{what}: cannot be read ({reason(error)})")


class MissingExtraError(GradcamError):
    """A package that only some users need isn't installed."""


class ImageError(GradcamError):
    """A picture can't be read: it is missing, truncated, far too large or not a picture."""


class InputValueError(GradcamError):
    """The value of a model's other input is missing or can't be used."""


class OutputError(GradcamError):
    """A result can't be written."""


class ReaderGoneError(GradcamError):
    """The reader of standard output has stopped reading, as ``| head -1`` does.

    No message is printed. The exit code is that of a program that SIGPIPE ended.
    """

    exit_code = 141


class OutOfMemoryError(GradcamError):
    """There isn't enough memory to run the network on a single picture."""


class PredictionError(GradcamError):
    """A network's prediction for a picture is NaN or infinite."""


class StorageError(GradcamError):
    """A store can't be accessed: there is no network, no permission or no such bucket."""


class ClusterError(GradcamError):
    """A cluster can't be reached, or its workers fail."""


class CheckpointError(GradcamError):
    """A weights file can't be read, or contains more than tensors."""


class WeightsError(GradcamError):
    """The weights of a model can't be obtained, or don't belong to that model."""


class UnknownModelError(UsageError):
    """No model has the given name."""


class UnknownLayerError(UsageError):
    """The model has no layer with the given name or index."""


class UnusableLayerError(UsageError):
    """The layer exists, but can't be explained."""


class UnknownClassError(UsageError):
    """The given name or index matches no class, or more than one."""


class UnsupportedModelError(UsageError):
    """The model isn't an image classifier that can be explained."""


class ModelFileError(GradcamError):
    """A model file can't be read, or isn't complete."""


class UnsafeModelError(GradcamError):
    """A model contains or needs code, and the user didn't allow it to run."""


class LabelsError(UsageError):
    """The class names can't be read, or don't match the model."""


class TruthError(GradcamError):
    """The true class of a picture isn't known."""


class AnnotationError(GradcamError):
    """A picture has no annotation of its objects, or one that can't be read."""
