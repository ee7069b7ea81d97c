"""Draws the figure known from papers: original and overlays side by side, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gradcam_cli.rendering.color_scale import (
    DEFAULT_COLORMAP,
    bar_colors,
    bar_label,
    bar_ticks,
    table_for,
)
from gradcam_cli.rendering.fonts import load_font, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Dots per inch.
PRINT = 300
SCREEN = 110
# The area of one picture in square inches, for a page with two columns of text.
_PANEL_AREA = 8.0
_PANEL_GAP = 0.16
_MARGIN = 0.22
_TITLE_HEIGHT = 0.62
_CAPTION_HEIGHT = 0.42
_DETAIL_HEIGHT = 0.17
_COLORBAR_WIDTH = 0.13
_COLORBAR_SPACE = 0.78
# With words in place of numbers.
_WORDY_COLORBAR_SPACE = 1.05
_MOST_COLUMNS = 4
_FONT = "DejaVu Sans"
_POINTS_PER_INCH = 72
# In pixels; large enough that rounding doesn't matter.
_MEASURED_AT = 100
_TEXT_COLOR = "#1c1c20"
_MUTED_COLOR = "#68686f"


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Attributes:
        image: Mode "RGB".
        title: The line above it.
        detail: The line below the title.
    """

    image: Image.Image
    title: str
    detail: str = ""


def arrange(
    panels: Sequence[Panel | None], columns: int = _MOST_COLUMNS
) -> list[list[Panel | None]]:
    """Breaks panels into rows of at most ``columns``, as evenly as possible."""
    rows = -(-len(panels) // columns)
    width = -(-len(panels) // rows)
    return [list(panels[start : start + width]) for start in range(0, len(panels), width)]


def draw_figure(
    title: str,
    subtitle: str,
    rows: Sequence[Sequence[Panel | None]],
    colormap: str = DEFAULT_COLORMAP,
    dots_per_inch: int = PRINT,
    ends: tuple[str, str] | None = None,
) -> Figure:
    """Arranges panels in a labelled grid with a colour bar.

    It uses Matplotlib's objects without pyplot, so it works in threads and without a
    display.

    Args:
        title: The headline.
        subtitle: The line below it.
        rows: The panels. Rows may differ in length, and None leaves a position empty. All
            panels have the aspect ratio of the first.
        colormap: The colour map of the overlays, a name that Matplotlib knows.
        dots_per_inch: `PRINT`, or `SCREEN` for a figure that fits on a screen.
        ends: What the lowest and the highest colour mean, if the maps are signed; else None.

    Returns:
        A figure, to be written with `gradcam_cli.rendering.encoding.save_figure`.

    Raises:
        UsageError: Matplotlib has no such colour map, or it doesn't suit signed maps.
    """
    from matplotlib.figure import Figure

    table_for(colormap, ends is not None)
    columns = max(map(len, rows))
    panels = [panel for row in rows for panel in row if panel is not None]
    ratio = panels[0].image.width / panels[0].image.height
    panel_height = float(np.clip((_PANEL_AREA / ratio) ** 0.5, 1.2, 4.2))
    panel_width = panel_height * ratio
    caption = _CAPTION_HEIGHT
    if any(panel.detail for panel in panels):
        caption += _DETAIL_HEIGHT
    height = _TITLE_HEIGHT + len(rows) * (panel_height + caption) + _MARGIN
    space = _COLORBAR_SPACE if ends is None else _WORDY_COLORBAR_SPACE
    width = columns * (panel_width + _PANEL_GAP) + space + 2 * _MARGIN
    figure = Figure(figsize=(width, height), dpi=dots_per_inch, facecolor="white")

    def place(left: float, top: float, width_: float, height_: float) -> Axes:
        inches = (left, height - top - height_, width_, height_)
        return figure.add_axes((np.asarray(inches) / (width, height, width, height)).tolist())

    def write(left: float, top: float, text: str, size: float, room: float, bold: bool) -> None:
        figure.text(
            left / width,
            1 - top / height,
            _shortened(text, size, room, bold),
            fontsize=size,
            fontfamily=_FONT,
            fontweight="bold" if bold else "normal",
            color=_TEXT_COLOR if bold else _MUTED_COLOR,
            verticalalignment="top",
            # A dollar sign in a name must not start a formula.
            parse_math=False,
        )

    whole = width - 2 * _MARGIN
    write(_MARGIN, _MARGIN, title, 13, whole, bold=True)
    write(_MARGIN, _MARGIN + 0.27, subtitle, 8.5, whole, bold=False)
    top = _MARGIN + _TITLE_HEIGHT
    for row in rows:
        for column, panel in enumerate(row):
            if panel is None:
                continue
            left = _MARGIN + column * (panel_width + _PANEL_GAP)
            write(left, top + 0.02, panel.title, 9, panel_width, bold=True)
            write(left, top + 0.2, panel.detail, 7.5, panel_width, bold=False)
            axes = place(left, top + caption - 0.16, panel_width, panel_height)
            shown = _reduced(panel.image, (panel_width, panel_height), dots_per_inch)
            axes.imshow(np.asarray(shown), interpolation="none", aspect="auto")
            axes.set_axis_off()
        top += panel_height + caption
    bar_left = _MARGIN + columns * (panel_width + _PANEL_GAP) + 0.04
    bar_top = _MARGIN + _TITLE_HEIGHT + caption - 0.16
    _draw_color_bar(place(bar_left, bar_top, _COLORBAR_WIDTH, panel_height), colormap, ends)
    return figure


def render_figure(figure: Figure) -> Image.Image:
    """Renders a figure at its own resolution.

    Returns:
        Mode "RGB".
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _draw_color_bar(axes: Axes, colormap: str, ends: tuple[str, str] | None) -> None:
    colors = bar_colors(colormap, ends is not None)
    axes.imshow(colors, origin="lower", aspect="auto", extent=(0, 1, 0, 1))
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_xticks([])
    positions, texts = zip(*bar_ticks(ends), strict=True)
    axes.set_yticks(positions, texts, fontsize=7.5, fontfamily=_FONT)
    axes.set_ylabel(bar_label(ends), fontsize=7.5, fontfamily=_FONT, color=_MUTED_COLOR, labelpad=2)
    axes.tick_params(length=2, width=0.5, colors=_MUTED_COLOR, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _reduced(image: Image.Image, inches: tuple[float, float], dots_per_inch: int) -> Image.Image:
    """Reduces a picture to the pixels that are shown, so that PDF and SVG files stay small."""
    size = round(inches[0] * dots_per_inch), round(inches[1] * dots_per_inch)
    if image.width <= size[0] and image.height <= size[1]:
        return image
    return image.resize(size, Image.Resampling.LANCZOS)


def _shortened(text: str, size: float, inches: float, bold: bool) -> str:
    """Truncates text to the width that is available."""
    room = inches * _POINTS_PER_INCH / size * _MEASURED_AT
    return shorten(text, load_font(_MEASURED_AT, bold), room)
