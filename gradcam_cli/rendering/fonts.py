"""The font for text in pictures."""

from __future__ import annotations

from functools import cache

from PIL import ImageFont


@cache
def load_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Loads DejaVu Sans, which comes with Matplotlib and has most alphabets.

    Args:
        size: Height of the letters, in pixels.
        bold: Whether they are heavy.
    """
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold" if bold else "DejaVuSans"
    return ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{name}.ttf", size)
