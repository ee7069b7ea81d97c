"""Draws a comparison sheet: one column for each method, one row for each class."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from gradcam_cli.rendering.fonts import load_font

CELL_SIDE = 360
_GAP = 12
_TEXT_SIZE = 22
_SMALL_TEXT_SIZE = 17
_LABEL_WIDTH = 190
_HEADER_HEIGHT = 40
_INK = (25, 25, 25)
_PALE_INK = (110, 110, 110)


def draw_sheet(
    columns: Sequence[str],
    rows: Sequence[tuple[str, str]],
    cells: Sequence[Sequence[Image.Image]],
) -> Image.Image:
    """Arranges pictures in a labelled table.

    Args:
        columns: The heading of each column.
        rows: The two lines of text before each row.
        cells: The pictures of each row, mode "RGB", all of one size; `CELL_SIDE` pixels is
            a good one.

    Returns:
        Mode "RGB" on white.
    """
    cell = cells[0][0]
    left, top = _LABEL_WIDTH + 2 * _GAP, _HEADER_HEIGHT + _GAP
    step_x, step_y = cell.width + _GAP, cell.height + _GAP
    sheet = Image.new(
        "RGB", (left + len(columns) * step_x, top + len(rows) * step_y), (255, 255, 255)
    )
    draw = ImageDraw.Draw(sheet)
    font, small = load_font(_TEXT_SIZE, bold=True), load_font(_SMALL_TEXT_SIZE)
    for number, title in enumerate(columns):
        middle = left + number * step_x + cell.width // 2
        fitted = _fit_size(draw, title, cell.width)
        draw.text((middle, top - _GAP), title, _INK, fitted, anchor="ms")
    for row, (name, remark) in enumerate(rows):
        y = top + row * step_y
        middle = y + cell.height // 2
        lines = _wrap(draw, name, _LABEL_WIDTH)
        height = len(lines) * (_TEXT_SIZE + 4)
        draw.multiline_text(
            (_GAP, middle - height // 2 - _SMALL_TEXT_SIZE // 2), "\n".join(lines), _INK, font
        )
        draw.text((_GAP, middle + height // 2), remark, _PALE_INK, small, anchor="lt")
        for column, picture in enumerate(cells[row]):
            sheet.paste(picture, (left + column * step_x, y))
    return sheet


def _fit_size(draw: ImageDraw.ImageDraw, text: str, width: int) -> ImageFont.FreeTypeFont:
    size = _TEXT_SIZE
    while size > 8 and draw.textlength(text, load_font(size, bold=True)) > width:
        size -= 1
    return load_font(size, bold=True)


def _wrap(draw: ImageDraw.ImageDraw, text: str, width: int) -> list[str]:
    font = load_font(_TEXT_SIZE, bold=True)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(longer, font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
