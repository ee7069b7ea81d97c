"""``gradcam show IMAGE``: explains a picture on the screen."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradcam_cli.cli.console import (
    has_colors,
    picture_console,
    say_warning,
    stdout_console,
    visible,
)
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.method_names import MethodName
from gradcam_cli.cli.options import (
    USUAL_METHODS,
    LayerName,
    against_option,
    alpha_option,
    classes_option,
    colormap_option,
    debug_option,
    filled_with,
    fit_option,
    hot_only_option,
    join_option,
    max_download_option,
    model_options,
    region_option,
    signed_option,
)
from gradcam_cli.cli.path_types import StoragePath
from gradcam_cli.errors import UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath, file_name
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.rendering.color_scale import table_for
from gradcam_cli.rendering.terminal import TERMINAL_KINDS
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import DEFAULT_TOP_K, DrawOptions, ExplainOptions, MachineOptions
from gradcam_cli.run.ready_job import ReadyJob, make_ready

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from gradcam_cli.run.records import PictureResult

_ASKING = ("kitty", "sixel")
_WINDOW, _BLOCKS, _TEXT = "window", "blocks", "text"
# The line with the command above, and the prompt below.
_LINES_AROUND = 2
_LEAST_LINES = 8
_LEGEND = "Picture and map, from low (░) to high (█); --as blocks draws in colour"
_LEVELS_OF_BAR = 15


@click.command(short_help="Show a picture in a window or in the terminal.")
@click.argument("image", type=StoragePath())
@model_options
@click.option("-l", "--layer", metavar="NAME", type=LayerName(), help="The layer to explain.")
@click.option(
    "--method",
    metavar="NAME",
    type=MethodName(),
    help=f"The method that computes the map ('gradcam methods' lists them). {USUAL_METHODS}",
)
@filled_with(
    "wanted",
    ExplainOptions,
    classes_option("The class to explain. Can be repeated. [default: the most probable]"),
    join_option,
    against_option,
    region_option,
    fit_option("How to fit the picture into the network's input (see 'gradcam explain --help')."),
)
@filled_with(
    "draw",
    DrawOptions,
    signed_option,
    alpha_option,
    colormap_option,
    click.option("--contour", is_flag=True, help="Outline the region above 15 % of the maximum."),
    click.option(
        "--box",
        is_flag=True,
        help="Draw the bounding box of the largest connected part of that region.",
    ),
    hot_only_option,
)
@filled_with("machine", MachineOptions, max_download_option)
@click.option(
    "--as",
    "kind",
    type=click.Choice([_WINDOW, *TERMINAL_KINDS]),
    help="Where to show it. [default: a window if there is a display, else the best that the "
    "terminal supports]",
)
@debug_option
@click.pass_context
def show(
    ctx: click.Context,
    /,
    image: AnyPath,
    model: ModelOptions,
    layer: str | int | None,
    method: str | None,
    wanted: ExplainOptions,
    draw: DrawOptions,
    machine: MachineOptions,
    kind: str | None,
) -> None:
    """Explains one picture on the screen, without writing a file.

    If there is a display, the figure opens in a window. Terminals that can show pictures (kitty,
    iTerm2 and those with sixel graphics) show it inline. Other terminals show the overlay in
    coloured half blocks. Without colours (NO_COLOR), the picture is drawn in dots and the map
    beside it in shades.

    \b
    Examples:
      gradcam show photo.jpg
      gradcam show photo.jpg --class tabby --as blocks
    """
    table_for(draw.colors, draw.signed)
    model.check_files()

    from gradcam_cli.rendering.terminal import detect_terminal
    from gradcam_cli.rendering.window import can_open_window

    if kind == _WINDOW and not can_open_window():
        raise UsageError(
            "--as window: there is no display, or no toolkit that Matplotlib can use (such as "
            "python3-tk)"
        )
    # Both query the terminal for the size of its characters and read the answer from it.
    if kind in _ASKING and sys.stdout.isatty() and not sys.stdin.isatty():
        raise UsageError(f"--as {kind}: standard input must be the terminal")
    if kind is None:
        kind = _WINDOW if can_open_window() else detect_terminal()
        if kind == _BLOCKS and not has_colors():
            kind = _TEXT

    layers = () if layer is None else (layer,)
    picture = InputPicture(image, Path())
    wanted = replace(
        wanted, layers=layers, methods=() if method is None else (method,), top_k=DEFAULT_TOP_K
    )
    job = Job(model.having(layers), wanted, draw, machine=machine)
    job.check()

    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow(ctx.meta[DEBUG])

    ready = make_ready(job, [picture])
    ready.explainers[0].classifier.check_single_pictures("'gradcam show'")
    task = ready.task
    targets = replace(task.targets, with_files=0)
    task = replace(task, targets=targets, keeps_panels=True, keeps_card=kind == _TEXT)
    ready = replace(ready, task=task)
    (result,) = ready.explain(ready.pictures)
    if result.error is not None:
        raise result.error
    _show(ready, result, draw, kind)


def _show(ready: ReadyJob, result: PictureResult, draw: DrawOptions, kind: str) -> None:
    from rich.text import Text

    from gradcam_cli.cli.display import result_lines
    from gradcam_cli.rendering.figure import SCREEN, render_figure
    from gradcam_cli.rendering.terminal import print_picture, side_by_side
    from gradcam_cli.rendering.window import open_window
    from gradcam_cli.run.figures import figure_of

    classifier = ready.explainers[0].classifier
    for warning in classifier.warning, ready.describe_collapse([result.picture]):
        if warning:
            say_warning(warning)
    console = stdout_console()
    table = result_lines(result, DEFAULT_TOP_K, console.width)
    if classifier.task_reason:
        task = Text(visible(f"task {classifier.described_task}"), style="dim")
        table = Text("\n").join([task, table])
    console.print(table)
    ends = ready.explainers[0].ends
    if kind == _TEXT:
        legend = _LEGEND
        if ends is not None:
            legend = legend.replace("map", f"'{ends[1]}' and '{ends[0]}'", 1)
        lines = _lines_left(console, table, legend)
        console.print(_in_characters(ready, result, console.width, lines), soft_wrap=True)
        console.print(legend)
        return
    bar = None
    if kind == _BLOCKS:
        # The text of a figure would be unreadable at this size. The lines above name the classes.
        rows = [row for row in result.panels if row[0] is not None]
        overlays = [panel.image for row in rows for panel in row[1:] if panel is not None]
        shown = side_by_side(overlays)
        bar = None if ends is None else _color_bar(draw.colors, ends)
    else:
        facts = [explainer.facts for explainer in ready.explainers]
        figure = figure_of(result.panels, result.picture, facts, draw.colors, SCREEN)
        if kind == _WINDOW:
            open_window(figure, file_name(result.picture.path))
            return
        shown = render_figure(figure)
    console = picture_console()
    print_picture(console, shown, kind, _lines_left(console, table, *([bar] if bar else [])))
    if bar is not None:
        console.print(bar)


def _color_bar(colormap: str, ends: tuple[str, str]) -> Text:
    """Makes a line with the colours of signed maps."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    from gradcam_cli.rendering.color_scale import bar_colors

    colors = bar_colors(colormap, True)[:, 0]
    bar = Text(f"{ends[0]} ")
    for level in range(_LEVELS_OF_BAR):
        place = round(level / (_LEVELS_OF_BAR - 1) * (len(colors) - 1))
        color = Color.from_rgb(*map(int, colors[place]))
        bar.append(
            "0" if 2 * level + 1 == _LEVELS_OF_BAR else " ", Style(color="black", bgcolor=color)
        )
    return bar.append(f" {ends[1]}")


def _lines_left(console: Console, *others: RenderableType) -> int:
    """Returns how many lines are left for a picture if nothing is to scroll out of view."""
    taken = sum(len(console.render_lines(other, pad=False)) for other in others)
    return max(_LEAST_LINES, console.height - taken - _LINES_AROUND)


def _in_characters(ready: ReadyJob, result: PictureResult, columns: int, lines: int) -> str:
    from gradcam_cli.rendering.characters import draw_side_by_side
    from gradcam_cli.run.drawing import frame_heat, lay_map

    original = result.panels[0][0]
    assert original is not None
    prepared = ready.task.inputs.prepare(original.image)
    pitch = ready.explainers[0].pitch
    heatmaps = [
        frame_heat(prepared, lay_map(prepared, shown.cells, pitch, ready.task.draw).heat)
        for shown in result.cards[0].maps
    ]
    if ready.task.draw.signed:
        heatmaps = [part.clip(min=0) for heat in heatmaps for part in (heat, -heat)]
    return draw_side_by_side(original.image, heatmaps, columns, lines)
