"""Sorts slices by where they lie in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Positions are rounded in files. A larger difference, as a part of the distance between slices,
# means that they are unevenly spaced.
_MOST_UNEVEN = 0.1
_LEAST_DISTANCE = 1e-3
# Orientations are unit vectors, rounded in files.
_MOST_TURN = 1e-2
# DICOM's first two axes point to the left and to the back.
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Places:
    """Where the slices of a volume lie.

    Attributes:
        numbers: For each slice that was given, its number in the volume.
        count: The number of slices of the volume, with those that are missing.
        affine: (4, 4) float64, from (column, row, slice) to mm, as of
            `gradcam_cli.pictures.stacks.voxels.Voxels`.
        missing: The numbers of the slices that weren't given.
    """

    numbers: list[int]
    count: int
    affine: np.ndarray
    missing: list[int]


def place_slices(
    positions: Sequence[Sequence[float]],
    orientations: Sequence[Sequence[float]],
    spacing: tuple[float, float],
    thickness: float,
) -> Places:
    """Sorts the slices of a volume along the direction across them.

    Args:
        positions: For each slice the middle of its first pixel, in mm, on DICOM's axes.
        orientations: For each slice the direction along its rows, then that down its columns.
        spacing: The distance between rows and that between columns, in mm.
        thickness: The distance to the next slice if there is none.

    Raises:
        ValueError: They don't form a volume, and why.
    """
    directions = np.asarray(orientations, np.float64)
    if np.abs(directions - directions[0]).max() > _MOST_TURN:
        raise ValueError("its slices lie in different directions")
    along, down = directions[0][:3], directions[0][3:]
    across = np.cross(along, down)
    if not np.isfinite(across).all() or not 0.9 < np.linalg.norm(across) < 1.1:
        raise ValueError("its slices have no valid direction")
    points = np.asarray(positions, np.float64)
    if not np.isfinite(points).all():
        raise ValueError("its slices have no valid position")
    heights = points @ across
    order = np.argsort(heights, kind="stable")
    first, last = order[0], order[-1]
    count, numbers, step = 1, [0], across * thickness
    if len(points) > 1:
        gaps = np.diff(heights[order])
        if gaps.min() < _LEAST_DISTANCE:
            same = int((gaps < _LEAST_DISTANCE).sum()) + 1
            raise ValueError(f"{same} of its slices lie at the same place, such as those of a film")
        steps = gaps / np.median(gaps)
        whole = np.rint(steps)
        if np.abs(steps - whole).max() > _MOST_UNEVEN or whole.sum() > 2 * len(points):
            raise ValueError(
                f"its slices are unevenly spaced, from {gaps.min():.2f} to {gaps.max():.2f} mm"
            )
        count = int(whole.sum()) + 1
        numbers = [0] * len(points)
        for place, number in zip(order, np.cumsum([0, *whole]), strict=True):
            numbers[place] = int(number)
        step = (points[last] - points[first]) / (count - 1)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along * spacing[1], down * spacing[0], step
    affine[:3, 3] = points[first]
    return Places(numbers, count, _TO_RAS @ affine, sorted(set(range(count)) - set(numbers)))
