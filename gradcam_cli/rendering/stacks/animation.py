"""Writes animations (GIF, WebP, PNG) and TIFF files of pages, one picture at a time.

Pillow writes them too, but holds all pictures of a file in memory until the last is there. Here it
only compresses single pictures.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from itertools import pairwise
from typing import IO

import numpy as np
from PIL import Image
from zlib_ng import zlib_ng

from gradcam_cli.errors import OutputError
from gradcam_cli.files.marks import Mark
from gradcam_cli.pictures.stacks.animation import AnimationStack
from gradcam_cli.pictures.stacks.stack import Frame
from gradcam_cli.rendering.encoding import encode_picture
from gradcam_cli.rendering.png import compress_pixels, write_chunk, write_start
from gradcam_cli.rendering.stacks.writer import StackWriter

_COLORS = 256
# Bayer's matrix, scaled to about the distance between two of so many colours.
_SHIFTS = np.array([[-6, 0, -4, 2], [4, -2, 5, -1], [-3, 3, -5, 1], [6, 0, 4, -2]], np.int16)
# The longest block of a GIF in bytes, and the largest numbers of 16 and of 24 bits.
_LONGEST_BLOCK = 255
_MOST_16, _MOST_24 = 65535, (1 << 24) - 1
# The flags of an extended WebP file.
_WEBP_ANIMATION, _WEBP_EXIF, _WEBP_PROFILE = 0x02, 0x08, 0x20
# In bytes before compression.
_STRIP = 1 << 20
_TIFF_LEVEL = 5
# TIFF 6.0, and its supplement 2 for the compression.
_SHORT, _LONG, _ASCII, _UNDEFINED = 3, 4, 2, 7
_SIZES = {_SHORT: 2, _LONG: 4, _ASCII: 1, _UNDEFINED: 1}
_PAGE_OF_SEVERAL, _DEFLATE, _RGB, _DIFFERENCES = 2, 8, 2, 2
_MOST_TIFF_BYTES = 1 << 32
_Tags = dict[int, tuple[int, bytes]]


class _Clock:
    """Counts time in whole units so that rounding doesn't add up."""

    def __init__(self, units: int) -> None:
        """Sets how many units a second has."""
        self._units = units
        self._seconds = 0.0

    def step(self, frame: Frame) -> int:
        """Returns for how many units a frame is shown."""
        start = round(self._seconds * self._units)
        self._seconds += frame.duration or 0
        return round(self._seconds * self._units) - start


class GifWriter(StackWriter):
    """Writes a GIF (Graphics Interchange Format 89a), each frame with its own 256 colours."""

    def __init__(self, stack: AnimationStack, file: IO[bytes], mark: Mark) -> None:
        """Starts a file; see `gradcam_cli.rendering.stacks.writer.StackWriter`."""
        self._file = file
        self._mark = mark
        self._loop = stack.loop
        self._clock = _Clock(100)
        self._is_started = False

    def add(self, frame: Frame, overlay: Image.Image, heat: np.ndarray) -> None:
        """Writes a frame."""
        if not self._is_started:
            self._start(overlay.size)
        centiseconds = min(self._clock.step(frame), _MOST_16)
        palette, size_bits, interlacing, pixels = _gif_picture(overlay)
        # It stays until the next is drawn over it.
        self._file.write(b"!\xf9" + struct.pack("<2BH2B", 4, 1 << 2, centiseconds, 0, 0))
        flags = 0x80 | interlacing | size_bits
        self._file.write(b"," + struct.pack("<4HB", 0, 0, *overlay.size, flags) + palette + pixels)

    def close(self) -> None:
        """Completes the file."""
        self._file.write(b";")

    def _start(self, size: tuple[int, int]) -> None:
        self._is_started = True
        self._file.write(b"GIF89a" + struct.pack("<2H3B", *size, 0x70, 0, 0))
        if self._loop is not None:
            times = min(self._loop, _MOST_16)
            self._file.write(b"!\xff\x0bNETSCAPE2.0" + struct.pack("<2BHB", 3, 1, times, 0))
        comment = self._mark.comment.encode("ascii")
        self._file.write(b"!\xfe")
        for start in range(0, len(comment), _LONGEST_BLOCK):
            block = comment[start : start + _LONGEST_BLOCK]
            self._file.write(bytes([len(block)]) + block)
        self._file.write(b"\0")


