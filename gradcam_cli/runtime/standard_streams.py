"""Standard input, output and error: there from the start, and told of when they fail."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Literal, TextIO

from gradcam_cli.errors import OutputError, ReaderGoneError, reason

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STANDARD = range(3)


def prepare_standard_streams() -> None:
    """Opens the standard streams that are closed, and has failures of the others told.

    A closed one (``>&-``) leaves its number to the next file that is opened, a picture maybe,
    and what is written to the stream would go there. It becomes the null device instead.

    From then on writing to standard output raises `OutputError`, or `ReaderGoneError` where a
    pipe has lost its reader. Standard error fails silently: there is nobody left to tell, and
    the results matter more. So does standard output on a terminal that was closed.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free. Child processes have to find it, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or _null("r")
    sys.stdout = _checked(sys.stdout, "standard output") if sys.stdout else _null("w")
    sys.stderr = _checked(sys.stderr, None) if sys.stderr else _null("w")


def _null(mode: Literal["r", "w"]) -> TextIO:
    return open(os.devnull, mode, encoding="utf-8")


def _checked(stream: TextIO, name: str | None) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    # Python leaves out the buffer if it is told to (-u).
    raw: io.RawIOBase = getattr(stream.buffer, "raw", stream.buffer)  # type: ignore[assignment]
    return io.TextIOWrapper(
        io.BufferedWriter(_CheckedOutput(raw, name)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _CheckedOutput(io.RawIOBase):
    """Writes to a stream, and turns its failures into errors of ours or into nothing."""

    def __init__(self, raw: io.RawIOBase, name: str | None) -> None:
        """Takes over a stream.

        Args:
            raw: The stream.
            name: What messages call it; None to ignore failures.
        """
        self._raw = raw
        self._name = name
        # A terminal that was closed doesn't count as one any more.
        self._is_terminal = raw.isatty()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, data: ReadableBuffer) -> int | None:
        try:
            return self._raw.write(data)
        except OSError as error:
            if self._name is None or (self._is_terminal and error.errno == errno.EIO):
                return memoryview(data).nbytes
            if isinstance(error, BrokenPipeError):
                raise ReaderGoneError(f"{self._name}: nobody reads it any more") from error
            raise OutputError(f"{self._name}: cannot be written ({reason(error)})") from error
