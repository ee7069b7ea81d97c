"""Reads text that a user was given, in bounded memory whatever it turns out to be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_MEGABYTE = 1_000_000
_BEGINNING = 4096
_LONGEST_LINE = 1_000_000
_NO_TEXT = "it is no text in UTF-8, but a binary file"


def read_small_file(path: Path, megabytes: int) -> bytes:
    """Reads a file that has no reason to be large.

    Args:
        path: The file.
        megabytes: How many 10^6 bytes it may have.

    Raises:
        ValueError: It has more.
        OSError: It can't be read.
    """
    limit = megabytes * _MEGABYTE
    with path.open("rb") as file:
        is_large = os.fstat(file.fileno()).st_size > limit
        # A pipe tells no size before it is read.
        content = b"" if is_large else file.read(limit + 1)
    if is_large or len(content) > limit:
        raise ValueError(f"it has more than {megabytes} MB")
    return content


def read_small_text(path: Path, megabytes: int) -> str:
    """Reads a text file that has no reason to be large.

    Args:
        path: The file: UTF-8, with a byte order mark or without.
        megabytes: How many 10^6 bytes it may have.

    Raises:
        ValueError: It has more, or isn't such text.
        OSError: It can't be read.
    """
    content = read_small_file(path, megabytes)
    if b"\0" in content[:_BEGINNING]:
        raise ValueError(_NO_TEXT)
    return content.decode("utf-8-sig")


def bounded_lines(file: IO[str]) -> Iterator[str]:
    """Gives the lines of a text file of any length.

    Args:
        file: What is open for reading.

    Yields:
        Each line with its end.

    Raises:
        ValueError: It isn't text, or a line is longer than any that means something.
    """
    while line := file.readline(_LONGEST_LINE):
        if "\0" in line:
            raise ValueError(_NO_TEXT)
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"a line has {_LONGEST_LINE:,} characters or more")
        yield line
