"""Gives memory that isn't needed any more back to the system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def return_freed_memory() -> None:
    """Returns what was freed since the last call, where the C library is glibc.

    It keeps freed blocks for the next request by itself. Blocks of many sizes, as pictures of
    many sizes need them, leave gaps that hardly anything fits into: a tenth of the process.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    # Windows has no library of the whole process.
    except TypeError:
        return None
