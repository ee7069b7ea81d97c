"""Draws slices as pictures with square pixels, and puts what lies on these pictures back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gradcam_cli.pictures.medical.windows import Window

# Slices of thick voxels are stretched at most by this.
_MOST_STRETCH = 16
# Spacings that differ by less are those of square pixels.
_LEAST_STRETCH = 1.02


def draw_slice(
    values: np.ndarray, window: Window, inverted: bool, spacing: tuple[float, float]
) -> Image.Image:
    """Draws a slice.

    Args:
        values: (rows, columns) real numbers, or (rows, columns, 3) uint8, which are drawn as they
            are.
        window: Which values are black and white.
        inverted: Whether low values are white.
        spacing: The distance between rows and that between columns, in any unit.

    Returns:
        Mode "RGB". If the distances differ, the picture is stretched along the longer one.
    """
    greys = values if values.ndim == 3 else window.apply(values, inverted)
    picture = Image.fromarray(np.rint(greys).astype(np.uint8)).convert("RGB")
    down, along = spacing
    finest = min(down, along)
    if max(down, along) < finest * _LEAST_STRETCH:
        return picture
    width, height = picture.size
    size = (
        round(width * min(along / finest, _MOST_STRETCH)),
        round(height * min(down / finest, _MOST_STRETCH)),
    )
    return picture.resize(size, Image.Resampling.BICUBIC)


def back_on_slice(heat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resamples a map on the picture of a slice to its voxels.

    Args:
        heat: (height, width) float32, of the size of the picture.
        shape: (rows, columns) of the slice.

    Returns:
        `shape`, float32, in the same range.
    """
    if heat.shape == shape:
        return heat
    picture = Image.fromarray(np.asarray(heat, np.float32))
    return np.asarray(picture.resize(shape[::-1], Image.Resampling.BILINEAR))
