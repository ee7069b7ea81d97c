"""Plots metrics with their confidence intervals, and the curves of sanity checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK = "#222222"
_PALE = "#9a9a9a"
_BEST = "#0b7a4b"
_OTHER = "#2f6db3"
_COLUMNS = 4
_DPI = 150
# Okabe and Ito's palette, which colour-blind people can distinguish.
_CURVES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


@dataclass(frozen=True)
class PlottedValue:
    """One mean with its interval.

    Attributes:
        mean: The position of the dot.
        interval: The ends of the line.
        is_best: Whether it is the best value among the methods.
    """

    mean: float
    interval: tuple[float, float]
    is_best: bool = False


def plot_metrics(
    title: str,
    rows: Sequence[tuple[str, bool]],
    panels: Mapping[str, Sequence[PlottedValue | None]],
) -> Figure:
    """Draws a panel for each metric, with a line for each method.

    Args:
        title: The headline.
        rows: The name of each row, and whether it is a baseline.
        panels: The value of each row, by the heading of the metric.

    Returns:
        The figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    longest = max(len(name) for name, _ in rows)
    figure = Figure(
        figsize=(2.5 * columns + 0.085 * longest + 0.3, (0.3 * len(rows) + 0.95) * lines + 0.5),
        layout="constrained",
        facecolor="white",
        dpi=_DPI,
    )
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, color=_INK, x=0.01, ha="left", weight="bold")
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for axis, (heading, values) in zip(axes, panels.items(), strict=False):
        axis.set_title(heading, fontsize=10, color=_INK, loc="left")
        axis.grid(axis="x", color="#e6e6e6", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=8, length=0, colors=_INK)
        for side in ("top", "right", "left", "bottom"):
            axis.spines[side].set_visible(False)
        for place, value in enumerate(values):
            if value is None:
                continue
            color = _PALE if rows[place][1] else _BEST if value.is_best else _OTHER
            axis.plot(value.interval, (place, place), color=color, linewidth=2, alpha=0.55)
            axis.plot(value.mean, place, "o", color=color, markersize=7 if value.is_best else 5)
        axis.margins(x=0.08)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    axes[0].set_yticks(range(len(rows)), [name for name, _ in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for line in range(lines):
        for label, (_, is_baseline) in zip(
            axes[line * columns].get_yticklabels(), rows, strict=False
        ):
            label.set_color("#777777" if is_baseline else _INK)
    return figure


def plot_sanity(
    title: str,
    layers: Sequence[str],
    curves: Mapping[str, Mapping[str, Sequence[float]]],
) -> Figure:
    """Plots the similarity of maps to the originals as layers are randomized.

    Args:
        title: The headline.
        layers: The layers, from the output to the input.
        curves: By the heading of a panel (similarity measure and mode) and by method: the
            mean similarity for the trained network, then after each layer.

    Returns:
        The figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = -(-len(curves) // 2)
    figure = Figure(
        figsize=(12, 3.9 * lines + 0.6), layout="constrained", facecolor="white", dpi=_DPI
    )
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, color=_INK, x=0.01, ha="left", weight="bold")
    axes = figure.subplots(lines, 2, squeeze=False, sharey=True, sharex=True).ravel()
    for axis, (heading, by_method) in zip(axes, curves.items(), strict=False):
        axis.set_title(heading, fontsize=10, color=_INK, loc="left")
        for number, (name, values) in enumerate(by_method.items()):
            axis.plot(
                range(len(values)),
                values,
                marker="o",
                markersize=4,
                linewidth=1.8,
                color=_CURVES[number % len(_CURVES)],
                label=name,
            )
        axis.axhline(0, color="#bbbbbb", linewidth=0.8)
        axis.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        axis.tick_params(labelsize=8, colors=_INK)
    lowest = min(min(values) for by_method in curves.values() for values in by_method.values())
    axes[0].set_ylim(min(-0.12, lowest) - 0.03, 1.04)
    for axis in axes[-2:]:
        axis.set_xticks(
            range(len(layers) + 1), ["none", *layers], rotation=40, ha="right", fontsize=7
        )
        axis.set_xlabel("randomized layer, from the output to the input", fontsize=9, color=_INK)
    axes[0].legend(fontsize=8, frameon=False)
    return figure