def _gif_picture(overlay: Image.Image) -> tuple[bytes, int, int, bytes]:
    """Returns the palette, the bits of its size, the flag of interlacing, and the pixels."""
    palette = overlay.quantize(_COLORS, Image.Quantize.FASTOCTREE)
    quantized = _shifted(overlay).quantize(palette=palette, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    quantized.save(buffer, "GIF")
    content = buffer.getvalue()
    size_bits = content[10] & 7
    place = 13 + 3 * (2 << size_bits)
    colors = content[13:place]
    while content[place] == ord("!"):
        place += 2
        while content[place]:
            place += 1 + content[place]
        place += 1
    # The last byte ends the file.
    return colors, size_bits, content[place + 9] & 0x40, content[place + 10 : -1]


def _shifted(overlay: Image.Image) -> Image.Image:
    """Makes pixels a little lighter and darker in turn, so that few colours show no steps.

    This is ordered dithering (Bayer, 1973). Diffusing errors, as Pillow does it, leaves specks in
    the smooth colours of maps, which would also flicker from frame to frame.
    """
    width, height = overlay.size
    shifts = np.tile(_SHIFTS, (-(-height // len(_SHIFTS)), -(-width // len(_SHIFTS))))
    shifted = np.asarray(overlay, np.int16) + shifts[:height, :width, None]
    return Image.fromarray(shifted.clip(0, 255).astype(np.uint8))


class PngWriter(StackWriter):
    """Writes an animated PNG (W3C Portable Network Graphics, third edition)."""

    def __init__(self, stack: AnimationStack, file: IO[bytes], mark: Mark) -> None:
        """Starts a file; see `gradcam_cli.rendering.stacks.writer.StackWriter`."""
        self._file = file
        self._mark = mark
        self._loop = stack.loop or 0
        self._clock = _Clock(1000)
        self._number = self._sequence = self._place = 0

    def add(self, frame: Frame, overlay: Image.Image, heat: np.ndarray) -> None:
        """Writes a frame."""
        if self._number == 0:
            texts = [chunk[:2] for chunk in self._mark.png.chunks]
            write_start(self._file, overlay.size, texts, frame.image.info.get("icc_profile"))
            self._place = self._file.tell()
            self._write_number()
        delay, units = self._clock.step(frame), 1000
        if delay > _MOST_16:
            delay, units = min(round(delay / 1000), _MOST_16), 1
        control = struct.pack(">4I2H2B", *overlay.size, 0, 0, delay, units, 0, 0)
        write_chunk(self._file, b"fcTL", [self._next(), control])
        if self._number == 0:
            write_chunk(self._file, b"IDAT", compress_pixels(overlay))
        else:
            write_chunk(self._file, b"fdAT", [self._next(), *compress_pixels(overlay)])
        self._number += 1

    def close(self) -> None:
        """Completes the file."""
        write_chunk(self._file, b"IEND", [])
        self._file.seek(self._place)
        self._write_number()

    def _write_number(self) -> None:
        write_chunk(self._file, b"acTL", [struct.pack(">2I", self._number, self._loop)])

    def _next(self) -> bytes:
        self._sequence += 1
        return struct.pack(">I", self._sequence - 1)


class WebPWriter(StackWriter):
    """Writes an animated WebP file (RFC 9649)."""

    def __init__(self, stack: AnimationStack, file: IO[bytes], mark: Mark) -> None:
        """Starts a file; see `gradcam_cli.rendering.stacks.writer.StackWriter`."""
        self._file = file
        self._mark = mark
        self._loop = min(stack.loop or 0, _MOST_16)
        self._clock = _Clock(1000)
        self._is_started = False

    def add(self, frame: Frame, overlay: Image.Image, heat: np.ndarray) -> None:
        """Writes a frame."""
        size = b"".join(_in_24_bits(side - 1) for side in overlay.size)
        if not self._is_started:
            self._start(size, frame.image.info.get("icc_profile"))
        duration = _in_24_bits(min(self._clock.step(frame), _MOST_24))
        # Without metadata, a file has one chunk after its header of 12 bytes.
        pixels = encode_picture(overlay, "webp")[12:]
        # The frame isn't blended with the one before.
        self._write(b"ANMF", bytes(6) + size + duration + b"\x02" + pixels)

    def close(self) -> None:
        """Completes the file."""
        self._write(b"EXIF", self._mark.exif)
        length = self._file.seek(0, os.SEEK_END) - 8
        self._file.seek(4)
        self._file.write(struct.pack("<I", length))

    def _start(self, size: bytes, profile: bytes | None) -> None:
        self._is_started = True
        self._file.write(b"RIFF\0\0\0\0WEBP")
        flags = _WEBP_ANIMATION | _WEBP_EXIF | (_WEBP_PROFILE if profile else 0)
        self._write(b"VP8X", struct.pack("<I", flags) + size)
        if profile:
            self._write(b"ICCP", profile)
        self._write(b"ANIM", struct.pack("<IH", 0xFFFFFFFF, self._loop))

    def _write(self, name: bytes, content: bytes) -> None:
        padding = b"\0" * (len(content) % 2)
        self._file.write(name + struct.pack("<I", len(content)) + content + padding)


def _in_24_bits(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


class TiffWriter(StackWriter):
    """Writes a TIFF file of pages (TIFF 6.0), which may differ in size."""

    def __init__(self, stack: AnimationStack, file: IO[bytes], mark: Mark) -> None:
        """Starts a file; see `gradcam_cli.rendering.stacks.writer.StackWriter`."""
        self._file = file
        self._path = stack.path
        self._mark = mark
        self._number = 0
        # Where the place of the next page's tags is to be written.
        self._link = 4
        file.write(b"II*\0" + bytes(4))

    def add(self, frame: Frame, overlay: Image.Image, heat: np.ndarray) -> None:
        """Writes a page."""
        width, height = overlay.size
        rows = max(1, _STRIP // (3 * width))
        tops = [*range(0, height, rows), height]
        places, lengths = [], []
        for top, bottom in pairwise(tops):
            strip = _compressed(overlay.crop((0, top, width, bottom)))
            places.append(self._file.tell())
            lengths.append(len(strip))
            self._file.write(strip)
        tags = {
            254: _longs(_PAGE_OF_SEVERAL),
            256: _longs(width),
            257: _longs(height),
            258: _shorts(8, 8, 8),
            259: _shorts(_DEFLATE),
            262: _shorts(_RGB),
            273: _longs(*places),
            277: _shorts(3),
            278: _longs(rows),
            279: _longs(*lengths),
            284: _shorts(1),
            297: _shorts(min(self._number, _MOST_16), 0),
            317: _shorts(_DIFFERENCES),
        }
        if self._number == 0:
            tags |= {
                number: (_ASCII, text.encode("utf-8") + b"\0")
                for number, text in self._mark.tiff.items()
            }
        profile = frame.image.info.get("icc_profile")
        if profile:
            tags[34675] = (_UNDEFINED, profile)
        self._write_tags(tags)
        self._number += 1

    def close(self) -> None:
        """Completes the file, which has nothing at its end."""

    def _write_tags(self, tags: _Tags) -> None:
        entries = b""
        for number, (kind, content) in sorted(tags.items()):
            length = len(content) // _SIZES[kind]
            if len(content) > 4:
                self._align()
                place = self._file.tell()
                self._check(place)
                self._file.write(content)
                content = struct.pack("<I", place)
            entries += struct.pack("<2HI", number, kind, length) + content.ljust(4, b"\0")
        self._align()
        place = self._file.tell()
        end = place + 2 + len(entries)
        self._check(end)
        self._file.write(struct.pack("<H", len(tags)) + entries + bytes(4))
        self._file.seek(self._link)
        self._file.write(struct.pack("<I", place))
        self._file.seek(0, os.SEEK_END)
        self._link = end

    def _align(self) -> None:
        self._file.write(b"\0" * (self._file.tell() % 2))

    def _check(self, place: int) -> None:
        if place >= _MOST_TIFF_BYTES:
            raise OutputError(
                f"{self._path}: its result is larger than a TIFF file can be (4 GiB); explain "
                f"fewer pages with --frames or --every"
            )


def _shorts(*values: int) -> tuple[int, bytes]:
    return _SHORT, struct.pack(f"<{len(values)}H", *values)


def _longs(*values: int) -> tuple[int, bytes]:
    if max(values) >= _MOST_TIFF_BYTES:
        values = tuple(min(value, _MOST_TIFF_BYTES - 1) for value in values)
    return _LONG, struct.pack(f"<{len(values)}I", *values)


def _compressed(strip: Image.Image) -> bytes:
    """Compresses the differences between neighbours in a row."""
    pixels = np.asarray(strip)
    differences = pixels.copy()
    differences[:, 1:] -= pixels[:, :-1]
    return bytes(zlib_ng.compress(differences.tobytes(), _TIFF_LEVEL, zlib.MAX_WBITS))
