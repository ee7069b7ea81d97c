"""Linear interpolation along the axes of volumes and of the maps of stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def resample(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resamples a volume linearly; the edges of its first and last element stay where they are.

    An axis that becomes shorter is averaged over as many elements as fall on one, so that nothing
    is skipped.

    Args:
        values: (A, B, C, channels), any numeric dtype.
        size: The new lengths of the first three axes.

    Returns:
        (*size, channels) float32; the values themselves if the size is theirs.
    """
    found = np.asarray(values, np.float32)
    for axis, length in enumerate(size):
        if found.shape[axis] != length:
            found = np.moveaxis(
                np.tensordot(_linear_weights(found.shape[axis], length), found, (1, axis)), 0, axis
            )
    return np.ascontiguousarray(found)


def _linear_weights(before: int, after: int) -> np.ndarray:
    """Returns the weight of each element before in each one after, (after, before) float32."""
    step = before / after
    places = (np.arange(after) + 0.5) * step - 0.5
    # A triangle of this half width covers all elements between two places.
    half = max(step, 1.0)
    inside = places.clip(0, before - 1)
    distances = np.abs(inside[:, None] - np.arange(before))
    weights = (1 - distances / half).clip(0)
    normalized: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return normalized.astype(np.float32)


def weights_of_cells(
    length: int, pitch: float
) -> Callable[[Sequence[float]], Callable[[int], np.ndarray]]:
    """Prepares to interpolate between the cells along one axis of a map.

    The centre of the cells lies on the centre of the axis. Beyond the outermost cells, their values
    go on.

    Args:
        length: The length of the axis, in elements of the input.
        pitch: The distance between two cells, in elements of the input.

    Returns:
        A function from places along the axis, in elements of the input, to a function from the
        number of cells to the weight of each at each place, (places, cells) float32.
    """

    def at(places: Sequence[float]) -> Callable[[int], np.ndarray]:
        def weights(cells: int) -> np.ndarray:
            middle = np.asarray(places) - length / 2
            inside = (middle / pitch + cells / 2 - 0.5).clip(0, cells - 1)
            distances = np.abs(inside[:, None] - np.arange(cells))
            found: np.ndarray = (1 - distances).clip(0)
            return found.astype(np.float32)

        return weights

    return at
