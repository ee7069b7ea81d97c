"""Draws a sheet of slices of a volume with their heat."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image, ImageDraw

from gradcam_cli.files.marks import Mark
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.files.writing import written_whole
from gradcam_cli.pictures.stacks.stack import Frame
from gradcam_cli.pictures.stacks.volumes import Volume
from gradcam_cli.rendering.encoding import encode_picture
from gradcam_cli.rendering.fonts import load_font, shorten
from gradcam_cli.rendering.palette import MUTED_TEXT, PAPER, TEXT
from gradcam_cli.rendering.stacks.writer import StackWriter

MOST_CELLS = 20
# There is room for the headline above few slices too.
_COLUMNS, _LEAST_COLUMNS = 5, 3
_CELL = 256
_MARGIN, _GAP = 24, 14
_TITLE, _TEXT, _SMALL = 26, 18, 15
# The letters lie on the picture, which may be black or white there.
_LETTER, _OUTLINE = (255, 255, 255), (0, 0, 0)
_INSET = 5
_SHIFT = 6


@dataclass(frozen=True, eq=False)
class _Cell:
    """A slice on the sheet.

    Attributes:
        frame: The slice.
        picture: Its overlay, in the size of the sheet.
        heat: The mean of its heat.
    """

    frame: Frame
    picture: Image.Image
    heat: float


@contextlib.contextmanager
def written_sheet(volume: Volume, path: AnyPath, mark: Mark) -> Iterator[SliceSheetWriter]:
    """Opens a PNG for slices; it appears under its name only if the block ends without error.

    Args:
        volume: What is drawn.
        path: The file.
        mark: The mark that says where the drawings come from. Its title is the headline.

    Raises:
        OutputError: The file or its folder can't be written.
    """
    with written_whole(path) as file:
        writer = SliceSheetWriter(volume, file, mark)
        yield writer
        writer.close()


class SliceSheetWriter(StackWriter):
    """Writes a PNG with up to `MOST_CELLS` slices (see `StackWriter`).

    They are spread evenly over the explained slices. The one with the most heat is always there.
    """

    def __init__(self, stack: Volume, file: IO[bytes], mark: Mark) -> None:
        """Starts without slices.

        Args:
            stack: The volume.
            file: A file that is open for writing.
            mark: The mark that says where the overlays come from. Its title is the headline.
        """
        self._volume = stack
        self._file = file
        self._mark = mark
        self._kept: list[tuple[int, _Cell]] = []
        self._hottest: tuple[int, _Cell] | None = None
        self._count, self._step = 0, 1

    def add(self, frame: Frame, overlay: Image.Image, heat: np.ndarray) -> None:
        """Takes a slice. How many there will be isn't known yet."""
        place, total = self._count, float(np.abs(heat).mean())
        self._count += 1
        is_hottest = self._hottest is None or total > self._hottest[1].heat
        if place % self._step and not is_hottest:
            return
        cell = _Cell(frame, _fitted(overlay), total)
        if is_hottest:
            self._hottest = place, cell
        if place % self._step == 0:
            self._kept.append((place, cell))
        if len(self._kept) > 2 * MOST_CELLS:
            self._step *= 2
            self._kept = self._kept[::2]

    def close(self) -> None:
        """Draws and writes the sheet."""
        assert self._hottest is not None
        cells = self._chosen(self._hottest)
        sheet = _draw(self._mark.title, self._volume, cells, self._hottest[1])
        self._file.write(encode_picture(sheet, "png", self._mark))

    def _chosen(self, hottest: tuple[int, _Cell]) -> list[_Cell]:
        kept = self._kept
        if len(kept) > MOST_CELLS:
            spread = np.linspace(0, len(kept) - 1, MOST_CELLS)
            kept = [kept[round(place)] for place in spread]
        if hottest[0] not in [place for place, _ in kept]:
            if len(kept) == MOST_CELLS:
                nearest = min(kept, key=lambda one: abs(one[0] - hottest[0]))
                kept = [one for one in kept if one is not nearest]
            kept = sorted([*kept, hottest], key=lambda one: one[0])
        return [cell for _, cell in kept]


def _fitted(overlay: Image.Image) -> Image.Image:
    scale = _CELL / max(overlay.size)
    width, height = (max(1, round(length * scale)) for length in overlay.size)
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return overlay.resize((width, height), method)


def _draw(title: str, volume: Volume, cells: Sequence[_Cell], hottest: _Cell) -> Image.Image:
    columns = min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    width, height = cells[0].picture.size
    has_captions = any(cell.frame.caption for cell in cells)
    below = round(1.5 * _TEXT) + round(1.4 * _SMALL) * has_captions
    step_x, step_y = max(width, _CELL) + _GAP, height + below + _GAP
    head = _MARGIN + round(2.4 * _TITLE)
    wide = max(columns, _LEAST_COLUMNS) * step_x - _GAP
    size = (2 * _MARGIN + wide, head + rows * step_y + _MARGIN - _GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)

    def write(x: int, y: int, text: str, size: int, room: int, bold: bool = False) -> None:
        font = load_font(size, bold)
        color = TEXT if bold else MUTED_TEXT
        draw.text((x, y), shorten(text, font, room), color, font, anchor="ls")

    whole = size[0] - 2 * _MARGIN
    write(_MARGIN, _MARGIN + _TITLE, title, _TITLE, whole, bold=True)
    shown = f"{len(cells)} slices" if len(cells) > 1 else "1 slice"
    write(
        _MARGIN,
        head - round(0.7 * _GAP),
        f"{shown} of {volume.count}, counted from 0: {volume.title}",
        _TEXT,
        whole,
    )
    for place, cell in enumerate(cells):
        x = _MARGIN + place % columns * step_x
        y = head + place // columns * step_y
        # Text below a narrow picture needs more room than that has.
        left = x + min((step_x - _GAP - width) // 2, _SHIFT)
        sheet.paste(cell.picture, (left, y))
        _write_letters(draw, volume, (left, y), (width, height))
        frame, is_hottest = cell.frame, cell is hottest and len(cells) > 1
        label = f"{frame.number}" + f"  {frame.position}" * bool(frame.position)
        label += "  hottest" * is_hottest
        room = x + step_x - _GAP - left
        write(left, y + height + _TEXT + 2, label, _TEXT, room, bold=is_hottest)
        write(left, y + height + below - 2, frame.caption, _SMALL, room)
    return sheet


def _write_letters(
    draw: ImageDraw.ImageDraw, volume: Volume, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """Writes in which directions the sides of a slice lie: R, L, A, P, S or I."""
    if volume.letters is None:
        return
    (x, y), (width, height) = corner, size
    font = load_font(_SMALL, bold=True)
    places = (
        (x + _INSET, y + height // 2, "lm"),
        (x + width - _INSET, y + height // 2, "rm"),
        (x + width // 2, y + _INSET, "mt"),
        (x + width // 2, y + height - _INSET, "mb"),
    )
    for letter, (across, down, anchor) in zip(volume.letters, places, strict=True):
        draw.text(
            *((across, down), letter, _LETTER, font),
            anchor=anchor,
            stroke_width=1,
            stroke_fill=_OUTLINE,
        )
