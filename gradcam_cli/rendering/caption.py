"""A band of text below a picture."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from gradcam_cli.rendering.fonts import load_font, shorten
from gradcam_cli.rendering.palette import BAND, MUTED_TEXT, TEXT

# A letter's height: this part of the picture's width, but legible in a small picture.
_TEXT_PART = 1 / 32
_LEAST_TEXT = 12
_LEAST_WIDTH = 320
_SMALLER = 0.75


def add_caption(
    picture: Image.Image, text: str, value: str, detail: str, note: str = ""
) -> Image.Image:
    """Writes two lines below a picture, and further ones if there is a note.

    Args:
        picture: Mode "RGB".
        text: What stands in the first line, in heavy letters.
        value: What stands beside it.
        detail: The second line.
        note: A sentence below, wrapped; "" for none.

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
    heavy, plain = load_font(size, bold=True), load_font(size)
    top = picture.height + margin
    beside = f"  {value}"
    text = shorten(text, heavy, room - plain.getlength(beside))
    # Both lines by their baselines, so that letters below them don't matter.
    draw.text((margin, top + size), text, TEXT, heavy, anchor="ls")
    left = margin + heavy.getlength(text)
    draw.text((left, top + size), beside, TEXT, plain, anchor="ls")
    bottom = top + size + margin // 2 + small
    draw.text((margin, bottom), shorten(detail, light, room), MUTED_TEXT, light, anchor="ls")
    for number, line in enumerate(noted, 1):
        draw.text((margin, bottom + number * step), line, TEXT, light, anchor="ls")
    return canvas


def _wrap(text: str, font: ImageFont.FreeTypeFont, room: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(shorten(word, font, room))
    return lines
