"""Finds the region of a map above a threshold, with its outline and its box.

Selvaraju et al. (2017, arXiv 1610.02391, section 4.1) localise an object by keeping values of at
least 15 % of the map's maximum, and drawing the box around the largest connected region.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

DEFAULT_THRESHOLD = 0.15
# Rounding alone may move a vertex this far from a whole pixel.
_ROUNDING = 1e-6
_OUTLINE_TOLERANCE = 0.5

PixelBox = tuple[int, int, int, int]


@dataclass(frozen=True)
class Region:
    """The region in which a map is above a threshold.

    Attributes:
        threshold: The fraction of the map's maximum at which the region begins, 0 to 1.
        box: (left, top, right, bottom) of its largest connected part in whole pixels,
            right and bottom exclusive; None for a map without a positive value.
        outlines: Closed lines around every part and every hole, largest part first. Each is
            (points, 2) float32, x and y in pixels; the centre of a pixel is at one half.
    """

    threshold: float
    box: PixelBox | None
    outlines: list[np.ndarray]


def find_region(heatmap: np.ndarray, threshold: float = DEFAULT_THRESHOLD) -> Region:
    """Finds the region of a map above a threshold.

    The map is interpolated linearly between pixels. So outlines have subpixel accuracy, and
    parts that touch only at a corner are connected if the map is high enough between them.

    Args:
        heatmap: (height, width) float in [0, 1], of the picture's size.
        threshold: The fraction of the map's maximum, in (0, 1].

    Returns:
        The region.
    """
    maximum = float(heatmap.max(initial=0.0))
    if maximum <= 0:
        return Region(threshold, None, [])
    parts = _connected_parts(heatmap, threshold * maximum)
    if not parts:
        # Only single pixels are above the threshold, so the region is the peak itself.
        row, column = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
        left, top = int(column), int(row)
        return Region(threshold, (left, top, left + 1, top + 1), [])
    parts.sort(key=_enclosed_area, reverse=True)
    height, width = heatmap.shape
    left, top = np.ceil(parts[0][0].min(axis=0) - _ROUNDING).clip(0)
    right, bottom = np.floor(parts[0][0].max(axis=0) + _ROUNDING).clip(max=(width - 1, height - 1))
    box = (int(left), int(top), int(right) + 1, int(bottom) + 1)
    outlines = [
        (line + 0.5).clip(0, (width, height)).astype(np.float32) for part in parts for line in part
    ]
    return Region(threshold, box, outlines)


def hot_pixels(heatmap: np.ndarray, threshold: float = DEFAULT_THRESHOLD) -> np.ndarray:
    """Finds the pixels at which a map is above a threshold.

    Args:
        heatmap: (height, width) float, at most 1.
        threshold: The fraction of the map's maximum, in (0, 1].

    Returns:
        The same shape, bool; all False for a map without a positive value.
    """
    maximum = heatmap.max(initial=0.0)
    hot: np.ndarray = (heatmap >= threshold * maximum) & (heatmap > 0)
    return hot


def simplify_outline(outline: np.ndarray) -> np.ndarray:
    """Removes points that make no visible difference.

    Args:
        outline: (points, 2) float32, closed.

    Returns:
        (fewer points, 2) float64; the line moves by at most about half a pixel.
    """
    from matplotlib.path import Path

    path = Path(outline, closed=False)
    path.should_simplify = True
    path.simplify_threshold = _OUTLINE_TOLERANCE
    # The last vertex of a cleaned path only marks its end.
    return np.asarray(path.cleaned(simplify=True).vertices)[:-1]


def _connected_parts(heatmap: np.ndarray, level: float) -> list[list[np.ndarray]]:
    """Returns for each connected part its outer line, followed by those of its holes."""
    from contourpy import FillType, contour_generator

    # With padding, parts extend to the edge of the picture instead of the centres of the
    # outermost pixels.
    continued = np.pad(np.pad(heatmap, 1, mode="edge"), 1)
    generator = contour_generator(z=continued, fill_type=FillType.OuterOffset)
    # This fill type returns the points of each part, and the offsets at which lines begin.
    parts: tuple[list[np.ndarray], list[np.ndarray]] = generator.filled(level, np.inf)  # type: ignore[assignment]
    return [
        [points[start:end] - 2 for start, end in pairwise(offsets)]
        for points, offsets in zip(*parts, strict=True)
    ]


def _enclosed_area(part: list[np.ndarray]) -> float:
    """Computes the area inside a part's outer line and outside its holes."""
    # Holes have the opposite orientation, so their signed areas are subtracted.
    return abs(sum(_signed_area(line) for line in part))


def _signed_area(line: np.ndarray) -> float:
    x, y = line[:-1].T
    next_x, next_y = line[1:].T
    return float(np.sum(x * next_y - next_x * y)) / 2
