"""``gradcam info``: what a model takes and returns."""

from __future__ import annotations

from typing import Any

import click

from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.options import debug_option, load_to_look_at, model_options


@click.command(short_help="Tell what a model takes and returns.")
@model_options
@debug_option
@click.pass_context
def info(ctx: click.Context, /, **model_parameters: Any) -> None:
    """Tells what a model takes and returns, and what was chosen for it and why.

    \b
    Examples:
      gradcam info --model my_model.keras
      gradcam info --model my_model.keras --labels names.txt
    """
    classifier = load_to_look_at(ctx.meta[DEBUG], **model_parameters)

    from gradcam_cli.cli.console import stdout_console
    from gradcam_cli.cli.display import info_table

    stdout_console().print(info_table(classifier))
