"""Converts results to the rows of CSV tables and to JSON objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gradcam_cli.evaluation.results import Evaluation
from gradcam_cli.evaluation.sanity import SanityCheck, sanity_verdicts
from gradcam_cli.evaluation.table import ALL_METRICS


def summary_rows(evaluation: Evaluation) -> list[list[Any]]:
    """Makes a table with one row for each method, layer and metric.

    Returns:
        The heading (model, method, layer, metric, mean, low, high, pictures), then the rows.
        Fractions are in [0, 1].
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
    """Makes a table of means over the pictures, one row for each method, mode and step."""
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
                "blank": dict(Counter(str(blank.reason) for blank in row.blanks.values())),
            }
            for row in evaluation.rows
        ],
        "verdicts": list(verdicts),
        "errors": [str(error) for error in evaluation.errors],
    }


def sanity_record(check: SanityCheck) -> dict[str, Any]:
    """Makes the JSON object of a sanity check, with means over the pictures."""
    return {
        "layers": check.layers,
        "curves": [
            {
                "method": curve.method,
                "layer": curve.layer,
                "mode": curve.mode,
                "rank_correlation": curve.rank_correlation.mean(axis=1).round(6).tolist(),
                "ssim": curve.ssim.mean(axis=1).round(6).tolist(),
            }
            for curve in check.curves
        ],
        "verdicts": sanity_verdicts(check),
    }


def _round(value: float) -> float:
    return round(value, 6)
