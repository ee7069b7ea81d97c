"""A band of text below a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from gradcam_cli.rendering.fonts import load_font, shorten
from gradcam_cli.rendering.palette import BAND, MUTED_TEXT, RULE, TEXT

# A letter's height: this part of the picture's width, but legible in a small picture.
_TEXT_PART = 1 / 32
_LEAST_TEXT = 12
_LEAST_WIDTH = 320
_SMALLER = 0.75
_BAR_HEIGHT = 0.4


def add_caption(
    picture: Image.Image,
    text: str,
    value: str,
    detail: str,
    colors: np.ndarray | None = None,
    ends: tuple[str, str] | None = None,
) -> Image.Image:
    """Writes two lines below a picture, and at the end of the first a colour bar, if there is one.

    Args:
        picture: Mode "RGB".
        text: What stands in the first line, in heavy letters.
        value: What stands beside it.
        detail: The second line.
        colors: (levels, 1, 3) uint8, the colours of the bar; None for no bar.
        ends: The words at the ends of the bar; its middle is 0.

    Returns:
        Mode "RGB". A picture that is too narrow for text is in the middle of a wider one.
    """
    width = max(picture.width, _LEAST_WIDTH)
    size = max(_LEAST_TEXT, round(width * _TEXT_PART))
    margin = size // 2
    room = width - 2 * margin
    small = round(size * _SMALLER)
    height = margin + size + margin // 2 + small + margin
    canvas = Image.new("RGB", (width, picture.height + height), BAND)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    room_above = float(room)
    if colors is not None and ends is not None:
        bar = colors.reshape(1, -1, 3)
        room_above -= size + _draw_bar(canvas, picture.height + margin, size, bar, ends)
    heavy, plain = load_font(size, bold=True), load_font(size)
    top = picture.height + margin
    beside = f"  {value}"
    text = shorten(text, heavy, room_above - plain.getlength(beside))
    # Both lines by their baselines, so that letters below them don't matter.
    draw.text((margin, top + size), text, TEXT, heavy, anchor="ls")
    left = margin + heavy.getlength(text)
    draw.text((left, top + size), beside, TEXT, plain, anchor="ls")
    bottom = top + size + margin // 2 + small
    light = load_font(small)
    draw.text((margin, bottom), shorten(detail, light, room), MUTED_TEXT, light, anchor="ls")
    return canvas


def _draw_bar(
    canvas: Image.Image, top: int, size: int, colors: np.ndarray, ends: tuple[str, str]
) -> int:
    """Draws a colour bar with a word at each end, at the right edge; returns its width."""
    draw, font = ImageDraw.Draw(canvas), load_font(round(size * _SMALLER))
    low, high = f"{ends[0]} ", f" {ends[1]}"
    width, height = 6 * size, max(4, round(size * _BAR_HEIGHT))
    right, bottom = canvas.width - size // 2, top + size
    draw.text((right, bottom), high, MUTED_TEXT, font, anchor="rs")
    left = round(right - font.getlength(high)) - width
    canvas.paste(Image.fromarray(colors).resize((width, height)), (left, bottom - height))
    draw.rectangle((left, bottom - height, left + width - 1, bottom - 1), outline=RULE)
    draw.text((left + width // 2, bottom - height - 1), "0", MUTED_TEXT, font, anchor="ms")
    draw.text((left, bottom), low, MUTED_TEXT, font, anchor="rs")
    return round(right - left + font.getlength(low))
