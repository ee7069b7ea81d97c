"""Keeps what libraries write to standard error from the user's terminal."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2
_SEVERITIES = b"IWEF"
# As Abseil begins them and TensorFlow did before, and the rest of one that has two lines.
_LOG_LINE = re.compile(
    rb"([IWEF])\d{4} [\d:.]+ +\d+ \S+:\d+\] "
    rb"|\d{4}-\d\d-\d\d [\d:.]+: ([IWEF]) \S+:\d+\] "
    rb"|WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|To enable the following instructions: "
)


def separate_stderr() -> None:
    """Parts what Python writes to standard error from what C libraries write there.

    Both go to the same place, until `without_library_messages` drops the one but not the other.
    To be called where the process begins, before anything remembers `sys.stderr`.
    """
    if sys.stderr is None or _muffler.own is not None:
        return
    sys.stderr.flush()
    _muffler.own = _copy_stderr()
    raw = io.FileIO(_muffler.own, "wb", closefd=False)
    stream = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=sys.stderr.encoding,
        errors=sys.stderr.errors,
        line_buffering=True,
    )
    # Rich asks the latter for the terminal's width.
    sys.stderr = sys.__stderr__ = stream  # type: ignore[misc]


@contextmanager
def without_library_messages() -> Iterator[None]:
    """Drops what C libraries write to standard error meanwhile, in this thread or another.

    What Python writes is let through. Where `separate_stderr` wasn't called, as in a program of
    somebody else's, everything is.
    """
    _muffler.begin()
    try:
        yield
    finally:
        _muffler.end()


@contextmanager
def held_back_stderr() -> Iterator[None]:
    """Holds back what is written to standard error, and lets it go if something fails.

    The messages come from C++ before any log level is looked at.
    """
    sys.stderr.flush()
    held = [_STDERR] if _muffler.own is None else [_STDERR, _muffler.own]
    copies = [os.dup(number) for number in held]
    with tempfile.TemporaryFile() as held_back:
        for number in held:
            os.dup2(held_back.fileno(), number)
        try:
            yield
        except Exception:
            sys.stderr.flush()
            held_back.seek(0)
            os.write(copies[0], held_back.read())
            raise
        finally:
            sys.stderr.flush()
            for number, copy in zip(held, copies, strict=True):
                os.dup2(copy, number)
                os.close(copy)


@contextmanager
def without_log_lines(level: int) -> Iterator[None]:
    """Leaves out log lines of TensorFlow's C++ code that are written to standard error.

    All else that this or another thread writes there appears at the end. It works in any program:
    without `separate_stderr`, and in a notebook, where `sys.stderr` isn't the descriptor.

    Args:
        level: As ``TF_CPP_MIN_LOG_LEVEL``: 0 leaves out nothing, 1 information, 2 warnings too,
            3 errors too.
    """
    try:
        copy = os.dup(_STDERR)
    # The program has no standard error.
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        _flush_stderr()
        os.dup2(held_back.fileno(), _STDERR)
        try:
            yield
        finally:
            _flush_stderr()
            os.dup2(copy, _STDERR)
            os.close(copy)
            held_back.seek(0)
            lines = held_back.read().splitlines(keepends=True)
            os.write(_STDERR, b"".join(line for line in lines if _severity(line) >= level))


def _severity(line: bytes) -> int:
    """Returns the lowest level at which a line is still shown."""
    found = _LOG_LINE.match(line)
    if found is None:
        return len(_SEVERITIES)
    return _SEVERITIES.index(found[1] or found[2] or _SEVERITIES[:1])


def _flush_stderr() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


def _copy_stderr() -> int:
    """Copies the descriptor, but not to the number of a standard stream that is closed."""
    copies = [os.dup(_STDERR)]
    while copies[-1] <= _STDERR:
        copies.append(os.dup(_STDERR))
    for number in copies[:-1]:
        os.close(number)
    return copies[-1]


class _Muffler:
    """Leads the descriptor that C libraries write to nowhere, as long as anybody wants it.

    Attributes:
        own: The descriptor that Python writes to instead; None where it is the same.
    """

    def __init__(self) -> None:
        self.own: int | None = None
        self._users = 0
        self._lock = Lock()

    def begin(self) -> None:
        """Counts one more who wants it."""
        with self._lock:
            self._users += 1
            if self.own is not None and self._users == 1:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, _STDERR)
                os.close(nowhere)

    def end(self) -> None:
        """Counts one less."""
        with self._lock:
            self._users -= 1
            if self.own is not None and not self._users:
                os.dup2(self.own, _STDERR)


_muffler = _Muffler()
