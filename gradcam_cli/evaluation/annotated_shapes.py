"""The outlines of annotated objects as pixels: polygons and run lengths, as in COCO."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image

# (left, top, right, bottom) in pixels of the picture; the first pixel spans 0 to 1.
Box = tuple[float, float, float, float]

# Beyond these, an outline takes minutes to fill. People draw some dozens of points.
_MOST_POLYGONS = 10_000
_MOST_POINTS = 100_000
_MOST_CROSSINGS = 20_000_000
# Twice what Pillow calls a decompression bomb: the largest picture that is read.
_MOST_PIXELS = 178_956_970
# The code of COCO's compressed run lengths: six bits a character, of which one says that more
# follow and one is the sign.
_FIRST_CODE = 48
_DATA_BITS = 5
_MORE = 0x20
_SIGN = 0x10


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of an object within the smallest rectangle around them.

    Attributes:
        mask: (rows, columns) bool, at least one of them True.
        corner: (row, column) of the rectangle's first pixel in the picture.
    """

    mask: np.ndarray
    corner: tuple[int, int]

    @property
    def box(self) -> Box:
        """The box around the pixels."""
        top, left = self.corner
        height, width = self.mask.shape
        return float(left), float(top), float(left + width), float(top + height)


def crop(mask: np.ndarray) -> Pixels | None:
    """Cuts out the part of a mask with the object; None if the mask is empty.

    Args:
        mask: (height, width) bool of the whole picture.
    """
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not rows.size:
        return None
    top, left = int(rows[0]), int(columns[0])
    return Pixels(mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1].copy(), (top, left))


class Shape(Protocol):
    """An outline in the coordinates of the picture in which it was drawn."""

    def draw(self, size: tuple[int, int], factors: tuple[float, float]) -> Pixels | None:
        """Finds the pixels whose centres are in the outline.

        Args:
            size: (width, height) of the picture.
            factors: The width and the height of the picture as fractions of those of the
                picture in which the outline was drawn.

        Returns:
            The pixels; None if the outline lies between their centres.

        Raises:
            ValueError: The outline would take too long to fill.
        """

    @property
    def box(self) -> Box | None:
        """The box around the outline; None for run lengths of zeros."""


@dataclass(frozen=True, eq=False)
class Polygons:
    """An object that consists of the insides of polygons.

    Attributes:
        parts: For each polygon (points, 2) float64: x and y, 0 at the left and upper edge of
            the picture. Where a polygon crosses itself, the even-odd rule decides.
    """

    parts: tuple[np.ndarray, ...]

    @property
    def box(self) -> Box:
        """The box around the polygons."""
        points = np.concatenate(self.parts)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def draw(self, size: tuple[int, int], factors: tuple[float, float]) -> Pixels | None:
        """Finds the pixels in the polygons; see `Shape`."""
        boxes = [_whole_box(part * factors, size) for part in self.parts]
        left, top = (min(box[side] for box in boxes) for side in (0, 1))
        right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
        if sum((box[2] - box[0]) * (box[3] - box[1]) for box in boxes) > _MOST_PIXELS:
            raise ValueError("an object has too many polygons")
        mask = np.zeros((bottom - top, right - left), bool)
        for part, box in zip(self.parts, boxes, strict=True):
            inside = _fill(part * factors - box[:2], (box[3] - box[1], box[2] - box[0]))
            mask[box[1] - top : box[3] - top, box[0] - left : box[2] - left] |= inside
        found = crop(mask)
        return found and Pixels(found.mask, (found.corner[0] + top, found.corner[1] + left))


@dataclass(frozen=True, eq=False)
class Runs:
    """An object by COCO's run lengths: how many pixels off, on, off, ..., column by column.

    Attributes:
        size: (width, height) of the picture in which it was drawn.
        counts: (runs,) int64, 0 or more, whose sum is the number of pixels.
    """

    size: tuple[int, int]
    counts: np.ndarray

    @property
    def box(self) -> Box | None:
        """The box around the pixels that are on."""
        return NumberedMask(self._pixels(), 1).box

    def draw(self, size: tuple[int, int], factors: tuple[float, float]) -> Pixels | None:
        """Finds the pixels that are on; see `Shape`."""
        return NumberedMask(self._pixels(), 1).draw(size, factors)

    def _pixels(self) -> np.ndarray:
        is_on = np.arange(len(self.counts), dtype=np.uint8) % 2
        width, height = self.size
        return np.repeat(is_on, self.counts).reshape(width, height).T


@dataclass(frozen=True, eq=False)
class NumberedMask:
    """An object by the pixels of a mask that have its number.

    Attributes:
        values: (height, width) integers of the picture in which it was drawn.
        number: The object's number; None for an object of all numbers but 0 and those left out.
        left_out: The numbers that belong to no object.
    """

    values: np.ndarray
    number: int | None = None
    left_out: tuple[int, ...] = ()

    @property
    def box(self) -> Box | None:
        """The box around the pixels."""
        found = crop(self._select(self.values))
        return None if found is None else found.box

    def draw(self, size: tuple[int, int], factors: tuple[float, float]) -> Pixels | None:
        """Finds the pixels with the number; see `Shape`."""
        values = self.values
        if size != values.shape[::-1]:
            values = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.NEAREST))
        return crop(self._select(values))

    def _select(self, values: np.ndarray) -> np.ndarray:
        if self.number is not None:
            return np.asarray(values == self.number)
        return np.asarray((values > 0) & ~np.isin(values, self.left_out))


