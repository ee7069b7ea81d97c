"""Draws sheets of pictures with two overlays each, and the difference of their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from gradcam_cli.rendering.color_scale import (
    DEFAULT_COLORMAP,
    DEFAULT_SIGNED_COLORMAP,
    bar_colors,
    levels_of,
    table_for,
)
from gradcam_cli.rendering.fonts import load_font, shorten
from gradcam_cli.rendering.overlay import draw_overlay
from gradcam_cli.rendering.palette import MUTED_TEXT, PAPER, RULE, TEXT

CELL_SIDE = 360
ROWS_ON_SHEET = 4
_COLUMNS = 4
_MARGIN = 28
_GAP = 16
_TITLE_SIZE = 27
_ROW_SIZE = 22
_TEXT_SIZE = 18
_SMALL_SIZE = 15
_BAR_HEIGHT = 12
# The picture under a difference is grey and pale, so that only the difference has colours.
_PALENESS = 0.5
# The colours of the two ends, for text.
_FIRST_COLOR, _SECOND_COLOR = (200, 24, 24), (24, 24, 200)


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One picture on a sheet.

    Attributes:
        title: Its name.
        remark: What stands beside it.
        image: The picture, mode "RGB".
        heats: The two maps, (height, width) float32 in [0, 1], of its size.
        captions: What stands below the picture and below each overlay.
    """

    title: str
    remark: str
    image: Image.Image
    heats: tuple[np.ndarray, np.ndarray]
    captions: Sequence[str]


def draw_difference(image: Image.Image, first: np.ndarray, second: np.ndarray) -> Image.Image:
    """Draws where one map is higher than another.

    Args:
        image: The picture, mode "RGB".
        first: (height, width) float32 in [0, 1]; red where it is higher.
        second: A map of the same shape; blue where it is higher.

    Returns:
        Mode "RGB". Where the maps are equal, the picture is pale and grey.
    """
    white = Image.new("RGB", image.size, (255, 255, 255))
    pale = Image.blend(image.convert("L").convert("RGB"), white, _PALENESS)
    colors = Image.fromarray(levels_of(first - second, signed=True))
    colors.putpalette(table_for(DEFAULT_SIGNED_COLORMAP, signed=True))
    # The middle of the colour map is white, which leaves the picture as it is.
    return ImageChops.multiply(pale, colors.convert("RGB"))


