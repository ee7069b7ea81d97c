"""Formats the values of metrics: tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from gradcam_cli.cli.console import plain_table
from gradcam_cli.evaluation.table import ALL_METRICS, MetricInfo

if TYPE_CHECKING:
    from gradcam_cli.evaluation.measurement import Measurement
    from gradcam_cli.evaluation.results import EvaluatedMaps, Evaluation

_CELL_WIDTH = 15
_GAP = 2
_MARK = "★"


def metric_tables(evaluation: Evaluation, width: int) -> Iterator[Table]:
    """Yields the tables of values, as many as the width of the terminal requires.

    The best method of each column is marked. Baselines are dimmed and never marked.
    """
    from gradcam_cli.evaluation.ranking import best_rows

    names = max(len(row.name) for row in evaluation.rows)
    at_once = max(1, (width - names - _GAP) // (_CELL_WIDTH + _GAP))
    for start in range(0, len(evaluation.metrics), at_once):
        metrics = evaluation.metrics[start : start + at_once]
        best = {name: best_rows(evaluation, name) for name in metrics}
        table = plain_table(
            ("", "left"), *((ALL_METRICS[name].heading, "right") for name in metrics)
        )
        for row in evaluation.rows:
            cells = [_cell(row, name, row in best[name]) for name in metrics]
            table.add_row(Text(row.name), *cells, style="dim" if row.is_baseline else "")
        yield table


def ranking_table(
    ranking: list[tuple[EvaluatedMaps, float]], metrics: list[str], width: int
) -> Table:
    """Makes the table of layers, best first, with their mean ranks and the metrics that fit."""
    names = max(len(row.layer or "") for row, _ in ranking)
    room = width - names - len("mean rank") - 4 * _GAP
    metrics = metrics[: max(0, room // (_CELL_WIDTH + _GAP))]
    table = plain_table(
        ("", "right"),
        ("layer", "left"),
        ("mean rank", "right"),
        *((ALL_METRICS[name].heading, "right") for name in metrics),
    )
    for number, (row, rank) in enumerate(ranking, start=1):
        cells = [_cell(row, name, False) for name in metrics]
        style = "bold green" if number == 1 else ""
        table.add_row(str(number), Text(row.layer or ""), f"{rank:.1f}", *cells, style=style)
    return table


def _cell(row: EvaluatedMaps, name: str, is_best: bool) -> Text:
    if name not in row.measurements:
        return Text("–")
    text = Text(f"{_MARK} " if is_best else "", style="bold green" if is_best else "")
    text.append(format_measurement(row.measurements[name], ALL_METRICS[name]))
    return text


def format_measurement(measured: Measurement, metric: MetricInfo) -> str:
    """Formats a mean and half of its confidence interval: "28.3 ±4.1"."""
    factor, digits = (100, 1) if metric.is_share else (1, 3)
    if not metric.is_share and abs(measured.mean) >= 1:
        digits = 2
    # Adding 0 removes the sign of a negative zero.
    mean = round(factor * measured.mean, digits) + 0.0
    return f"{mean:.{digits}f} ±{factor * measured.margin:.{digits}f}"
