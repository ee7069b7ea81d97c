"""Formats the values of metrics: headings and tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from gradcam_cli.cli.console import plain_table, visible
from gradcam_cli.evaluation.table import ALL_METRICS, MetricInfo

if TYPE_CHECKING:
    from gradcam_cli.evaluation.evaluated_maps import EvaluatedMaps
    from gradcam_cli.evaluation.measurement import Measurement
    from gradcam_cli.evaluation.ranking import Ranking
    from gradcam_cli.evaluation.results import Evaluation
    from gradcam_cli.evaluation.verdict import Verdict

_GAP = 2
_MARK = "★"
_UNKNOWN = "–"
_MEAN_RANK = "Mean rank ↓"


@dataclass(frozen=True)
class _Column:
    heading: str
    cells: list[Text]

    @property
    def width(self) -> int:
        return max(len(self.heading), *(cell.cell_len for cell in self.cells)) + _GAP


@dataclass(frozen=True)
class ResultTables:
    """The tables of an evaluation, as many as the width of the terminal requires.

    Methods come in the order of their ranks, then the baselines, dimmed. In each column, the
    best method is marked if it beats the baselines.
    """

    evaluation: Evaluation
    verdict: Verdict
    default_layer: str | None = None
    _columns: list[_Column] = field(init=False, repr=False)
    _rows: list[EvaluatedMaps] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Formats all columns."""
        from gradcam_cli.evaluation.ranking import best_rows

        rows = _in_order(self.evaluation, self.verdict.ranking)
        columns: list[_Column] = []
        if len(self.verdict.ranking.rows) > 1:
            columns += _rank_columns(rows, self.verdict)
        for name in self.evaluation.metrics:
            metric, best = ALL_METRICS[name], best_rows(rows, name)
            cells = [_cell(row.measurements.get(name), metric, row in best) for row in rows]
            columns.append(_Column(metric.heading, cells))
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_columns", columns)

    def heading(self) -> Text:
        """The line above: the model, the pictures, what the signs mean."""
        from gradcam_cli.evaluation.evaluated_maps import common_part

        number, left = len(self.evaluation.pictures), self.evaluation.pictures_left
        pictures = f"{number} picture{'s' * (number != 1)}"
        if left:
            pictures = f"interrupted: only {number} of {number + left} pictures"
        parts = [self.evaluation.model, common_part(self.evaluation.rows), pictures]
        plain = [cell.plain for column in self._columns for cell in column.cells]
        if any("±" in cell for cell in plain):
            parts.append("mean ± half of the 95 % confidence interval")
        if any(_MARK in cell for cell in plain):
            baselines = " and ".join(row.title for row in self.evaluation.baselines)
            parts.append(f"{_MARK} best{f', and better than {baselines}' if baselines else ''}")
        return Text(visible(" · ".join(filter(None, parts))), style="dim")

    def tables(self, width: int) -> Iterator[Table]:
        """Yields the tables for a terminal of this width."""
        names = [self._name(row) for row in self._rows]
        room = width - max(map(len, names)) - _GAP
        columns = list(self._columns)
        while columns:
            fitting = _fitting(columns, room)
            yield _table(self._rows, names, columns[:fitting])
            del columns[:fitting]

    def _name(self, row: EvaluatedMaps) -> str:
        from gradcam_cli.evaluation.evaluated_maps import short_name

        is_default = row.layer is not None and row.layer == self.default_layer
        return short_name(row, self.evaluation.rows) + " (default)" * is_default


def running_table(evaluation: Evaluation, width: int) -> Table:
    """Makes a table of the means so far, with the metrics that fit."""
    from gradcam_cli.evaluation.evaluated_maps import short_name

    ranking = evaluation.rank()
    rows = _in_order(evaluation, ranking)
    columns = []
    if len(ranking.rows) > 1:
        ranks = {id(ranked.maps): Text(f"{ranked.ranks.mean:.1f}") for ranked in ranking.rows}
        columns = [_Column(_MEAN_RANK, [ranks.get(id(row), Text()) for row in rows])]
    for name in evaluation.metrics:
        metric = ALL_METRICS[name]
        cells = [_cell(row.measurements.get(name), metric, False, _format_mean) for row in rows]
        columns.append(_Column(metric.heading, cells))
    names = [short_name(row, evaluation.rows) for row in rows]
    fitting = _fitting(columns, width - max(map(len, names)) - _GAP)
    return _table(rows, names, columns[:fitting])


def format_measurement(measured: Measurement, metric: MetricInfo) -> str:
    """Formats a mean and half of its confidence interval: "28.3 ±4.1".

    A single picture has no interval.
    """
    mean = _format_mean(measured, metric)
    if len(measured.values) == 1:
        return mean
    factor = 100 if metric.is_share else 1
    return f"{mean} ±{factor * measured.margin:.{_digits(measured, metric)}f}"


def _format_mean(measured: Measurement, metric: MetricInfo) -> str:
    digits = _digits(measured, metric)
    # Adding 0 removes the sign of a negative zero.
    mean = round((100 if metric.is_share else 1) * measured.mean, digits) + 0.0
    return f"{mean:.{digits}f}"


def _digits(measured: Measurement, metric: MetricInfo) -> int:
    if metric.is_share:
        return 1
    return 2 if abs(measured.mean) >= 1 else 3


def _in_order(evaluation: Evaluation, ranking: Ranking) -> list[EvaluatedMaps]:
    """Puts the rows in the order of their ranks, the baselines last."""
    ranked = [row.maps for row in ranking.rows]
    return [*(ranked or evaluation.explained), *evaluation.baselines]


def _rank_columns(rows: Sequence[EvaluatedMaps], verdict: Verdict) -> Iterator[_Column]:
    from gradcam_cli.evaluation.ranking import FEWEST_PICTURES

    ranked = verdict.ranking.rows
    empty = [Text()] * (len(rows) - len(ranked))
    several = len(ranked[0].ranks.values) > 1
    cells = [
        Text(f"{row.ranks.mean:.1f}" + f" ±{row.ranks.margin:.1f}" * several) for row in ranked
    ]
    yield _Column(_MEAN_RANK, cells + empty)
    if len(ranked[0].ranks.values) < FEWEST_PICTURES:
        return
    for title in verdict.beaten[0]:
        won = [len(beaten[title]) for beaten in verdict.beaten]
        of_all = f" of {len(verdict.ranking.metrics)}"
        yield _Column(f"Beats {title}", [Text(f"{number}{of_all}") for number in won] + empty)


def _cell(
    measured: Measurement | None,
    metric: MetricInfo,
    is_best: bool,
    format_: Callable[[Measurement, MetricInfo], str] = format_measurement,
) -> Text:
    if measured is None:
        return Text(_UNKNOWN)
    text = Text(f"{_MARK} " if is_best else "", style="bold green" if is_best else "")
    return text.append(format_(measured, metric))


def _fitting(columns: Sequence[_Column], room: int) -> int:
    """Counts the columns that fit side by side; at least one."""
    number = 0
    for column in columns:
        room -= column.width
        # The last column needs no gap.
        if room < -_GAP:
            break
        number += 1
    return max(1, number)


def _table(
    rows: Sequence[EvaluatedMaps], names: Sequence[str], columns: Sequence[_Column]
) -> Table:
    table = plain_table(("", "left"), *((column.heading, "right") for column in columns))
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        cells = [column.cells[number] for column in columns]
        table.add_row(Text(name), *cells, style="dim" if row.is_baseline else "")
    return table
