"""Writes the files of a comparison: a record, a table, and sheets of pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradcam_cli.analysis.comparison import WEIGHTS, Comparison
from gradcam_cli.analysis.comparison_records import HEADING, comparison_record, picture_rows
from gradcam_cli.cam.facts import describe, describe_layers
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.files.marks import mark, printable
from gradcam_cli.files.result_folder import ResultFolder
from gradcam_cli.files.storage import file_name, to_path
from gradcam_cli.files.tables import write_table
from gradcam_cli.files.writing import written_whole
from gradcam_cli.models.labels import Prediction
from gradcam_cli.rendering.difference_sheet import (
    ROWS_ON_SHEET,
    SheetRow,
    draw_difference_sheet,
)
from gradcam_cli.rendering.encoding import DEFAULT_FORMAT, encode_picture
from gradcam_cli.run.comparison import DrawnPicture

_RECORD, _TABLE = "comparison.json", "comparison.csv"
_MOST_DIFFERENT = 12
_MOST_OF_ONE_RIGHT = ROWS_ON_SHEET
_SHEETS = -(-_MOST_DIFFERENT // ROWS_ON_SHEET)
_DIFFERENT, _ONLY_FIRST, _ONLY_SECOND = "most_different", "only_first_right", "only_second_right"
# All files that a comparison may write.
NAMES = (
    *(_RECORD, _TABLE, f"{_ONLY_FIRST}.png", f"{_ONLY_SECOND}.png"),
    *(f"{_DIFFERENT}_{number}.png" for number in range(1, _SHEETS + 1)),
)


def comparison_folder(out: Path) -> ResultFolder:
    """Returns the folder for the files of a comparison.

    Raises:
        OutputError: It holds something else, or can't be written.
    """
    return ResultFolder(out, "comparison", NAMES)


def choose_drawn(comparison: Comparison) -> list[int]:
    """Chooses the pictures for the sheets, as indices in `Comparison.pictures`."""
    chosen = [number for sheet in _choose_sheets(comparison) for number in sheet.numbers]
    return list(dict.fromkeys(chosen))


def write_comparison(
    comparison: Comparison, drawn: Sequence[DrawnPicture], folder: Path
) -> list[str]:
    """Writes the files of a comparison.

    Args:
        comparison: The comparison.
        drawn: The pictures that `choose_drawn` chose.
        folder: The folder for the files.

    Returns:
        The names of the sheets.

    Raises:
        OutputError: A file can't be written.
    """
    by_number = {one.number: one for one in drawn}
    sheets = []
    for sheet in _choose_sheets(comparison):
        if any(number in by_number for number in sheet.numbers):
            _write_sheet(sheet, comparison, by_number, folder)
            sheets.append(sheet.name)
    with written_whole(folder / _RECORD) as file:
        text = json.dumps(comparison_record(comparison), ensure_ascii=False, indent=1)
        file.write(f"{printable(text)}\n".encode())
    with written_whole(folder / _TABLE) as file:
        file.write(write_table([HEADING, *picture_rows(comparison)]))
    return sheets


@dataclass(frozen=True)
class _Sheet:
    """What a sheet shows.

    Attributes:
        name: The name of its file.
        title: Its headline, after the names of the two.
        numbers: The pictures, as indices in `Comparison.pictures`.
    """

    name: str
    title: str
    numbers: Sequence[int]


def _choose_sheets(comparison: Comparison) -> list[_Sheet]:
    different = comparison.most_different[:_MOST_DIFFERENT]
    sheets = [
        _Sheet(
            f"{_DIFFERENT}_{1 + start // ROWS_ON_SHEET}.png",
            "where their maps differ most",
            different[start : start + ROWS_ON_SHEET],
        )
        for start in range(0, len(different), ROWS_ON_SHEET)
    ]
    if comparison.has_two_networks:
        first, second = (side.name for side in comparison.sides)
        for name, only, numbers in (
            (_ONLY_FIRST, first, comparison.only_first),
            (_ONLY_SECOND, second, comparison.only_second),
        ):
            chosen = _surest(comparison, numbers)
            if chosen:
                sheets.append(_Sheet(f"{name}.png", f"only {only} is right", chosen))
    return sheets


def _surest(comparison: Comparison, numbers: Sequence[int]) -> list[int]:
    """Returns the pictures about which the two networks are surest in total."""

    def doubt(number: int) -> float:
        return -sum(one.probability for one in comparison.pictures[number].predicted)

    return sorted(numbers, key=doubt)[:_MOST_OF_ONE_RIGHT]


def _write_sheet(
    sheet: _Sheet, comparison: Comparison, drawn: Mapping[int, DrawnPicture], folder: Path
) -> None:
    names = (comparison.sides[0].name, comparison.sides[1].name)
    rows = [_row(comparison, drawn[number], names) for number in sheet.numbers if number in drawn]
    title = f"{names[0]} and {names[1]}: {sheet.title}"
    subtitle = f"{_describe_sides(comparison)} · maps of {comparison.compared_class}"
    image = draw_difference_sheet(title, subtitle, names, rows)
    source = to_path(comparison.pictures[sheet.numbers[0]].path)
    with written_whole(folder / sheet.name) as file:
        file.write(encode_picture(image, DEFAULT_FORMAT, mark(source, folder, title)))


def _row(comparison: Comparison, drawn: DrawnPicture, names: tuple[str, str]) -> SheetRow:
    picture = comparison.pictures[drawn.number]
    remark = [f"maps of {picture.explained[0].name}"]
    if picture.correlation is not None and picture.overlap is not None:
        remark += [
            f"rank correlation {picture.correlation:.2f}".replace("-", "−"),
            f"hottest fifths overlap by {100 * picture.overlap:.0f} %",
        ]
    shown = picture.explained if comparison.are_values else picture.predicted
    right = picture.right or (None, None)
    truth = "" if picture.truth is None else f"true class: {picture.truth}"
    captions = [_caption(one, is_right) for one, is_right in zip(shown, right, strict=True)]
    if not comparison.has_two_networks:
        # Both captions are the same.
        truth, captions = " · ".join(filter(None, [captions[0], truth])), []
    return SheetRow(
        " ".join(printable(file_name(to_path(picture.path))).split()),
        " · ".join(remark),
        drawn.image,
        drawn.heats,
        [truth, *captions],
    )


def _caption(prediction: Prediction | None, is_right: bool | None) -> str:
    if prediction is None:
        return ""
    sign = {None: "", True: " ✓", False: " ✗"}[is_right]
    return f"{prediction.name} {prediction.text}{sign}"


def _describe_sides(comparison: Comparison) -> str:
    first, second = (side.explainer for side in comparison.sides)
    if not comparison.has_two_networks:
        return describe([first, second])
    titles = dict.fromkeys(METHODS[facts.method].title for facts in (first, second))
    model = first.model if comparison.kind == WEIGHTS else ""
    layers = describe_layers([first.layer, second.layer])
    return " · ".join(filter(None, [model, ", ".join(titles), layers]))
