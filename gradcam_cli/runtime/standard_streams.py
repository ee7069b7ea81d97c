"""Makes sure that the standard streams exist, and that their failures are reported."""

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
    """Opens closed standard streams, and makes failures of the others raise our errors.

    The number of a closed stream (``>&-``) would go to the next opened file, maybe a picture, and
    output for the stream would be written to that file. So a closed stream becomes the null
    device.

    Afterwards, writing to standard output raises `OutputError`, or `ReaderGoneError` if a pipe
    has lost its reader. Standard error fails silently, because its errors can't be reported
    anywhere and the results matter more. The same holds for standard output on a closed terminal.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest free number, which is this one. Child processes inherit it.
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
    # With the option -u, Python doesn't use a buffer.
    raw: io.RawIOBase = getattr(stream.buffer, "raw", stream.buffer)  # type: ignore[assignment]
    return io.TextIOWrapper(
        io.BufferedWriter(_CheckedOutput(raw, name)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _CheckedOutput(io.RawIOBase):
    """Writes to a stream, and converts its failures to our errors or ignores them."""

    def __init__(self, raw: io.RawIOBase, name: str | None) -> None:
        """Wraps a stream.

        Args:
            raw: The stream.
            name: The stream's name in messages; None to ignore failures.
        """
        self._raw = raw
        self._name = name
        # Checked now, because a closed terminal no longer counts as a terminal.
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
