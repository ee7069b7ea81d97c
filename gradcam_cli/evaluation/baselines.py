"""Maps that don't depend on the network: the baselines that every method should beat."""

from __future__ import annotations

import numpy as np
from PIL import Image

# The usual grid of a network's last feature map.
_CELLS = 7
# Photographers centre their subject. This is the standard deviation, relative to a side.
_SPREAD = 0.25


def random_maps(number: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draws maps of 7×7 uniform random values, upsampled bicubically like other maps.

    Args:
        number: The number of maps.
        size: (height, width) in pixels.
        rng: The source of random numbers.

    Returns:
        (number, height, width) float32 in [0, 1].
    """
    cells = rng.random((number, _CELLS, _CELLS), np.float32)
    height, width = size
    maps = [
        np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))
        for grid in cells
    ]
    return np.stack(maps).clip(0.0, 1.0)


def centre_gaussian_maps(number: int, size: tuple[int, int]) -> np.ndarray:
    """Makes maps with their maximum in the centre, whatever the picture shows.

    Args:
        number: The number of maps.
        size: (height, width) in pixels.

    Returns:
        (number, height, width) float32 in [0, 1]: a Gaussian with a standard deviation of
        a quarter of each side.
    """
    vertical, horizontal = (
        np.exp(-0.5 * (((np.arange(length) + 0.5) / length - 0.5) / _SPREAD) ** 2)
        for length in size
    )
    heat = np.outer(vertical, horizontal).astype(np.float32)
    return np.repeat((heat / heat.max())[None], number, axis=0)
