"""Draws results as plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.ranking import best_rows
from gradcam_cli.evaluation.results import Evaluation
from gradcam_cli.evaluation.sanity import SanityCheck
from gradcam_cli.evaluation.table import ALL_METRICS
from gradcam_cli.rendering.evaluation_plot import PlottedValue, plot_metrics, plot_sanity

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_evaluation(evaluation: Evaluation, title: str) -> Figure:
    """Draws a panel for the mean ranks and one for each metric, with the best marked."""
    rows = [(row.name, row.is_baseline) for row in evaluation.rows]
    panels: dict[str, list[PlottedValue | None]] = {}
    ranked = evaluation.rank().rows
    if len(ranked) > 1:
        ranks = {one.maps.name: one.ranks for one in ranked}
        panels["Mean rank ↓"] = [_plotted(ranks.get(row.name), 1, False) for row in evaluation.rows]
    for name in evaluation.metrics:
        best = best_rows(evaluation.rows, name)
        factor = 100 if ALL_METRICS[name].is_share else 1
        panels[ALL_METRICS[name].heading] = [
            _plotted(row.measurements.get(name), factor, row in best) for row in evaluation.rows
        ]
    return plot_metrics(title, rows, panels)


def draw_sanity(check: SanityCheck, title: str) -> Figure:
    """Draws a panel for each similarity measure and mode, with a curve for each method."""
    panels: dict[str, dict[str, list[float]]] = {}
    similarities = {
        "rank correlation": [curve.rank_correlation for curve in check.curves],
        "SSIM": [curve.ssim for curve in check.curves],
    }
    for name, of_curves in similarities.items():
        for curve, similarity in zip(check.curves, of_curves, strict=True):
            panel = panels.setdefault(f"{name}, {curve.mode} randomization", {})
            panel[curve.name] = similarity.mean(axis=1).tolist()
    layers = [layer.rpartition("/")[2] for layer in check.layers]
    return plot_sanity(title, layers, panels)


def _plotted(measured: Measurement | None, factor: int, is_best: bool) -> PlottedValue | None:
    if measured is None:
        return None
    low, high = measured.interval
    return PlottedValue(factor * measured.mean, (factor * low, factor * high), is_best)
