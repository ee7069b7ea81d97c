"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from gradcam_cli.cli.group import DEBUG
from gradcam_cli.models.catalogue import CATALOGUE


def _complete_models(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [CompletionItem(name) for name in CATALOGUE if name.startswith(incomplete)]


def _set_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.meta[DEBUG] = ctx.meta.get(DEBUG, False) or value


def model_option(**attributes: Any) -> Callable[..., Any]:
    """Adds ``--model``."""
    return click.option(
        "-m", "--model", metavar="NAME", shell_complete=_complete_models, **attributes
    )


weights_option = click.option(
    "-w",
    "--weights",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read the model's weights from a .weights.h5, .h5 or .keras file.",
)
debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Show where in the program an error arose, and TensorFlow's messages.",
)
