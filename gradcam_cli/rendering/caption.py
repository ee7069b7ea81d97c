"""A band of text below a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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
    note: str = "",
    bar: tuple[np.ndarray, tuple[str, str]] | None = None,
) -> Image.Image:
    """Writes two lines below a picture, and further ones if there is a note.

    Args:
        picture: Mode "RGB".
        text: What stands in the first line, in heavy letters.
        value: What stands beside it.
        detail: The second line.
        note: A sentence below, wrapped; "" for none.
        bar: A colour bar at the end of the first line: its colours, (levels, 1, 3) uint8, and the
            words at its ends, with 0 in the middle; None for none.

    Returns:
        Mode "RGB". A picture that is too narrow for text is in the middle of a wider one.
    """
    width = max(picture.width, _LEAST_WIDTH)
    size = max(_LEAST_TEXT, round(width * _TEXT_PART))
    margin = size // 2
    room = width - 2 * margin
    small = round(size * _SMALLER)
    light = load_font(small)
    noted = _wrap(note, light, room)
    step = small + margin // 2
    height = margin + size + margin // 2 + small + margin + len(noted) * step
    canvas = Image.new("RGB", (width, picture.height + height), BAND)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    room_above = float(room)
    if bar is not None:
        room_above -= size + _draw_bar(canvas, picture.height + margin, size, *bar)
    heavy, plain = load_font(size, bold=True), load_font(size)
    top = picture.height + margin
    beside = f"  {value}"
    text = shorten(text, heavy, room_above - plain.getlength(beside))
    # Both lines by their baselines, so that letters below them don't matter.
    draw.text((margin, top + size), text, TEXT, heavy, anchor="ls")
    left = margin + heavy.getlength(text)
    draw.text((left, top + size), beside, TEXT, plain, anchor="ls")
    bottom = top + size + margin // 2 + small
    draw.text((margin, bottom), shorten(detail, light, room), MUTED_TEXT, light, anchor="ls")
    for number, line in enumerate(noted, 1):
        draw.text((margin, bottom + number * step), line, TEXT, light, anchor="ls")
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
    drawn = Image.fromarray(colors.reshape(1, -1, 3)).resize((width, height))
    canvas.paste(drawn, (left, bottom - height))
    draw.rectangle((left, bottom - height, left + width - 1, bottom - 1), outline=RULE)
    draw.text((left + width // 2, bottom - height - 1), "0", MUTED_TEXT, font, anchor="ms")
    draw.text((left, bottom), low, MUTED_TEXT, font, anchor="rs")
    return round(right - left + font.getlength(low))


def _wrap(text: str, font: ImageFont.FreeTypeFont, room: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(shorten(word, font, room))
    return lines
