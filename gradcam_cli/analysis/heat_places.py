"""How much of a map's heat lies in which part of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam_cli.analysis.observation import GRID, to_grid
from gradcam_cli.evaluation.annotations import AnnotatedObject

# As fractions of the picture's sides.
_BORDER_WIDTH = 0.1
_CORNER_SIDE = 0.2
# The fractions of the heat that would lie there if it were the same everywhere.
BORDER_AREA = 1 - (1 - 2 * _BORDER_WIDTH) ** 2
CORNERS_AREA = 4 * _CORNER_SIDE**2


def fraction_in(heat: np.ndarray, covered: np.ndarray) -> float | None:
    """Returns the fraction of the heat that lies in a part of the picture.

    Args:
        heat: (`GRID`, `GRID`) float32 in [0, 1].
        covered: (`GRID`, `GRID`) in [0, 1], how much of each cell belongs to the part.

    Returns:
        The fraction, in [0, 1]; None if the map shows nothing.
    """
    total = float(heat.sum(dtype=np.float64))
    return float(np.sum(heat * covered, dtype=np.float64)) / total if total > 0 else None


def border_fraction(heat: np.ndarray) -> float | None:
    """Returns the fraction of the heat in the outer tenth of the picture.

    This is a frame along all four edges whose width is a tenth of the picture's side. It takes
    `BORDER_AREA` of the picture.

    Args:
        heat: As for `fraction_in`.
    """
    inside = 1 - _beside_edges(_BORDER_WIDTH)
    return fraction_in(heat, 1 - np.outer(inside, inside))


def corner_fraction(heat: np.ndarray) -> float | None:
    """Returns the fraction of the heat in the corners of the picture.

    These are four rectangles whose sides are a fifth of the picture's. They take `CORNERS_AREA`
    of the picture.

    Args:
        heat: As for `fraction_in`.
    """
    beside = _beside_edges(_CORNER_SIDE)
    return fraction_in(heat, np.outer(beside, beside))


def object_fraction(
    heat: np.ndarray, objects: Sequence[AnnotatedObject], size: tuple[int, int]
) -> float | None:
    """Returns the fraction of the heat on annotated objects.

    Args:
        heat: As for `fraction_in`.
        objects: The objects, at least one.
        size: (width, height) of the picture in pixels.
    """
    covered = np.zeros(size[::-1], bool)
    for one in objects:
        covered |= one.cover(size[::-1])
    return fraction_in(heat, to_grid(covered.astype(np.float32)))


def _beside_edges(width: float) -> np.ndarray:
    """Returns how much of each row of the grid is at most this far from an edge."""
    edges = np.arange(GRID + 1) / GRID
    before = np.diff(np.minimum(edges, width)) * GRID
    return np.asarray(before + before[::-1])
