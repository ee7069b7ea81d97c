"""The font for text in pictures, and how much text there is room for."""

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


def shorten(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """Cuts text to the room that it has, with an ellipsis.

    Args:
        text: One line.
        font: What it is written in.
        room: In pixels.
    """
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1].rstrip()
    return f"{text}…"
