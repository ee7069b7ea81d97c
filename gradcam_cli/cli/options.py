"""The options that several commands share, and their conversion to values.

A group of options is a frozen dataclass with a field for each option. `filled_with` adds the
options to a command and passes the dataclass to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from gradcam_cli.cam.methods.table import DEFAULT_METHOD
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.method_names import MethodNames, joined
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.files.downloads import DEFAULT_MEGABYTES
from gradcam_cli.files.finding import SUFFIXES
from gradcam_cli.models.catalogue import CATALOGUE, DEFAULT_MODEL
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.networks.tasks import TASKS
from gradcam_cli.pictures.boxes import BOX_FORMATS
from gradcam_cli.pictures.fitting import FITS
from gradcam_cli.rendering.color_scale import (
    DEFAULT_ALPHA,
    DEFAULT_COLORMAP,
    DEFAULT_SIGNED_ALPHA,
    DEFAULT_SIGNED_COLORMAP,
)

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def filled_with(name: str, group: type, *options: Decorator) -> Decorator:
    """Makes a decorator that adds options and passes their values as one dataclass.

    Args:
        name: The name of the command's parameter for the dataclass.
        group: A dataclass with a field for each option. Other fields keep their defaults.
        options: The decorators from `click.option`.
    """
    names = [field.name for field in fields(group)]

    def decorate(command: Command) -> Command:
        @wraps(command)
        def gather(*args: Any, **given: Any) -> Any:
            values = {field: given.pop(field) for field in names if field in given}
            return command(*args, **given, **{name: group(**values)})

        filled: Command = gather
        for option in reversed(options):
            filled = option(filled)
        return filled

    return decorate


def complete_models(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completes the names of the models in the catalogue."""
    return [CompletionItem(name) for name in CATALOGUE if name.startswith(incomplete)]


