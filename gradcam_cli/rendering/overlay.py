"""Draws maps: the overlay on the original, and the bare map."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from gradcam_cli.errors import UsageError
from gradcam_cli.pictures.fitting import LaidMap

DEFAULT_ALPHA = 0.5
DEFAULT_COLORMAP = "jet"
_LEVELS = 256
_MAXIMUM_16_BIT = 65535
# A large picture is coloured in strips, so that intermediate arrays stay in a core's cache.
_PIXELS_AT_ONCE = 256_000


@cache
def color_table(colormap: str) -> bytes:
    """Samples a Matplotlib colour map.

    Args:
        colormap: A name that Matplotlib knows.

    Returns:
        256 colours from cold to hot as RGB bytes.

    Raises:
        UsageError: Matplotlib has no such colour map.
    """
    from matplotlib import colormaps

    if colormap not in colormaps:
        raise UsageError(
            f"there is no colour map {colormap!r}; try jet, viridis, cividis, inferno or turbo "
            f"(any Matplotlib colour map works)"
        )
    colors = colormaps[colormap].resampled(_LEVELS)(np.arange(_LEVELS), bytes=True)
    return np.ascontiguousarray(colors[:, :3]).tobytes()


def draw_overlay(
    picture: Image.Image,
    heat: np.ndarray | LaidMap,
    position: tuple[int, int] = (0, 0),
    colormap: str = DEFAULT_COLORMAP,
    alpha: float = DEFAULT_ALPHA,
) -> Image.Image:
    """Draws a coloured map over a picture.

    Args:
        picture: Mode "RGB".
        heat: (height, width) float32 in [0, 1]; it may cover only a part of the picture.
        position: The left and top edge of that part, in pixels.
        colormap: The name of a Matplotlib colour map.
        alpha: The opacity of the map: 0 shows only the picture, 1 only the map.

    Returns:
        Mode "RGB" of the picture's size. Outside the map, the picture is unchanged.

    Raises:
        UsageError: Matplotlib has no such colour map.
    """
    rows, width = heat.shape
    if (width, rows) == picture.size and width * rows <= _PIXELS_AT_ONCE:
        return _blend(picture, heat[:], colormap, alpha)
    overlay = picture.copy()
    left, top = position
    rows_at_once = max(1, _PIXELS_AT_ONCE // width)
    for start in range(0, rows, rows_at_once):
        strip = heat[start : start + rows_at_once]
        box = (left, top + start, left + width, top + start + len(strip))
        overlay.paste(_blend(picture.crop(box), strip, colormap, alpha), box)
    return overlay


def _blend(picture: Image.Image, heat: np.ndarray, colormap: str, alpha: float) -> Image.Image:
    indices = Image.fromarray((heat * np.float32(_LEVELS - 1) + 0.5).astype(np.uint8))
    indices.putpalette(color_table(colormap))
    return Image.blend(picture, indices.convert("RGB"), alpha)


def draw_heatmap(
    heat: np.ndarray, size: tuple[int, int], position: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """Places a bare map in a frame of the picture's size.

    Args:
        heat: (height, width) float32 in [0, 1]; it may cover only a part of the picture.
        size: (width, height) of the picture.
        position: The left and top edge of that part, in pixels.

    Returns:
        (height, width) float32 in [0, 1]; 0 outside the region that the network saw.
    """
    left, top = position
    rows, columns = heat.shape
    heatmap = np.zeros(size[::-1], np.float32)
    heatmap[top : top + rows, left : left + columns] = heat
    return heatmap


def heatmap_to_image(heatmap: np.ndarray) -> Image.Image:
    """Converts a map in [0, 1] to a 16-bit grey picture, 0 to 65535.

    Args:
        heatmap: (height, width) float32 in [0, 1].

    Returns:
        Mode "I;16".
    """
    return Image.fromarray(np.rint(heatmap * _MAXIMUM_16_BIT).astype(np.uint16))
