"""Pictures made of characters: coloured half blocks, or dots and shades without colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps
from rich.color import Color
from rich.style import Style
from rich.text import Text

# From nothing to the maximum of a map.
SHADES = " ░▒▓█"
_HALF_BLOCK = "▀"
_GAP = "  "
# A braille character has four rows of two dots; what each adds to the first character's number.
_BRAILLE = 0x2800
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
# How many times higher than wide a character is.
_CELL_RATIO = 2
# In percent: so much of the darkest and the brightest may lose its detail.
_CUT_OFF = 1


def draw_half_blocks(picture: Image.Image, columns: int, lines: int) -> Text:
    """Draws a picture in characters whose two halves are pixels, one above the other.

    Args:
        picture: Mode "RGB".
        columns: How many characters a line may have.
        lines: How many lines there may be.

    Returns:
        The lines, without the last line break.
    """
    width, height = _fitting(picture, columns, lines)
    reduced = picture.resize((width, 2 * height), Image.Resampling.LANCZOS)
    pixels = np.asarray(reduced).reshape(height, 2, width, 3)
    drawn = Text(no_wrap=True, end="")
    for number, (upper, lower) in enumerate(pixels.tolist()):
        drawn.append("\n" if number else "")
        for above, below in zip(upper, lower, strict=True):
            drawn.append(_HALF_BLOCK, Style(color=_color(above), bgcolor=_color(below)))
    return drawn


def draw_side_by_side(
    picture: Image.Image, heatmaps: Sequence[np.ndarray], columns: int, lines: int
) -> str:
    """Draws a picture in dots, and beside it maps in shades.

    Args:
        picture: Mode "RGB".
        heatmaps: Of the picture's size, (height, width) float32 in [0, 1].
        columns: How many characters a line may have.
        lines: How many lines there may be.

    Returns:
        The lines, without the last line break.
    """
    number = 1 + len(heatmaps)
    room = (columns - len(_GAP) * (number - 1)) // number
    width, height = _fitting(picture, room, lines)
    drawn = [_in_dots(picture, width, height)]
    drawn += [_in_shades(heatmap, width, height) for heatmap in heatmaps]
    return "\n".join(_GAP.join(parts).rstrip() for parts in zip(*drawn, strict=True))


def _fitting(picture: Image.Image, columns: int, lines: int) -> tuple[int, int]:
    """Returns how many characters wide and high a picture becomes in its own shape."""
    ratio = picture.width / picture.height * _CELL_RATIO
    width = max(1, min(columns, round(lines * ratio)))
    return width, max(1, min(lines, round(width / ratio)))


def _color(pixel: Sequence[int]) -> Color:
    return Color.from_rgb(*pixel)


def _in_dots(picture: Image.Image, width: int, height: int) -> list[str]:
    rows, columns = _DOTS.shape
    size = width * columns, height * rows
    grey = ImageOps.autocontrast(picture.convert("L").resize(size), _CUT_OFF)
    # Pillow's own way to black and white spreads the error: grey becomes so many dots.
    dots = np.asarray(grey.convert("1")).reshape(height, rows, width, columns)
    numbers = _BRAILLE + np.einsum("hrwc,rc->hw", dots, _DOTS)
    return ["".join(map(chr, line)) for line in numbers]


def _in_shades(heatmap: np.ndarray, width: int, height: int) -> list[str]:
    reduced = Image.fromarray(np.asarray(heatmap, np.float32))
    levels = np.asarray(reduced.resize((width, height), Image.Resampling.BOX))
    numbers = np.rint(levels.clip(0, 1) * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[number] for number in line) for line in numbers]
