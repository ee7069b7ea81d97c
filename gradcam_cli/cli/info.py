"""``gradcam info``: what a model takes and returns."""

from __future__ import annotations

import click

from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.options import debug_option, model_options, the_model
from gradcam_cli.models.options import ModelOptions


@click.command(short_help="Tell what a model takes and returns.")
@click.argument("named", metavar="[MODEL]", required=False)
@model_options
@debug_option
@click.pass_context
def info(ctx: click.Context, /, named: str | None, model: ModelOptions) -> None:
    """Tells what a model takes and returns, and what was chosen for it and why.

    \b
    Examples:
      gradcam info my_model.keras
      gradcam info my_model.keras --labels names.txt
    """
    model = the_model(model, named)
    model.check_files()

    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow(ctx.meta[DEBUG])

    from gradcam_cli.cli.console import stdout_console
    from gradcam_cli.cli.display import info_table
    from gradcam_cli.models.loading import load_architecture

    stdout_console().print(info_table(load_architecture(model)))