def read_segmentation(content: Any, size: tuple[int, int]) -> Shape | None:
    """Reads the field "segmentation" of an annotation in COCO's form.

    Args:
        content: A list of polygons, each [x, y, x, y, ...], or a map with the "size" [height,
            width] and the "counts": a list of run lengths, or text that holds them compressed.
        size: (width, height) of the annotated picture; (0, 0) if the file doesn't say it.

    Returns:
        The outline; None if there is none.

    Raises:
        ValueError: It isn't in this form.
    """
    if not content:
        return None
    if isinstance(content, dict):
        return _read_runs(content, size)
    if not isinstance(content, list):
        raise ValueError("a segmentation is neither polygons nor run lengths")
    parts = content if isinstance(content[0], list) else [content]
    if len(parts) > _MOST_POLYGONS:
        raise ValueError("an object has too many polygons")
    # Tools write points and lines, too, which cover nothing.
    polygons = tuple(_read_polygon(part, size) for part in parts if part)
    polygons = tuple(polygon for polygon in polygons if len(polygon) > 2)
    return Polygons(polygons) if polygons else None


def finite_numbers(values: Iterable[Any]) -> list[float]:
    """Converts numbers, or text that holds them.

    Raises:
        ValueError: One isn't a number, or isn't finite.
    """
    numbers = [float("" if value is None else value) for value in values]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a coordinate is not finite")
    return numbers


def overlap(box: Box, other: Box) -> float:
    """Returns the intersection of two boxes over their union, in [0, 1]."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)) - width * height
    return width * height / union


def _read_polygon(part: Any, size: tuple[int, int]) -> np.ndarray:
    if not isinstance(part, list) or len(part) % 2:
        raise ValueError("a polygon isn't a list of pairs of numbers")
    if len(part) > 2 * _MOST_POINTS:
        raise ValueError("a polygon has too many points")
    points = np.array(finite_numbers(part)).reshape(-1, 2)
    if all(size) and (np.abs(points) > 2 * np.array(size)).any():
        raise ValueError("a polygon lies far outside of its picture")
    return points


def _read_runs(content: dict[str, Any], size: tuple[int, int]) -> Runs:
    height, width = (int(side) for side in content["size"])
    if all(size) and (width, height) != size:
        raise ValueError(f"a mask has {width}×{height} px, and its picture {size[0]}×{size[1]} px")
    if not 0 < width * height <= _MOST_PIXELS or width < 0:
        raise ValueError(f"a mask has {width}×{height} px")
    counts = content["counts"]
    runs = _decompress(counts) if isinstance(counts, str) else [int(count) for count in counts]
    # Checked before they become an array, in which large numbers would overflow.
    if min(runs, default=-1) < 0 or sum(runs) != width * height:
        raise ValueError(f"the run lengths of a mask don't add up to {width}×{height} px")
    return Runs((width, height), np.array(runs, np.int64))


def _decompress(text: str) -> list[int]:
    """Decodes the run lengths of a COCO mask; from the fourth on, each is a difference."""
    runs: list[int] = []
    value = bits = 0
    for character in text:
        code = ord(character) - _FIRST_CODE
        if not 0 <= code < 2 * _MORE or bits > 2 * 32:
            raise ValueError("the run lengths of a mask are damaged")
        value |= (code & (_MORE - 1)) << bits
        bits += _DATA_BITS
        if code & _MORE:
            continue
        if code & _SIGN:
            value -= 1 << bits
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = bits = 0
    if bits:
        raise ValueError("the run lengths of a mask are cut off")
    return runs


def _whole_box(points: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns the pixels that a polygon may touch: (left, top, right, bottom)."""
    first = np.clip(np.floor(points.min(axis=0)), 0, size).astype(int)
    last = np.clip(np.ceil(points.max(axis=0)), first, np.maximum(size, first)).astype(int)
    return int(first[0]), int(first[1]), int(last[0]), int(last[1])


def _fill(points: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Finds the pixels whose centres are inside of a polygon, by the even-odd rule.

    Args:
        points: (points, 2) float, x and y.
        size: (height, width) of the mask.

    Returns:
        (height, width) bool.
    """
    height, width = size
    starts, ends = points, np.roll(points, -1, axis=0)
    upper = np.where(starts[:, 1] <= ends[:, 1], 0, 1)
    tops = np.where(upper[:, None] == 0, starts, ends)
    bottoms = np.where(upper[:, None] == 0, ends, starts)
    # An edge crosses the middles of the rows from `first` up to, but without, `last`.
    first, last = (
        np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64) for y in (tops[:, 1], bottoms[:, 1])
    )
    number = last - first
    if number.sum() > _MOST_CROSSINGS:
        raise ValueError("a polygon is too long")
    edges = np.repeat(np.arange(len(points)), number)
    rows = np.arange(len(edges)) - np.repeat(np.cumsum(number) - number, number) + first[edges]
    run, rise = (bottoms - tops)[edges].T
    crossings = tops[edges, 0] + (rows + 0.5 - tops[edges, 1]) * run / rise
    columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)
    changes = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1))
    inside = np.cumsum(changes.reshape(height, width + 1), axis=1) % 2 == 1
    return np.asarray(inside[:, :width])
