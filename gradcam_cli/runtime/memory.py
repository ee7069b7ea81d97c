"""Returns freed memory to the system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def return_freed_memory() -> None:
    """Returns memory that was freed since the last call, if the C library is glibc.

    glibc keeps freed blocks for later requests. Pictures of many sizes leave gaps that hardly
    anything fits into: about a tenth of the process's memory.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    # Windows can't open the process itself as a library.
    except TypeError:
        return None
