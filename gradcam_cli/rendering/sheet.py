"""Draws a comparison sheet: the original and the overlays of all methods, in a row per class."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from gradcam_cli.rendering.color_scale import DEFAULT_COLORMAP, bar_colors, bar_label, bar_ticks
from gradcam_cli.rendering.fonts import load_font, shorten
from gradcam_cli.rendering.palette import MUTED_TEXT, PAPER, RULE, TEXT

CELL_SIDE = 360
_MOST_COLUMNS = 5
_MARGIN = 24
_GAP = 14
_TITLE_SIZE = 27
_CLASS_SIZE = 22
_TEXT_SIZE = 19
_SMALL_SIZE = 15
_BAR_WIDTH = 18
# For the numbers at the colour bar, and for its label.
_NUMBERS_WIDTH = 28
_BAR_SPACE = 56


def draw_sheet(
    title: str,
    subtitle: str,
    methods: Sequence[tuple[str, str]],
    classes: Sequence[tuple[str, str]],
    original: Image.Image,
    cells: Sequence[Sequence[Image.Image]],
    colormap: str = DEFAULT_COLORMAP,
    ends: tuple[str, str] | None = None,
) -> Image.Image:
    """Arranges pictures in a labelled table with a colour bar.

    Args:
        title: The headline.
        subtitle: The line below it.
        methods: The heading of each method, in two lines; the second may be empty.
        classes: The heading of each class: its name, and a remark.
        original: The picture, mode "RGB", of the size of the cells.
        cells: The overlays of each class, one for each method, mode "RGB", all of one size;
            `CELL_SIDE` pixels is a good one.
        colormap: The name of the Matplotlib colormap of the overlays.
        ends: What its lowest and highest colour mean, if the maps are signed; else None.

    Returns:
        Mode "RGB" on white.
    """
    labels = [("Original", ""), *methods]
    lines = -(-len(labels) // _MOST_COLUMNS)
    # As evenly as they go.
    columns = -(-len(labels) // lines)
    heading = round(1.5 * _TEXT_SIZE) + _SMALL_SIZE * any(detail for _, detail in methods)
    step_x, step_y = original.width + _GAP, heading + original.height + _GAP
    head = _MARGIN + round(1.35 * _TITLE_SIZE) + 2 * _TEXT_SIZE
    group = round(2.2 * _CLASS_SIZE) + lines * step_y
    width = 2 * _MARGIN + columns * step_x + _BAR_WIDTH + _words_width(ends) + _BAR_SPACE
    sheet = Image.new("RGB", (width, head + len(classes) * group + _MARGIN - _GAP), PAPER)
    draw = ImageDraw.Draw(sheet)

    def write(x: int, y: int, text: str, size: int, room: int, bold: bool = False) -> int:
        """Writes a line whose letters stand on y; returns how wide it is."""
        font = load_font(size, bold)
        text = shorten(text, font, room)
        draw.text((x, y), text, TEXT if bold else MUTED_TEXT, font, anchor="ls")
        return round(font.getlength(text))

    whole = width - 2 * _MARGIN
    write(_MARGIN, _MARGIN + _TITLE_SIZE, title, _TITLE_SIZE, whole, bold=True)
    write(_MARGIN, head - round(0.8 * _TEXT_SIZE), subtitle, _TEXT_SIZE, whole)
    for number, ((name, remark), overlays) in enumerate(zip(classes, cells, strict=True)):
        top = head + number * group
        draw.line((_MARGIN, top, width - _MARGIN, top), RULE)
        baseline = top + round(1.6 * _CLASS_SIZE)
        taken = write(_MARGIN, baseline, name, _CLASS_SIZE, whole * 3 // 4, bold=True)
        write(_MARGIN + taken + _GAP, baseline, remark, _CLASS_SIZE, whole // 4)
        top += round(2.2 * _CLASS_SIZE)
        for place, picture in enumerate([original, *overlays]):
            x = _MARGIN + place % columns * step_x
            y = top + place // columns * step_y
            label, detail = labels[place]
            write(x, y + _TEXT_SIZE, label, _TEXT_SIZE, picture.width, bold=place > 0)
            write(x, y + heading - 6, detail, _SMALL_SIZE, picture.width)
            sheet.paste(picture, (x, y + heading))
        if number == 0:
            left = _MARGIN + columns * step_x
            _draw_color_bar(sheet, left, top + heading, original.height, colormap, ends)
    return sheet


def _draw_color_bar(
    sheet: Image.Image,
    left: int,
    top: int,
    height: int,
    colormap: str,
    ends: tuple[str, str] | None,
) -> None:
    colors = bar_colors(colormap, ends is not None)[::-1]
    bar = Image.fromarray(colors).resize((_BAR_WIDTH, height))
    sheet.paste(bar, (left, top))
    draw = ImageDraw.Draw(sheet)
    font = load_font(_SMALL_SIZE)
    right = left + _BAR_WIDTH
    # The outer numbers stay beside the bar.
    for (part, text), anchor in zip(bar_ticks(ends), ("lb", "lm", "lt"), strict=True):
        y = top + round((1 - part) * (height - 1))
        draw.line((right, y, right + 4, y), MUTED_TEXT)
        draw.text((right + 8, y), text, MUTED_TEXT, font, anchor=anchor)
    text = shorten(bar_label(ends), font, height)
    label = Image.new("RGB", (round(font.getlength(text)) + 1, round(1.4 * _SMALL_SIZE)), PAPER)
    ImageDraw.Draw(label).text((0, label.height // 2), text, MUTED_TEXT, font, anchor="lm")
    label = label.transpose(Image.Transpose.ROTATE_90)
    sheet.paste(label, (right + _words_width(ends) + 12, top + (height - label.height) // 2))


def _words_width(ends: tuple[str, str] | None) -> int:
    """Returns the room beside the colour bar for its ticks and their texts, in pixels."""
    if ends is None:
        return _NUMBERS_WIDTH
    font = load_font(_SMALL_SIZE)
    return 8 + max(round(font.getlength(text)) for _, text in bar_ticks(ends))
