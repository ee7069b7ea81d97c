"""Draws what was measured side by side as one picture."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from benchmarks.peers import PEERS
from benchmarks.records import Record, by_folder, select, spread, subjects
from benchmarks.session import GRADCAM
from benchmarks.targets import memory, seconds, speed

_OURS = "#0b7a4b"
_OTHERS = ("#c8553d", "#3d6fb6", "#b58a1b", "#7a5aa6", "#5f6b76", "#2f9c95", "#a8577e")
_GRID = "#d9dde1"


def save_plot(records: Sequence[Record], machine: str, path: Path) -> bool:
    """Draws the panels for which there are records.

    Returns:
        Whether there was anything to draw.
    """
    panels: list[Callable[[Axes], None]] = []
    measured = [record for record in records if record.seconds]
    speeds = {"In memory": select(measured, "memory")}
    for folder, found in by_folder(select(measured, "files")).items():
        speeds[f"From files to files ({folder})"] = found
    for title, found in speeds.items():
        if found:
            panels.append(lambda axes, f=found, t=title: _draw_speeds(axes, f, t))
    for folder, growth in by_folder(select(measured, "growth")).items():
        for value, unit, title in (
            (seconds, "s", "Time of the whole run"),
            (memory, "GB", "Peak memory"),
        ):
            panels.append(
                lambda axes, g=growth, v=value, u=unit, t=f"{title} ({folder})": _draw_growth(
                    axes, g, v, u, t
                )
            )
    if not panels:
        return False
    rows = (len(panels) + 1) // 2
    figure = Figure(figsize=(11, 4.1 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, min(len(panels), 2), squeeze=False).ravel()
    for draw, axes in zip(panels, grid, strict=False):
        draw(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.supxlabel(machine, fontsize=8, color="#5f6b76")
    figure.savefig(path, dpi=150)
    return True


def _draw_speeds(axes: Axes, records: Sequence[Record], title: str) -> None:
    speeds = {
        subject: spread(select(records, records[0].scenario, subject), speed)
        for subject in subjects(records)
    }
    ordered = sorted(speeds, key=lambda subject: speeds[subject].median)
    medians = [speeds[subject].median for subject in ordered]
    errors = [
        [speeds[subject].median - speeds[subject].low for subject in ordered],
        [speeds[subject].high - speeds[subject].median for subject in ordered],
    ]
    titles = [PEERS[subject].title for subject in ordered]
    colors = [_color(subject) for subject in ordered]
    axes.barh(
        titles, medians, xerr=errors, color=colors, error_kw={"ecolor": "#30363c", "capsize": 2}
    )
    for position, subject in enumerate(ordered):
        axes.annotate(
            f"{speeds[subject].median:,.1f}",
            (speeds[subject].high, position),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    count = max(record.pictures for record in records)
    axes.set_title(f"{title}: images/s, {count:,} pictures", loc="left", fontsize=11)
    axes.margins(x=0.15)
    axes.grid(axis="x", color=_GRID)
    _clean(axes)


def _draw_growth(
    axes: Axes,
    records: Sequence[Record],
    value: Callable[[Record], float],
    unit: str,
    title: str,
) -> None:
    for subject in reversed(subjects(records)):
        of_subject = select(records, "growth", subject)
        axes.plot(
            [record.pictures for record in of_subject],
            [value(record) for record in of_subject],
            marker="o",
            markersize=4,
            linewidth=2.5 if subject == GRADCAM else 1.3,
            color=_color(subject),
            label=PEERS[subject].title,
        )
    axes.set_xscale("log")
    if unit == "s":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], frameon=False, fontsize=8)
    else:
        axes.set_ylim(bottom=0)
    counts = sorted({record.pictures for record in records})
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("pictures")
    axes.set_title(f"{title}, {unit}", loc="left", fontsize=11)
    axes.grid(color=_GRID)
    _clean(axes)


def _clean(axes: Axes) -> None:
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)


def _color(subject: str) -> str:
    others = [name for name in PEERS if name != GRADCAM]
    return _OURS if subject == GRADCAM else _OTHERS[others.index(subject) % len(_OTHERS)]
