"""Reads text files with bounded memory, whatever they contain and in whatever encoding.

Text is UTF-8, or UTF-16 with a byte order mark. Other text is read as Windows-1252, which most
spreadsheets and editors on Windows write, and a warning quotes what was read.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from gradcam_cli.errors import GradcamWarning

LFS_POINTER = "is a Git LFS pointer, not the file itself; run 'git lfs pull' in its repository"
_LFS_START = b"version https://git-lfs.github.com/spec/"
_MEGABYTE = 1_000_000
_BEGINNING = 4096
_LONGEST_LINE = 1_000_000
_LONGEST_QUOTE = 30
_NO_TEXT = "it is a binary file, not UTF-8 text"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UNMARKED_UTF_16 = re.compile(rb"(?:[^\0]\0){2}|(?:\0[^\0]){2}")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_ESCAPED = re.compile(r"[\udc80-\udcff]")


def is_lfs_pointer(start: bytes) -> bool:
    """Returns whether a file is what Git LFS leaves where it hasn't downloaded the file.

    Args:
        start: The first 40 bytes of the file, or more.
    """
    return start.startswith(_LFS_START)


def starts_as_lfs_pointer(path: Path) -> bool:
    """Returns whether a path is that of a Git LFS pointer; False if it can't be read."""
    # A pipe would wait for a writer.
    if not os.path.isfile(path):
        return False
    try:
        with path.open("rb") as file:
            return is_lfs_pointer(file.read(len(_LFS_START)))
    except OSError:
        return False


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


def read_small_text(path: Path, megabytes: int, name: str) -> str:
    """Reads a text file that should be small.

    Args:
        path: The file.
        megabytes: The largest size, in 10^6 bytes.
        name: The file for the user, at the beginning of a warning: "--labels names.txt".

    Raises:
        ValueError: The file is larger, or isn't text.
        OSError: The file can't be read.
    """
    content = read_small_file(path, megabytes)
    encoding = _encoding(content)
    if encoding == "utf-16":
        return content.decode(encoding)
    if b"\0" in content[:_BEGINNING]:
        raise ValueError(_NO_TEXT)
    return OtherText(name).read(content.decode(encoding, "surrogateescape"))


def bounded_lines(file: IO[bytes]) -> Iterator[str]:
    """Yields the lines of a text file of any length.

    Args:
        file: The file, open for reading.

    Yields:
        Each line with its end. Bytes that aren't UTF-8 are surrogate escapes; see `OtherText`.

    Raises:
        ValueError: The file isn't text, or a line is too long.
    """
    raw: Any = file
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
    text = io.TextIOWrapper(
        buffered, _encoding(buffered.peek(_BEGINNING)), "surrogateescape", newline=""
    )
    try:
        while line := text.readline(_LONGEST_LINE):
            if "\0" in line:
                raise ValueError(_NO_TEXT)
            if len(line) == _LONGEST_LINE:
                raise ValueError(f"a line has {_LONGEST_LINE:,} characters or more")
            yield line
    finally:
        # Otherwise the file would be closed together with the wrapper.
        with contextlib.suppress(ValueError):
            text.detach()


class OtherText:
    """Reads text that isn't UTF-8 as Windows-1252, with one warning for each file."""

    def __init__(self, name: str) -> None:
        """Takes the name of the file.

        Args:
            name: The file for the user, at the beginning of the warning: "--labels names.txt".
        """
        self._name = name
        self._has_warned = False

    def read(self, text: str) -> str:
        """Reads a text, or a part of one.

        Args:
            text: Text in which bytes that aren't UTF-8 are surrogate escapes.

        Returns:
            The same text if it has no such bytes; otherwise all of it as Windows-1252.

        Raises:
            ValueError: It isn't Windows-1252 either.
        """
        first = _ESCAPED.search(text)
        if first is None:
            return text
        content = text.encode("utf-8", "surrogateescape")
        try:
            decoded = content.decode("cp1252")
        except UnicodeDecodeError:
            raise ValueError(
                "it is neither UTF-8 nor Windows-1252 text; save it as UTF-8"
            ) from None
        if _CONTROL.search(decoded):
            raise ValueError(_NO_TEXT)
        if not self._has_warned:
            self._has_warned = True
            quote = _word_at(decoded, len(text[: first.start()].encode("utf-8")))
            warnings.warn(
                f"{self._name}: is not UTF-8; read as Windows-1252 ({quote!r}); if that is wrong, "
                f"save it as UTF-8",
                GradcamWarning,
                stacklevel=3,
            )
        return decoded


def spellings(name: str) -> list[str]:
    """Lists how a file's name in a list may be meant: as the exact bytes, and as Windows-1252.

    Args:
        name: The name, in which bytes that aren't UTF-8 are surrogate escapes.
    """
    if _ESCAPED.search(name) is None:
        return [name]
    try:
        return [name, name.encode("utf-8", "surrogateescape").decode("cp1252")]
    except UnicodeDecodeError:
        return [name]


def _encoding(start: bytes) -> str:
    """Determines how to decode a file.

    Args:
        start: Its first bytes.

    Raises:
        ValueError: It isn't text, or in an encoding that isn't read.
    """
    if is_lfs_pointer(start):
        raise ValueError(f"it {LFS_POINTER}")
    if start[:2] in _UTF_16_MARKS:
        return "utf-16"
    if _UNMARKED_UTF_16.match(start):
        raise ValueError("it is UTF-16 without a byte order mark; save it as UTF-8")
    return "utf-8-sig"


def _word_at(text: str, place: int) -> str:
    """Returns the line around a place in a text, at most some words of it."""
    before, after = text[:place], text[place:]
    line = re.split(r"[\r\n]", before)[-1][-_LONGEST_QUOTE // 2 :]
    return (line + re.split(r"[\r\n]", after)[0])[:_LONGEST_QUOTE].strip()
