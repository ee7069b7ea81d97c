"""Converts results to the rows of CSV tables and to JSON objects."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gradcam_cli.evaluation.evaluated_maps import EvaluatedMaps
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.ranking import Ranking
from gradcam_cli.evaluation.results import Evaluation
from gradcam_cli.evaluation.sanity import SanityCheck, sanity_verdicts
from gradcam_cli.evaluation.table import ALL_METRICS
from gradcam_cli.evaluation.verdict import Verdict

# Beside the names of metrics.
_MEAN_RANK = "mean_rank"


def summary_rows(evaluation: Evaluation) -> list[list[Any]]:
    """Makes a table with one row for each method, layer and metric, and for each mean rank.

    Returns:
        The heading (model, method, layer, metric, mean, low, high, pictures), then the rows.
        Fractions are in [0, 1].
    """
    heading = ["model", "method", "layer", "metric", "mean", "low", "high", "pictures"]
    ranks = _ranks(evaluation.rank())
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
        for metric, measured in [
            *row.measurements.items(),
            *((_MEAN_RANK, ranks[row.name]) for _ in range(row.name in ranks)),
        ]
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


def evaluation_record(evaluation: Evaluation, verdict: Verdict) -> dict[str, Any]:
    """Makes the JSON object of an evaluation and its verdict."""
    ranking = verdict.ranking
    leaders = {id(leader) for leader in ranking.leaders}
    return {
        "model": evaluation.model,
        "pictures": [str(picture) for picture in evaluation.pictures],
        "pictures_left": evaluation.pictures_left,
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
                **_identity(row),
                "figures": {
                    name: {**_figures(measured), "pictures": len(measured.values)}
                    for name, measured in row.measurements.items()
                },
                "blank": dict(
                    Counter(str(blank.reason) for blank in row.blanks.values() if blank.is_blank)
                ),
                "unsettled": sum(not blank.is_blank for blank in row.blanks.values()),
            }
            for row in evaluation.rows
        ],
        "ranking": [
            {
                **_identity(ranked.maps),
                "mean_rank": _round(ranked.ranks.mean),
                "low": _round(ranked.ranks.interval[0]),
                "high": _round(ranked.ranks.interval[1]),
                "leads": id(ranked) in leaders,
                "beats": beaten,
            }
            for ranked, beaten in zip(ranking.rows, verdict.beaten, strict=True)
        ],
        "kendalls_w": None if ranking.agreement is None else _round(ranking.agreement),
        "recommended": None if verdict.recommended is None else _identity(verdict.recommended),
        "verdicts": verdict.sentences,
        "errors": [str(error) for error in evaluation.errors],
    }


def sanity_record(check: SanityCheck) -> dict[str, Any]:
    """Makes the JSON object of a sanity check, with means over the pictures."""
    return {
        "layers": check.layers,
        "curves": [
            {
                "method": curve.method,
                "layer": curve.layer or None,
                "mode": curve.mode,
                "rank_correlation": curve.rank_correlation.mean(axis=1).round(6).tolist(),
                "ssim": curve.ssim.mean(axis=1).round(6).tolist(),
            }
            for curve in check.curves
        ],
        "verdicts": sanity_verdicts(check),
    }


def _ranks(ranking: Ranking) -> dict[str, Measurement]:
    """Returns the ranks by the name of a row; none for a single row, which has no rival."""
    rows = ranking.rows if len(ranking.rows) > 1 else []
    return {ranked.maps.name: ranked.ranks for ranked in rows}


def _identity(row: EvaluatedMaps) -> dict[str, str | None]:
    return {"method": row.method, "layer": row.layer or None}


def _figures(measured: Measurement) -> dict[str, float]:
    low, high = measured.interval
    return {"mean": _round(measured.mean), "low": _round(low), "high": _round(high)}


def _round(value: float) -> float:
    return round(value, 6)
