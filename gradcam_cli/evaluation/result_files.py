"""Writes figures to files: tables and plots that belong together."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import OutputError
from gradcam_cli.evaluation.measuring import Evaluation
from gradcam_cli.evaluation.sanity import SanityCheck
from gradcam_cli.evaluation.table import ALL_METRICS
from gradcam_cli.files.marks import OVERLAY_SUFFIX, is_companion, is_own_result, mark
from gradcam_cli.files.writing import written_whole
from gradcam_cli.rendering.encoding import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ResultFiles:
    """A plot and its tables in one folder; earlier ones of this tool are replaced.

    Attributes:
        plot: The PNG, which carries the mark.
        table: The CSV of means and intervals.
        details: The CSV of single pictures.
    """

    def __init__(self, folder: Path, name: str, sources: Sequence[str | Path]) -> None:
        """Names the files, before anything is computed.

        Args:
            folder: Where they go.
            name: What they begin with.
            sources: What the user named to be measured.

        Raises:
            OutputError: A file of the user's has one of the names.
        """
        self.plot = folder / f"{name}{OVERLAY_SUFFIX}.png"
        self.table = folder / f"{name}{OVERLAY_SUFFIX}.csv"
        self.details = folder / f"{name}{OVERLAY_SUFFIX}_pictures.csv"
        self._source = Path(sources[0])
        tables = (self.table, self.details)
        strangers = [path for path in tables if path.exists() and not is_companion(path, self.plot)]
        if self.plot.exists() and not is_own_result(self.plot):
            strangers.append(self.plot)
        if strangers:
            raise OutputError(
                f"{strangers[0]}: is there already and isn't a result of gradcam; choose another "
                f"folder with --out"
            )

    def write_plot(self, figure: Figure, title: str) -> None:
        """Writes the plot, with the mark that lets it and the tables be replaced."""
        tables = (self.table, self.details)
        own = mark(self._source, self.plot.parent, title, tables)
        with written_whole(self.plot) as file:
            save_figure(figure, file, "png", own)

    def write_table(self, path: Path, rows: Sequence[Sequence[Any]]) -> None:
        """Writes one of the tables.

        Args:
            path: `table` or `details`.
            rows: The heading and the rows.
        """
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        with written_whole(path) as file:
            file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def summary_rows(evaluation: Evaluation) -> list[list[Any]]:
    """Makes a table with one row for each method, layer and metric.

    Returns:
        The heading: model, method, layer, metric, mean, low, high, pictures; and the rows.
        Shares are in [0, 1].
    """
    heading = ["model", "method", "layer", "metric", "mean", "low", "high", "pictures"]
    return [heading] + [
        [
            evaluation.model,
            row.method,
            row.layer or "",
            metric,
            *(_round(v) for v in (measured.mean, *measured.interval)),
            len(measured.values),
        ]
        for row in evaluation.rows
        for metric, measured in row.measurements.items()
    ]


def picture_rows(evaluation: Evaluation) -> list[list[Any]]:
    """Makes a table with one row for each picture, method and layer."""
    rows: list[list[Any]] = [["picture", "method", "layer", *evaluation.metrics]]
    for number, picture in enumerate(evaluation.pictures):
        for row in evaluation.rows:
            values = row.values[number]
            cells = [_round(values[name]) if name in values else "" for name in evaluation.metrics]
            rows.append([str(picture), row.method, row.layer or "", *cells])
    return rows


def sanity_rows(check: SanityCheck) -> list[list[Any]]:
    """Makes a table with one row for each method, mode and step: means over the pictures."""
    rows: list[list[Any]] = [
        ["method", "layer", "mode", "step", "lost", "rank_correlation", "ssim", "pictures"]
    ]
    for curve in check.curves:
        for step, lost in enumerate(["", *check.layers]):
            figures = (curve.rank_correlation[step], curve.ssim[step])
            rows.append(
                [
                    curve.method,
                    curve.layer,
                    curve.mode,
                    step,
                    lost,
                    *(_round(float(values.mean())) for values in figures),
                    len(figures[0]),
                ]
            )
    return rows


def evaluation_record(evaluation: Evaluation, verdicts: Sequence[str]) -> dict[str, Any]:
    """Makes the JSON object of an evaluation."""
    return {
        "model": evaluation.model,
        "pictures": [str(picture) for picture in evaluation.pictures],
        "metrics": {
            name: {
                "title": ALL_METRICS[name].title,
                "better": "higher" if ALL_METRICS[name].higher_is_better else "lower",
                "paper": ALL_METRICS[name].paper,
            }
            for name in evaluation.metrics
        },
        "rows": [
            {
                "method": row.method,
                "layer": row.layer,
                "figures": {
                    name: {
                        "mean": _round(measured.mean),
                        "low": _round(measured.interval[0]),
                        "high": _round(measured.interval[1]),
                        "pictures": len(measured.values),
                    }
                    for name, measured in row.measurements.items()
                },
            }
            for row in evaluation.rows
        ],
        "verdicts": list(verdicts),
        "errors": [str(error) for error in evaluation.errors],
    }


def _round(value: float) -> float:
    return round(value, 6)
