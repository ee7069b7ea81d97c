"""Reads what the containers of videos say, without decoding anything.

The containers are MP4 and QuickTime (ISO/IEC 14496-12), Matroska and WebM (RFC 9559) and AVI.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi"})
MP4, MATROSKA, AVI = "mp4", "matroska", "avi"
# The kinds of the first box of a file.
_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT, _TAGS, _CLUSTER = 0x18538067, 0x1254C367, 0x1F43B675
# A hostile file may consist of millions of empty boxes.
_MOST_BOXES = 100_000
# In bytes.
_LONGEST_TEXTS = 65536


def container_of(file: IO[bytes]) -> str | None:
    """Returns the kind of a file's container by its first bytes; None if it isn't a video.

    Args:
        file: The file, which can seek.
    """
    file.seek(0)
    start = file.read(12)
    if start[4:8] in _FIRST_BOXES:
        return MP4
    if start.startswith(_EBML):
        return MATROSKA
    return AVI if start[:4] == b"RIFF" and start[8:] == b"AVI " else None


def is_cut_off(file: IO[bytes]) -> bool:
    """Returns whether a file ends before the place where its container says that it ends.

    Args:
        file: A video, which can seek.
    """
    kind = container_of(file)
    end = 0
    if kind == MP4:
        end = max((stop for _, _, stop in _boxes(file, 0, _size(file))), default=0)
    elif kind == AVI:
        file.seek(4)
        end = 8 + int.from_bytes(file.read(4), "little")
    elif kind == MATROSKA:
        end = max((stop for _, _, stop in _elements(file, 0, _size(file))), default=0)
    return end > _size(file)


def texts_of(file: IO[bytes]) -> bytes:
    """Returns the part of a video that holds its texts, such as its title and comment.

    Args:
        file: The file, which can seek.

    Returns:
        Its first bytes, undecoded; empty if it has no such part or isn't a video.
    """
    kind = container_of(file)
    size = _size(file)
    found: tuple[int, int] | None = None
    if kind == MP4:
        movie = _first(_boxes(file, 0, size), b"moov")
        found = movie and _first(_boxes(file, movie[0], min(movie[1], size)), b"udta")
    elif kind == AVI:
        found = _first(_chunks(file, 12, size), b"INFO")
    elif kind == MATROSKA:
        segment = _first(_elements(file, 0, size), _SEGMENT)
        found = segment and _first(_elements(file, segment[0], min(segment[1], size)), _TAGS)
    if found is None:
        return b""
    file.seek(found[0])
    return file.read(min(found[1] - found[0], _LONGEST_TEXTS))


def _size(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)


def _first(parts: Iterator[tuple[object, int, int]], name: object) -> tuple[int, int] | None:
    return next(((start, stop) for own, start, stop in parts if own == name), None)


def _boxes(file: IO[bytes], start: int, end: int) -> Iterator[tuple[object, int, int]]:
    """Yields the kinds of MP4 boxes, where their content starts, and where they end."""
    for _ in range(_MOST_BOXES):
        if start >= end:
            return
        file.seek(start)
        header = file.read(8)
        if len(header) < 8:
            return
        length, kind = struct.unpack(">I4s", header)
        inside = start + 8
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
            inside += 8
        elif length == 0:
            length = end - start
        if start + length < inside:
            return
        yield kind, inside, start + length
        start += length


def _chunks(file: IO[bytes], start: int, end: int) -> Iterator[tuple[object, int, int]]:
    """Yields the kinds of AVI chunks before the frames, where they start, and where they end."""
    for _ in range(_MOST_BOXES):
        if start >= end:
            return
        file.seek(start)
        header = file.read(12)
        if len(header) < 12:
            return
        kind, length, kind_of_list = struct.unpack("<4sI4s", header)
        if kind_of_list == b"movi":
            return
        is_list = kind == b"LIST"
        yield kind_of_list if is_list else kind, start + (12 if is_list else 8), start + 8 + length
        # Chunks begin at even places.
        start += 8 + length + length % 2


def _elements(file: IO[bytes], start: int, end: int) -> Iterator[tuple[object, int, int]]:
    """Yields the ids of Matroska elements before the frames, their starts, and their ends."""
    for _ in range(_MOST_BOXES):
        if start >= end:
            return
        file.seek(start)
        header = file.read(12)
        if not header:
            return
        id_length = _number_length(header[0])
        if id_length > 4 or len(header) <= id_length:
            return
        number = int.from_bytes(header[:id_length], "big")
        size_length = _number_length(header[id_length])
        inside = start + id_length + size_length
        if size_length > 8 or number == _CLUSTER:
            return
        length = int.from_bytes(header[id_length : id_length + size_length], "big")
        length &= (1 << 7 * size_length) - 1
        # All ones stand for a length that wasn't known when it was written.
        stop = end if length == (1 << 7 * size_length) - 1 else inside + length
        yield number, inside, stop
        start = stop


def _number_length(first: int) -> int:
    """Returns the length of an EBML number by its first byte, in bytes; 9 if it is invalid."""
    return 9 - first.bit_length()
