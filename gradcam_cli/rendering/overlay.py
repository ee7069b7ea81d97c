"""Draws maps: the overlay on the original, and the bare map."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gradcam_cli.pictures.fitting import LaidMap
from gradcam_cli.rendering.color_scale import (
    DEFAULT_ALPHA,
    DEFAULT_COLORMAP,
    levels_of,
    opacity_table,
    table_for,
)

_MAXIMUM_16_BIT = 65535
# The 16-bit value of 0 in a signed map, and the distance to those of 1 and -1.
_ZERO_16_BIT, _UNIT_16_BIT = 32768, 32767
# A large picture is coloured in strips, so that intermediate arrays stay in a core's cache.
_PIXELS_AT_ONCE = 256_000


def draw_overlay(
    picture: Image.Image,
    heat: np.ndarray | LaidMap,
    position: tuple[int, int] = (0, 0),
    colormap: str = DEFAULT_COLORMAP,
    alpha: float = DEFAULT_ALPHA,
    *,
    signed: bool = False,
) -> Image.Image:
    """Draws a coloured map over a picture.

    Args:
        picture: Mode "RGB".
        heat: (height, width) float32 in [0, 1], or in [-1, 1] if it is signed; it may cover
            only a part of the picture.
        position: The left and top edge of that part, in pixels.
        colormap: The name of a Matplotlib colour map.
        alpha: The opacity of the map: 0 shows only the picture, 1 only the map.
        signed: Whether the map has a sign. The colour map then diverges from 0, and weaker
            values are more transparent: where the map is 0, the picture is unchanged.

    Returns:
        Mode "RGB" of the picture's size. Outside the map, the picture is unchanged.

    Raises:
        UsageError: Matplotlib has no such colour map, or it doesn't suit a signed map.
    """
    rows, width = heat.shape
    if (width, rows) == picture.size and width * rows <= _PIXELS_AT_ONCE:
        return _blend(picture, heat[:], colormap, alpha, signed)
    overlay = picture.copy()
    left, top = position
    rows_at_once = max(1, _PIXELS_AT_ONCE // width)
    for start in range(0, rows, rows_at_once):
        strip = heat[start : start + rows_at_once]
        box = (left, top + start, left + width, top + start + len(strip))
        overlay.paste(_blend(picture.crop(box), strip, colormap, alpha, signed), box)
    return overlay


def _blend(
    picture: Image.Image, heat: np.ndarray, colormap: str, alpha: float, signed: bool
) -> Image.Image:
    levels = Image.fromarray(levels_of(heat, signed))
    opacities = levels.point(opacity_table(alpha)) if signed else None
    levels.putpalette(table_for(colormap, signed))
    colors = levels.convert("RGB")
    if opacities is None:
        return Image.blend(picture, colors, alpha)
    return Image.composite(colors, picture, opacities)


def draw_heatmap(
    heat: np.ndarray, size: tuple[int, int], position: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """Places a bare map in a frame of the picture's size.

    Args:
        heat: (height, width) float32; it may cover only a part of the picture.
        size: (width, height) of the picture.
        position: The left and top edge of that part, in pixels.

    Returns:
        (height, width) float32; 0 outside the region that the network saw.
    """
    left, top = position
    rows, columns = heat.shape
    heatmap = np.zeros(size[::-1], np.float32)
    heatmap[top : top + rows, left : left + columns] = heat
    return heatmap


def heatmap_to_image(heatmap: np.ndarray, signed: bool = False) -> Image.Image:
    """Converts a map to a 16-bit grey picture.

    Args:
        heatmap: (height, width) float32 in [0, 1], or in [-1, 1] if it is signed.
        signed: Whether it is.

    Returns:
        Mode "I;16": 65535 is 1, and 0 is black or, in a signed map, the middle grey 32768.
    """
    if signed:
        values = _ZERO_16_BIT + np.rint(heatmap * _UNIT_16_BIT)
        return Image.fromarray(values.astype(np.uint16))
    return Image.fromarray(np.rint(heatmap * _MAXIMUM_16_BIT).astype(np.uint16))