def draw_difference_sheet(
    title: str, subtitle: str, names: tuple[str, str], rows: Sequence[SheetRow]
) -> Image.Image:
    """Arranges pictures, overlays and differences in rows, below the colour bars.

    Args:
        title: The headline.
        subtitle: The line below it.
        names: What the first and the second overlay of each picture are by.
        rows: The pictures; `ROWS_ON_SHEET` is a good number.

    Returns:
        Mode "RGB" on white.
    """
    width = 2 * _MARGIN + _COLUMNS * CELL_SIDE + (_COLUMNS - 1) * _GAP
    head = _MARGIN + round(1.35 * _TITLE_SIZE) + 2 * _TEXT_SIZE
    bars = round(1.6 * _TEXT_SIZE) + _BAR_HEIGHT + round(2.2 * _SMALL_SIZE)
    row_head, foot = round(2.2 * _ROW_SIZE), round(1.9 * _SMALL_SIZE)
    originals = [_reduced(row.image) for row in rows]
    heights = [row_head + original.height + foot for original in originals]
    sheet = Image.new("RGB", (width, head + bars + sum(heights) + _MARGIN), PAPER)
    writer = _Writer(sheet)
    whole = width - 2 * _MARGIN
    writer.write(_MARGIN, _MARGIN + _TITLE_SIZE, title, _TITLE_SIZE, whole, bold=True)
    writer.write(_MARGIN, head - round(0.8 * _TEXT_SIZE), subtitle, _TEXT_SIZE, whole)
    lefts = [_MARGIN + column * (CELL_SIDE + _GAP) for column in range(_COLUMNS)]
    _draw_headings(writer, head, lefts, names)
    top = head + bars
    for row, original, height in zip(rows, originals, heights, strict=True):
        writer.draw.line((_MARGIN, top, width - _MARGIN, top), RULE)
        baseline = top + round(1.5 * _ROW_SIZE)
        taken = writer.write(_MARGIN, baseline, row.title, _ROW_SIZE, whole // 2, bold=True)
        writer.write(_MARGIN + taken + _GAP, baseline, row.remark, _TEXT_SIZE, whole // 2)
        overlays = [draw_overlay(row.image, heat) for heat in row.heats]
        difference = draw_difference(row.image, *row.heats)
        cells = [original, *map(_reduced, (*overlays, difference))]
        for left, cell in zip(lefts, cells, strict=True):
            sheet.paste(cell, (left, top + row_head))
        below = top + row_head + original.height + round(1.3 * _SMALL_SIZE)
        for left, caption in zip(lefts, row.captions, strict=False):
            writer.write(left, below, caption, _SMALL_SIZE, CELL_SIDE)
        top += height
    return sheet


class _Writer:
    """Writes lines of text on a sheet."""

    def __init__(self, sheet: Image.Image) -> None:
        self.sheet = sheet
        self.draw = ImageDraw.Draw(sheet)

    def write(
        self,
        x: int,
        y: int,
        text: str,
        size: int,
        room: int,
        bold: bool = False,
        color: tuple[int, int, int] | None = None,
        anchor: str = "ls",
    ) -> int:
        """Writes a line whose letters stand on y; returns how wide it is."""
        font = load_font(size, bold)
        text = shorten(text, font, room)
        self.draw.text((x, y), text, color or (TEXT if bold else MUTED_TEXT), font, anchor=anchor)
        return round(font.getlength(text))


def _draw_headings(writer: _Writer, top: int, lefts: Sequence[int], names: tuple[str, str]) -> None:
    """Draws the heading of each column with its colour bar."""
    baseline = top + _TEXT_SIZE
    bar_top = top + round(1.6 * _TEXT_SIZE)
    ticks = bar_top + _BAR_HEIGHT + round(1.2 * _SMALL_SIZE)
    original, *of_maps, of_difference = lefts
    writer.write(original, baseline, "Original", _TEXT_SIZE, CELL_SIDE)
    for left, name in zip(of_maps, names, strict=True):
        writer.write(left, baseline, name, _TEXT_SIZE, CELL_SIDE, bold=True)
        _draw_bar(writer, left, bar_top, bar_colors(DEFAULT_COLORMAP, False))
        writer.write(left, ticks, "0", _SMALL_SIZE, CELL_SIDE)
        middle, right = left + CELL_SIDE // 2, left + CELL_SIDE
        writer.write(middle, ticks, "of the maximum", _SMALL_SIZE, CELL_SIDE, anchor="ms")
        writer.write(right, ticks, "1", _SMALL_SIZE, CELL_SIDE, anchor="rs")
    left, right = of_difference, of_difference + CELL_SIDE
    writer.write(left, baseline, "Difference: hotter for", _TEXT_SIZE, CELL_SIDE, bold=True)
    _draw_bar(writer, left, bar_top, bar_colors(DEFAULT_SIGNED_COLORMAP, True))
    room = CELL_SIDE // 2 - _GAP
    for x, name, color, anchor in (
        (left, names[1], _SECOND_COLOR, "ls"),
        (right, names[0], _FIRST_COLOR, "rs"),
    ):
        writer.write(x, ticks, name, _SMALL_SIZE, room, color=color, anchor=anchor)
    writer.write(left + CELL_SIDE // 2, ticks, "0", _SMALL_SIZE, room, anchor="ms")


def _draw_bar(writer: _Writer, left: int, top: int, colors: np.ndarray) -> None:
    bar = Image.fromarray(colors.reshape(1, -1, 3)).resize((CELL_SIDE, _BAR_HEIGHT))
    writer.sheet.paste(bar, (left, top))
    box = (left, top, left + CELL_SIDE - 1, top + _BAR_HEIGHT - 1)
    writer.draw.rectangle(box, outline=RULE)


def _reduced(image: Image.Image) -> Image.Image:
    scale = min(CELL_SIDE / image.width, CELL_SIDE / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)
