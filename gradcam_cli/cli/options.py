"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import click
from click.shell_completion import CompletionItem

from gradcam_cli.cam.methods.table import DEFAULT_METHOD, METHODS
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.models.catalogue import CATALOGUE, DEFAULT_MODEL
from gradcam_cli.rendering.overlay import DEFAULT_ALPHA, DEFAULT_COLORMAP

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier


def _complete_models(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [CompletionItem(name) for name in CATALOGUE if name.startswith(incomplete)]


def _set_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.meta[DEBUG] = ctx.meta.get(DEBUG, False) or value


class _Size(click.ParamType[tuple[int, int]]):
    """One number for a square, or height×width."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Reads "224" or "180x320" as (height, width)."""
        if isinstance(value, tuple):
            return value
        sides = str(value).lower().split("x")
        if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side) <= 8192 for side in sides):
            self.fail(f"{value!r} is not a side in pixels (224), nor HEIGHTxWIDTH (180x320)")
        return int(sides[0]), int(sides[-1])


_MODEL_OPTIONS = (
    click.option(
        "-m",
        "--model",
        metavar="NAME|FILE",
        shell_complete=_complete_models,
        help="The classifier: a name ('gradcam models' lists them), or your own .keras or .h5 "
        f"file or SavedModel folder. [default: {DEFAULT_MODEL}, or the one model known to have "
        "the layer]",
    ),
    click.option(
        "-w",
        "--weights",
        metavar="FILE",
        type=LocalPath(),
        help="Read the weights of a named model from a .weights.h5, .h5 or .keras file.",
    ),
    click.option(
        "--labels",
        metavar="FILE",
        type=LocalPath(),
        help="The names of the classes: one a line, .json (list or map) or .csv. [default: "
        "ImageNet's for 1,000 classes]",
    ),
    click.option(
        "--preprocess",
        metavar="HOW",
        help="What is done to RGB in 0-255 before the network: none, 0-1, -1-1, caffe, torch, or "
        "a model's name for its own. [default: read off the model]",
    ),
    click.option(
        "--output",
        metavar="NAME",
        help="Which output of your model holds the class scores, if it has several.",
    ),
    click.option(
        "--size",
        metavar="PIXELS|HxW",
        type=_Size(),
        help="Size of the input, for networks that take any; larger gives a finer map. Rounded to "
        "a multiple of the network's stride.",
    ),
    click.option(
        "--unsafe",
        is_flag=True,
        help="Load your model even if it holds code (Lambda layers), which is run.",
    ),
    click.option(
        "--custom-objects",
        metavar="FILE.py",
        type=LocalPath(),
        help="Python code that your model needs; goes with --unsafe.",
    ),
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say which model is meant, and what it wants and returns."""
    for option in reversed(_MODEL_OPTIONS):
        command = option(command)
    return command


def _complete_colormaps(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from matplotlib import colormaps

    return [CompletionItem(name) for name in colormaps if name.startswith(incomplete)]


def layers_option(help_: str) -> Callable[..., Any]:
    """Makes the option that names layers, any number of them."""
    return click.option("-l", "--layer", "layers", metavar="NAME", multiple=True, help=help_)


def methods_option(more_help: str) -> Callable[..., Any]:
    """Makes the option that names methods, any number of them."""
    return click.option(
        "--method",
        "methods",
        metavar="NAME",
        type=click.Choice(list(METHODS)),
        multiple=True,
        default=[DEFAULT_METHOD],
        show_default=True,
        help=f"How the map is computed (see 'gradcam methods'). {more_help}",
    )


alpha_option = click.option(
    "--alpha",
    metavar="PART",
    type=click.FloatRange(0, 1),
    default=DEFAULT_ALPHA,
    show_default=True,
    help="How much of the colour shows, 0 to 1.",
)
colormap_option = click.option(
    "--colormap",
    metavar="NAME",
    default=DEFAULT_COLORMAP,
    show_default=True,
    shell_complete=_complete_colormaps,
    help="Any colour map of Matplotlib.",
)
debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Show where in the program an error arose, and TensorFlow's messages.",
)


@overload
def parse_layer(layer: str) -> str | int: ...
@overload
def parse_layer(layer: None) -> None: ...
def parse_layer(layer: str | None) -> str | int | None:
    """Takes a number for the index of a layer, and all else for its name."""
    if layer is None:
        return None
    try:
        return int(layer)
    except ValueError:
        return layer


def load_to_look_at(
    show_messages: bool, *, model: str | None, weights: Path | None, **others: Any
) -> Classifier:
    """Loads a model to tell about it: a named one without its weights.

    Args:
        show_messages: Let TensorFlow write to standard error.
        model: As the user gave it.
        weights: As the user gave it.
        others: The rest of `model_options`.
    """
    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow(show_messages)

    from gradcam_cli.models.files import is_model_path
    from gradcam_cli.models.loading import load_architecture, load_classifier

    model = model or DEFAULT_MODEL
    if weights is None and not is_model_path(model):
        return load_architecture(model)
    return load_classifier(model, weights=weights, **others)
