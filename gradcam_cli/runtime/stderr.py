"""Hides from the terminal what libraries write to standard error."""

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
    """Separates Python's output to standard error from that of C libraries.

    Both still go to the same place, until `without_library_messages` drops the latter. It must be
    called at the start of the process, before anything stores `sys.stderr`.
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
    # Rich uses `sys.__stderr__` to get the terminal's width.
    sys.stderr = sys.__stderr__ = stream  # type: ignore[misc]


@contextmanager
def without_library_messages() -> Iterator[None]:
    """Drops what C libraries write to standard error in the meantime, in any thread.

    Python's output isn't dropped. If `separate_stderr` wasn't called, as in other people's
    programs, nothing is dropped.
    """
    _muffler.begin()
    try:
        yield
    finally:
        _muffler.end()


@contextmanager
def held_back_stderr() -> Iterator[None]:
    """Holds back output to standard error, and prints it only if an exception is raised.

    This is needed because C++ libraries print messages before they read any log level.
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
    """Duplicates the descriptor, but not to the number of a closed standard stream."""
    copies = [os.dup(_STDERR)]
    while copies[-1] <= _STDERR:
        copies.append(os.dup(_STDERR))
    for number in copies[:-1]:
        os.close(number)
    return copies[-1]


class _Muffler:
    """Redirects the descriptor of C libraries to the null device while anybody needs it.

    Attributes:
        own: The descriptor that Python uses instead; None if it is the same.
    """

    def __init__(self) -> None:
        self.own: int | None = None
        self._users = 0
        self._lock = Lock()

    def begin(self) -> None:
        """Registers one more user."""
        with self._lock:
            self._users += 1
            if self.own is not None and self._users == 1:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, _STDERR)
                os.close(nowhere)

    def end(self) -> None:
        """Unregisters one user."""
        with self._lock:
            self._users -= 1
            if self.own is not None and not self._users:
                os.dup2(self.own, _STDERR)


_muffler = _Muffler()
