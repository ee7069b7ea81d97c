"""Reads text files with bounded memory, whatever they contain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_MEGABYTE = 1_000_000
_BEGINNING = 4096
_LONGEST_LINE = 1_000_000
_NO_TEXT = "it is a binary file, not UTF-8 text"


def read_small_file(path: Path, megabytes: int) -> bytes:
    """Reads a file that should be small.

    Args:
        path: The file.
        megabytes: The largest size, in 10^6 bytes.

    Raises:
        ValueError: The file is larger.
        OSError: The file can't be read.
    """
    limit = megabytes * _MEGABYTE
    with path.open("rb") as file:
        is_large = os.fstat(file.fileno()).st_size > limit
        # The size of a pipe isn't known before it is read.
        content = b"" if is_large else file.read(limit + 1)
    if is_large or len(content) > limit:
        raise ValueError(f"it is larger than {megabytes} MB")
    return content


def read_small_text(path: Path, megabytes: int) -> str:
    """Reads a text file that should be small.

    Args:
        path: The file, in UTF-8 with or without a byte order mark.
        megabytes: The largest size, in 10^6 bytes.

    Raises:
        ValueError: The file is larger, or isn't such text.
        OSError: The file can't be read.
    """
    content = read_small_file(path, megabytes)
    if b"\0" in content[:_BEGINNING]:
        raise ValueError(_NO_TEXT)
    return content.decode("utf-8-sig")


def bounded_lines(file: IO[str]) -> Iterator[str]:
    """Yields the lines of a text file of any length.

    Args:
        file: The file, open for reading.

    Yields:
        Each line with its end.

    Raises:
        ValueError: The file isn't text, or a line is too long.
    """
    while line := file.readline(_LONGEST_LINE):
        if "\0" in line:
            raise ValueError(_NO_TEXT)
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"a line has {_LONGEST_LINE:,} characters or more")
        yield line
