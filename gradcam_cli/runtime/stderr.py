"""Keeps what libraries write to standard error from the user's terminal."""

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
