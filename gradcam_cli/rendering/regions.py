"""Draws a region on a picture: its outline and its box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from gradcam_cli.rendering.fonts import load_font, shorten

# White between two dark edges is visible on any picture and any colour map.
_LINE_COLOR = (255, 255, 255)
_HALO_COLOR = (16, 16, 24)
_HALO_OPACITY = 0.55
_LINE_WIDTH = 0.005
# A letter's height: this part of the picture's side, but legible in a small picture.
_TEXT_PART = 1 / 40
_LEAST_TEXT = 11
_HALO_WIDTH = 2.2
# In widths of the line.
_DASH = 4
# Lines on small pictures are drawn larger and reduced, so that slanted lines look smooth.
_SMOOTHED_BELOW = 2000
_SMOOTHING = 4


def draw_lines(
    picture: Image.Image,
    lines: Sequence[np.ndarray],
    *,
    dashed: bool = False,
    color: tuple[int, int, int] = _LINE_COLOR,
) -> Image.Image:
    """Draws closed lines that are visible on any background.

    Args:
        picture: Mode "RGB".
        lines: Each (points, 2), x and y in pixels; the centre of a pixel is at one half.
        dashed: Whether to draw dashes, which can be told from other lines.
        color: The colour between the dark edges.

    Returns:
        A new picture of the same mode and size.
    """
    picture = picture.copy()
    width = max(2.0, _LINE_WIDTH * sum(picture.size) / 2)
    for paint, opacity, thickness in (
        (_HALO_COLOR, _HALO_OPACITY, width * _HALO_WIDTH),
        (color, 1.0, width),
    ):
        # At the edge of the picture, half of the line's width would be cut off.
        inside = [np.clip(line, width / 2, np.subtract(picture.size, width / 2)) for line in lines]
        if dashed:
            inside = [dash for line in inside for dash in _dashes(line, _DASH * width)]
        picture.paste(paint, mask=_line_mask(picture.size, inside, thickness, opacity))
    return picture


def box_line(box: tuple[float, float, float, float]) -> np.ndarray:
    """Turns a box (left, top, right, bottom) into a closed line for `draw_lines`."""
    left, top, right, bottom = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return np.asarray(corners, np.float32)


def draw_tag(
    picture: Image.Image, box: tuple[float, float, float, float], text: str
) -> Image.Image:
    """Writes a word at a corner of a box, on a dark ground, where it is inside the picture.

    Args:
        picture: Mode "RGB".
        box: Left, top, right and bottom in pixels.
        text: The word.

    Returns:
        A new picture of the same mode and size; unchanged if the picture is too small for text.
    """
    size = max(_LEAST_TEXT, round(_TEXT_PART * sum(picture.size) / 2))
    font = load_font(size)
    pad = max(2, round(size * 0.3))
    room = picture.width - 2 * pad
    shown = shorten(text, font, room)
    width, height = round(font.getlength(shown)) + 2 * pad, size + 2 * pad
    if width > picture.width or height > picture.height // 2:
        return picture
    left = round(min(max(0.0, box[0]), picture.width - width))
    # Above the box, or else below it, or else inside.
    top = round(box[1]) - height
    if top < 0:
        top = round(box[3]) if box[3] + height <= picture.height else max(0, round(box[1]))
    picture = picture.copy()
    ground = Image.new("RGB", (width, height), _HALO_COLOR)
    draw = ImageDraw.Draw(ground)
    draw.text((pad, height / 2), shown, _LINE_COLOR, font, anchor="lm")
    picture.paste(ground, (left, top))
    return picture


def _dashes(line: np.ndarray, length: float) -> Iterator[np.ndarray]:
    """Cuts a line into dashes with gaps of about the same length between them."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    places = np.concatenate([[0.0], np.cumsum(steps)])
    count = max(1, round(places[-1] / (2 * length)))
    period = places[-1] / count
    for start in np.arange(count) * period:
        end = start + period / 2
        inner = line[(places > start) & (places < end)]
        ends = [[np.interp(at, places, axis) for axis in line.T] for at in (start, end)]
        yield np.concatenate([ends[:1], inner, ends[1:]])


def _line_mask(
    size: tuple[int, int], lines: Sequence[np.ndarray], thickness: float, opacity: float
) -> Image.Image:
    scale = _SMOOTHING if max(size) < _SMOOTHED_BELOW else 1
    mask = Image.new("L", (size[0] * scale, size[1] * scale))
    draw = ImageDraw.Draw(mask)
    for line in lines:
        points = [(float(x), float(y)) for x, y in line * scale]
        # Repeat the second point, so that the corner at the start is joined like the others.
        is_closed = points[0] == points[-1]
        draw.line(
            [*points, *points[1:2]] if is_closed else points,
            round(opacity * 255),
            max(1, round(thickness * scale)),
            joint="curve",
        )
    return mask.reduce(scale) if scale > 1 else mask
