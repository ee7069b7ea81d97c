"""Hides from the terminal what libraries write to standard error."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2


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
