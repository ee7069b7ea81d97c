"""Hides the warnings of libraries, also from several threads at once."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

# The filters belong to the whole process: while one thread hides warnings, another may have one of
# ours to show.
_OF_OTHERS = r"(?!gradcam_cli\b)"


class _Hiding:
    """The filters of the process, from the first thread that changes them to the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._kept = contextlib.ExitStack()

    def begin(self) -> None:
        with self._lock:
            if not self._number:
                self._kept.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=_OF_OTHERS)
            self._number += 1

    def end(self) -> None:
        with self._lock:
            self._number -= 1
            if not self._number:
                self._kept.close()


_HIDING = _Hiding()


@contextlib.contextmanager
def library_warnings_hidden() -> Iterator[None]:
    """Hides warnings in a context, except those that are raised for code of this package.

    `warnings.catch_warnings` alone must not be used in threads: each would put back the filters
    that it found, and these may be those of another.
    """
    _HIDING.begin()
    try:
        yield
    finally:
        _HIDING.end()
