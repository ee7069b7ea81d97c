"""Formats the results of detectors: as lines for people, as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from gradcam_cli.cli.console import visible

if TYPE_CHECKING:
    from gradcam_cli.run.records import ExplainedTarget, PictureResult

_NAME_WIDTH = 22


def object_lines(
    result: PictureResult, title: Text, bar: Callable[[float], str], width: int
) -> Text:
    """Formats the result of one picture: its objects, their boxes and the files.

    Args:
        result: A result without an error.
        title: The line with the picture.
        bar: Draws a probability.
        width: The number of characters in a line.
    """
    lines = [title]
    if result.note:
        lines.append(Text(f"  {visible(result.note)}", style="yellow"))
    for target in result.targets:
        prediction = target.prediction
        name = Text(visible(prediction.name), style="bold")
        name.truncate(_NAME_WIDTH, overflow="ellipsis", pad=True)
        row = Text("  ").append_text(name).append(f"  {prediction.numbers:>4}  ", style="dim")
        row.append(bar(prediction.probability), style="green")
        row.append(f"  {prediction.text:>7}").append(f"  {_box_in_words(target)}", style="dim")
        lines.append(row)
        paths = [path for path in (target.output, target.heatmap, target.mask) if path is not None]
        texts = [Text(f"→ {visible(str(path))}", style="green") for path in paths]
        if target.region is not None and target.region.box is not None:
            left, top, right, bottom = target.region.box
            texts.append(Text(f"hot box ({left}, {top})–({right}, {bottom})", style="dim"))
        if len(texts) == 1 and row.cell_len + 2 + texts[0].cell_len <= width:
            row.append("  ").append_text(texts.pop())
        lines += [Text("    ").append_text(text) for text in texts]
        if target.blank is not None:
            lines.append(Text(f"    {visible(target.blank.note)}", style="yellow"))
    lines += [
        Text(f"  → {visible(str(path))}", style="green")
        for path in (*result.composites.values(), result.figure)
        if path is not None
    ]
    return Text("\n").join(lines)


def object_record(record: dict[str, Any], target: ExplainedTarget) -> dict[str, Any]:
    """Turns the record of an explained class into that of a detected object.

    Args:
        record: The record of its class and files.
        target: The object.
    """
    detected = target.detected
    assert detected is not None
    of_class: dict[str, Any] = {
        name: record.pop(name) for name in ("index", "name", "wnid") if name in record
    }
    score = record.pop(target.prediction.quantity)
    return {**of_class, "score": score, "box": detected.rounded, **record}


def _box_in_words(target: ExplainedTarget) -> str:
    assert target.detected is not None
    left, top, right, bottom = map(round, target.detected.box)
    return f"({left}, {top})–({right}, {bottom})"
