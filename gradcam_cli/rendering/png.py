"""Encodes pictures as PNG, several times as fast as image libraries at the same size."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from zlib_ng import zlib_ng

Bytes: TypeAlias = npt.NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS, _RGB = 8, 2
_CHANNELS = 3
# The number of bytes filtered at a time, chosen to stay in a core's cache.
_BYTES_AT_ONCE = 50_000
# A large picture is filtered and compressed in strips of this size, so that memory doesn't
# hold it three times. A few of the strips show what kind of picture it is.
_BYTES_COPIED = 1_000_000
_STRIPS_JUDGED = 4
# Every fourth row is a sufficient sample.
_SAMPLED = 4
# Most adjacent pixels of a drawing are equal. Those of a photograph are nearly equal: they
# differ by at most this.
_NEARLY = 2
_PHOTOGRAPH = (1, zlib.Z_HUFFMAN_ONLY)
_DRAWING = (6, zlib.Z_DEFAULT_STRATEGY)
_MEMORY_LEVEL = zlib.DEF_MEM_LEVEL + 1


def _sub(byte: Bytes, left: Bytes, above: Bytes) -> Bytes:
    return byte - left


def _up(byte: Bytes, left: Bytes, above: Bytes) -> Bytes:
    return byte - above


def _average(byte: Bytes, left: Bytes, above: Bytes) -> Bytes:
    # The mean of two bytes, rounded down, without a ninth bit.
    return byte - ((left & above) + ((left ^ above) >> 1))


# By the filter's number in a PNG file.
_FILTERS = {1: _sub, 2: _up, 3: _average}


def encode_png(
    image: Image.Image,
    chunks: Iterable[tuple[bytes, bytes]] = (),
    icc_profile: bytes | None = None,
) -> bytes:
    """Encodes a picture losslessly (ISO/IEC 15948).

    Filtered photographs have almost no repeats. Searching for repeats would take most of an
    encoder's time without a benefit, because Huffman coding alone makes the file as small.
    Drawings get the full search, which is fast when there are repeats.

    Args:
        image: Mode "RGB".
        chunks: The names and contents of chunks to write before the pixels.
        icc_profile: The picture's colour profile.

    Returns:
        The content of the file.
    """
    file = io.BytesIO()
    write_start(file, image.size, chunks, icc_profile)
    write_chunk(file, b"IDAT", compress_pixels(image))
    write_chunk(file, b"IEND", [])
    return file.getvalue()


def write_start(
    file: IO[bytes],
    size: tuple[int, int],
    chunks: Iterable[tuple[bytes, bytes]] = (),
    icc_profile: bytes | None = None,
) -> None:
    """Writes what comes before the pixels of a PNG file.

    Args:
        file: The file, which can seek.
        size: Width and height of the picture, of mode "RGB".
        chunks: The names and contents of chunks to write.
        icc_profile: The picture's colour profile.
    """
    file.write(_SIGNATURE)
    # The mark comes before the profile, which may be long: it is looked for in front.
    before = [(b"IHDR", struct.pack(">2I5B", *size, _BITS, _RGB, 0, 0, 0)), *chunks]
    if icc_profile:
        before.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile)))
    for name, content in before:
        write_chunk(file, name, [content])


def write_chunk(file: IO[bytes], name: bytes, parts: Iterable[bytes]) -> None:
    """Writes a chunk of a PNG file.

    Args:
        file: The file, which can seek.
        name: The name of the chunk.
        parts: Its content, in parts.
    """
    start = file.tell()
    # The length comes first in the file but is known only at the end.
    file.write(bytes(4) + name)
    checksum = zlib.crc32(name)
    length = 0
    for part in parts:
        file.write(part)
        checksum = zlib.crc32(part, checksum)
        length += len(part)
    file.write(struct.pack(">I", checksum))
    file.seek(start)
    file.write(struct.pack(">I", length))
    file.seek(0, io.SEEK_END)


def compress_pixels(image: Image.Image) -> Iterator[bytes]:
    """Filters and compresses pixels, as the content of an "IDAT" chunk.

    Args:
        image: Mode "RGB".

    Yields:
        The parts of the content.
    """
    rows_copied = max(_rows_at_once(image), _BYTES_COPIED // (image.width * _CHANNELS))
    strips = [
        (top, min(top + rows_copied, image.height)) for top in range(0, image.height, rows_copied)
    ]
    some = strips[:: -(-len(strips) // _STRIPS_JUDGED)]
    filtered = {strip: _filter(image, *strip) for strip in some}
    level, strategy = _DRAWING if _are_of_drawing(filtered.values()) else _PHOTOGRAPH
    compressor = zlib_ng.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY_LEVEL, strategy)
    for strip in strips:
        rows = filtered.pop(strip, None)
        yield compressor.compress(_filter(image, *strip) if rows is None else rows)
    yield compressor.flush()


def _rows_at_once(image: Image.Image) -> int:
    return _SAMPLED * max(1, _BYTES_AT_ONCE // (image.width * _CHANNELS * _SAMPLED))


def _filter(image: Image.Image, top: int, bottom: int) -> Bytes:
    """Filters rows: predicts each byte from its neighbours with the best filter for a few rows.

    Args:
        image: Mode "RGB".
        top: The first row to filter.
        bottom: The row after the last.

    Returns:
        (bottom - top, 1 + 3 * width) uint8: for each row its filter and the residuals.
    """
    width = image.width * _CHANNELS
    first = max(0, top - 1)
    copied = np.asarray(image.crop((0, first, image.width, bottom)))
    # The neighbours beyond the left and the upper border are black.
    framed = np.zeros((1 + bottom - top, _CHANNELS + width), np.uint8)
    framed[len(framed) - len(copied) :, _CHANNELS:] = copied.reshape(len(copied), width)
    rows, left, above = framed[1:, _CHANNELS:], framed[1:, :-_CHANNELS], framed[:-1, _CHANNELS:]
    samples = rows[::_SAMPLED], left[::_SAMPLED], above[::_SAMPLED]
    costs = [
        _magnitudes(leave(*samples)).sum(axis=1, dtype=np.uint32) for leave in _FILTERS.values()
    ]
    rows_at_once = _rows_at_once(image)
    starts = np.arange(0, len(samples[0]), rows_at_once // _SAMPLED)
    cheapest = np.add.reduceat(costs, starts, axis=1).argmin(axis=0)
    filtered = np.empty((bottom - top, 1 + width), np.uint8)
    numbers, leaves = zip(*_FILTERS.items(), strict=True)
    for start, chosen in zip(starts * _SAMPLED, cheapest, strict=True):
        some = slice(start, start + rows_at_once)
        filtered[some, 0] = numbers[chosen]
        filtered[some, 1:] = leaves[chosen](rows[some], left[some], above[some])
    return filtered


def _are_of_drawing(strips: Iterable[Bytes]) -> bool:
    equal = nearly_equal = 0
    for filtered in strips:
        distances = _magnitudes(filtered[::_SAMPLED])
        equal += int(distances.size - np.count_nonzero(distances))
        nearly_equal += int(np.count_nonzero((distances > 0) & (distances <= _NEARLY)))
    return equal > 2 * nearly_equal


def _magnitudes(filtered: Bytes) -> Bytes:
    # The absolute value of the signed byte -128 has the same bits, which read as 128 unsigned.
    return np.abs(filtered.view(np.int8)).view(np.uint8)