def _complete_colormaps(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from matplotlib import colormaps

    return [CompletionItem(name) for name in colormaps if name.startswith(incomplete)]


def _set_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.meta[DEBUG] = ctx.meta.get(DEBUG, False) or value


def each_once(
    ctx: click.Context, parameter: click.Parameter, value: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Removes repeated values."""
    return tuple(dict.fromkeys(value))


class _Size(click.ParamType):  # type: ignore[type-arg]
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
            self.fail(f"{value!r} is not a side in pixels (224) or HEIGHTxWIDTH (180x320)")
        return int(sides[0]), int(sides[-1])


class LayerName(click.ParamType):  # type: ignore[type-arg]
    """The name of a layer, or its index."""

    name = "layer"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | int:
        """Converts a number to an index, and everything else to a name."""
        try:
            return int(value)
        except ValueError:
            return str(value)


class _HeadOption(click.Option):
    """Hides all names except the first from the help. The second is the option's old name."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Returns the help with the first name only."""
        names = self.opts
        self.opts = names[:1]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


def _refuse_path(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuses a path, because the option's old name, --output, looks like a place to write to."""
    if value is not None and (set(value) & {"/", "\\"} or Path(value).suffix.lower() in SUFFIXES):
        raise click.BadParameter(
            f"{value!r} is a path, not an output of a model; to choose where to write, use --out"
        )
    return value


# The options of a model that several models can share.
_SHARED_OPTIONS = (
    click.option(
        "--preprocess",
        metavar="HOW",
        help="How RGB values from 0 to 255 are scaled for the network: none, 0-1, -1-1, caffe, "
        "torch, or the name of a model, to use that model's scaling. [default: read from the "
        "model]",
    ),
    click.option(
        "--head",
        "--output",
        "output",
        cls=_HeadOption,
        metavar="NAME",
        callback=_refuse_path,
        help="The output that holds the class scores, if your model has several outputs.",
    ),
    click.option(
        "--input",
        "inputs",
        metavar="NAME[=VALUE]",
        multiple=True,
        callback=each_once,
        help="If your model has several inputs ('gradcam info' lists them): NAME=VALUE gives an "
        "input its value, a number (age=63), numbers (sex=1,0), a .npy or .json file, or a "
        "picture (view=side.png). {stem} in a file's name stands for the name of the explained "
        "picture. NAME alone explains that input, and PATH gives its pictures. Can be repeated. "
        "[default: explain every input that takes a picture; PATH is for the first]",
    ),
    click.option(
        "--task",
        type=click.Choice(TASKS),
        metavar=f"[{'|'.join(TASKS)}]",
        help="What the outputs of your model mean. [default: read from the loss in the file, else "
        "guessed from the final activation]",
    ),
    click.option(
        "--box-format",
        type=click.Choice(BOX_FORMATS),
        metavar="FORMAT",
        help="How your detector gives its boxes, in the names of Keras: "
        f"{', '.join(BOX_FORMATS)}. [default: as stored, or as the name of the output says]",
    ),
    click.option(
        "--size",
        metavar="PIXELS|HxW",
        type=_Size(),
        help="The input size, for networks that accept any size. A larger input gives a finer map. "
        "Rounded to a multiple of the network's stride.",
    ),
    click.option(
        "--unsafe",
        is_flag=True,
        help="Load the model even if it contains code, such as Lambda layers. The code is run.",
    ),
    click.option(
        "--custom-objects",
        metavar="FILE.py",
        type=LocalPath(),
        help="A Python file with the classes and functions that your model needs. Requires "
        "--unsafe.",
    ),
)
model_options = filled_with(
    "model",
    ModelOptions,
    click.option(
        "-m",
        "--model",
        metavar="NAME|FILE",
        shell_complete=complete_models,
        help="The classifier: a name ('gradcam models' lists them), or your own model: a .keras "
        "or .h5 file, a SavedModel folder, or an .onnx or .tflite file. [default: "
        f"{DEFAULT_MODEL}; with --layer, the named model to which this layer belongs]",
    ),
    click.option(
        "-w",
        "--weights",
        metavar="FILE",
        type=LocalPath(),
        help="Load the weights of a named model from this .weights.h5, .h5 or .keras file.",
    ),
    click.option(
        "--labels",
        metavar="FILE",
        type=LocalPath(),
        help='A file with the class names: one name per line (also "0 Cat"), .json (list or map) '
        "or .csv. [default: labels.txt, class_names.json or class_indices.json beside your model; "
        "else ImageNet's names if it has 1,000 classes]",
    ),
    *_SHARED_OPTIONS,
)
shared_model_options = filled_with("shared", ModelOptions, *_SHARED_OPTIONS)


def the_model(options: ModelOptions, named: str | None) -> ModelOptions:
    """Combines the model that was given as an argument with the options.

    Args:
        options: The options.
        named: The argument; None if there is none.

    Raises:
        click.UsageError: Both the argument and ``--model`` name a model.
    """
    if named is None:
        return options
    if options.model is not None:
        raise click.UsageError(f"give the model once: {named} or --model {options.model}")
    return replace(options, model=named)


def layers_option(help_: str) -> Decorator:
    """Makes the option for layers, which can be repeated."""
    return click.option(
        "-l",
        "--layer",
        "layers",
        metavar="NAME",
        type=LayerName(),
        multiple=True,
        callback=each_once,
        help=help_,
    )


USUAL_METHODS = (
    f"[default: {DEFAULT_METHOD}; for ONNX and TensorFlow Lite models rise; for detectors layercam "
    f"or drise]"
)


def methods_option(more_help: str) -> Decorator:
    """Makes the option for methods, which can be repeated."""
    return click.option(
        "--method",
        "methods",
        metavar="NAME",
        type=MethodNames(),
        multiple=True,
        callback=joined,
        help=f"The method that computes the map ('gradcam methods' lists them). {more_help} "
        f"{USUAL_METHODS}",
    )


def classes_option(help_: str) -> Decorator:
    """Makes the option for classes, which can be repeated."""
    return click.option(
        "-c", "--class", "classes", metavar="CLASS", multiple=True, callback=each_once, help=help_
    )


join_option = click.option(
    "--join",
    is_flag=True,
    help="Explain the sum of the scores of several --class options, in one overlay.",
)
against_option = click.option(
    "--against",
    metavar="CLASS",
    help="Explain why the network gives a class and not this one: the difference of their scores.",
)


def fit_option(help_: str) -> Decorator:
    """Makes the option for how to fit a picture into the network's input."""
    return click.option("--fit", type=click.Choice(FITS), help=help_)


def truth_option(use: str) -> Decorator:
    """Makes the option for the true classes; its help ends with what they are used for."""
    return click.option(
        "--truth",
        metavar="folders|FILE.csv",
        help="The true classes: from the names of the pictures' folders, or from a CSV file with "
        f"the picture in the first column and its class in the second. {use}",
    )


def as_tuple(ctx: click.Context, parameter: click.Parameter, value: Any) -> tuple[Any, ...]:
    """Turns the value of an option that is given once at most into a tuple."""
    return () if value is None else (value,)


analysis_fit_option = fit_option(
    "How to fit a picture into the network's input (see 'gradcam explain --help'). [default: "
    "keep, or squash if the network has a fixed input size]"
)
region_option = click.option(
    "--region",
    metavar="MASK|FOLDER|BOX",
    help="For networks that segment: explain the scores in this region of the picture. A mask "
    "picture of the same size (its non-zero pixels), a folder of masks with the names of the "
    "pictures, or LEFT,TOP,RIGHT,BOTTOM in pixels. [default: where the class is predicted]",
)
alpha_option = click.option(
    "--alpha",
    metavar="FRACTION",
    type=click.FloatRange(0, 1),
    help=f"The opacity of the colours, from 0 to 1. [default: {DEFAULT_ALPHA}; "
    f"{DEFAULT_SIGNED_ALPHA} with --signed]",
)
colormap_option = click.option(
    "--colormap",
    metavar="NAME",
    shell_complete=_complete_colormaps,
    help=f"The name of a Matplotlib colour map. [default: {DEFAULT_COLORMAP}; "
    f"{DEFAULT_SIGNED_COLORMAP} with --signed, which needs a diverging one]",
)
signed_option = click.option(
    "--signed",
    is_flag=True,
    help="Also show what speaks against the class, in other colours than what speaks for it.",
)
hot_only_option = click.option(
    "--hot-only",
    is_flag=True,
    help="Colour only the region above the threshold, and leave the rest of the picture as it is.",
)
max_download_option = click.option(
    "--max-download",
    metavar="MB",
    type=click.IntRange(min=1),
    default=DEFAULT_MEGABYTES,
    show_default=True,
    help="Refuse pictures from a URL that are larger than this, in megabytes.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as described above."
)
debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Show the traceback of an error, and TensorFlow's messages.",
)
