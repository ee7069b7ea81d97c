"""Cuts inputs into segments of similar colour."""

from __future__ import annotations

import numpy as np

SEGMENTS = 64
# How many times the centres of the segments move. They hardly do so after that.
_ROUNDS = 5
# How much a distance of one segment counts, in relation to the range of a channel.
_COMPACTNESS = 0.2
# In pixels. Texture finer than this makes no segments.
_BLUR = 1.0
# The size of the smallest segment, in relation to the mean; the edge of an object may make one.
_SMALLEST = 0.25
_OFFSETS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


def find_superpixels(inputs: np.ndarray, segments: int = SEGMENTS) -> np.ndarray:
    """Finds superpixels by simple linear iterative clustering (SLIC).

    The algorithm of Achanta et al. (2012, "SLIC Superpixels", IEEE TPAMI), with the values of
    the input's own channels in place of the CIELAB colour space, since inputs may have any
    channels and any range. Of each segment that isn't small, the largest connected part stays,
    and the other pixels join the nearest one. The segments don't depend on the version of
    another library, so figures stay comparable.

    Args:
        inputs: (N, height, width, channels).
        segments: About how many segments to make.

    Returns:
        (N, height, width) int64, the number of each pixel's segment, from 0.
    """
    return np.stack([_cluster(np.asarray(image, np.float32), segments) for image in inputs])


def _cluster(image: np.ndarray, segments: int) -> np.ndarray:
    height, width = image.shape[:2]
    side = np.sqrt(height * width / segments)
    grid = tuple(max(1, min(round(length / side), length)) for length in (height, width))
    # Pixels join one of the nine segments around the cell of the grid that they lie in.
    home = [
        np.arange(length) * cells // length
        for length, cells in zip((height, width), grid, strict=True)
    ]
    features = _features(image, side)
    labels = (home[0][:, None] * grid[1] + home[1]).ravel()
    for _ in range(_ROUNDS):
        centres = _mean_of_each(features, labels, grid[0] * grid[1])
        labels = _nearest(features.reshape(height, width, -1), centres, home, grid).ravel()
    return _connected(labels.reshape(height, width))


def _features(image: np.ndarray, side: float) -> np.ndarray:
    """Combines colour and place, so that Euclidean distances can be compared: (pixels, F)."""
    from scipy.ndimage import gaussian_filter

    low, high = image.min(), image.max()
    colors = gaussian_filter((image - low) / (high - low if high > low else 1), (_BLUR, _BLUR, 0))
    places = np.moveaxis(np.indices(image.shape[:2]), 0, -1) * (_COMPACTNESS / side)
    return np.concatenate([colors, places], axis=-1, dtype=np.float32).reshape(
        -1, colors.shape[-1] + 2
    )


def _mean_of_each(features: np.ndarray, labels: np.ndarray, number: int) -> np.ndarray:
    counts = np.bincount(labels, minlength=number)
    # A segment that lost all its pixels gets none again.
    means = np.full((number, features.shape[1]), np.inf, np.float32)
    filled = counts > 0
    for axis in range(features.shape[1]):
        sums = np.bincount(labels, features[:, axis], number)
        means[filled, axis] = sums[filled] / counts[filled]
    return means


def _nearest(
    features: np.ndarray, centres: np.ndarray, home: list[np.ndarray], grid: tuple[int, ...]
) -> np.ndarray:
    best = np.full(features.shape[:2], np.inf, np.float32)
    labels = np.zeros(features.shape[:2], np.int64)
    for down, right in _OFFSETS:
        rows = np.clip(home[0] + down, 0, grid[0] - 1)
        columns = np.clip(home[1] + right, 0, grid[1] - 1)
        candidates = rows[:, None] * grid[1] + columns
        distances = ((features - centres[candidates]) ** 2).sum(axis=-1)
        closer = distances < best
        best[closer] = distances[closer]
        labels[closer] = candidates[closer]
    return labels


def _connected(labels: np.ndarray) -> np.ndarray:
    """Keeps the largest part of each segment that isn't small, and numbers them from 0."""
    from scipy.ndimage import distance_transform_edt, label

    kept = np.full(labels.shape, -1, np.int64)
    numbers = np.unique(labels)
    smallest = _SMALLEST * labels.size / len(numbers)
    for number in numbers:
        parts, _ = label(labels == number)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        if sizes.max() >= smallest:
            kept[parts == sizes.argmax()] = number
    nearest = distance_transform_edt(kept < 0, return_distances=False, return_indices=True)
    _, segments = np.unique(kept[tuple(nearest)], return_inverse=True)
    return np.asarray(segments.reshape(labels.shape), np.int64)
