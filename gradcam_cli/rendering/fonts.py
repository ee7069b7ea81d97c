"""The font for text in pictures."""

from __future__ import annotations

from functools import cache

from PIL import ImageFont


@cache
def load_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Loads DejaVu Sans, which ships with Matplotlib and covers most alphabets.

    Args:
        size: The font size, in pixels.
        bold: Whether to load the bold font.
    """
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold" if bold else "DejaVuSans"
    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{name}.ttf", size)
