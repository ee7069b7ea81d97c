"""``gradcam layers``: what ``--layer`` accepts."""

from __future__ import annotations

import click

from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.options import debug_option, model_option
from gradcam_cli.models.catalogue import DEFAULT_MODEL, find_model


@click.command(short_help="List what --layer accepts.")
@model_option(default=DEFAULT_MODEL, show_default=True, help="The model (see 'gradcam models').")
@debug_option
@click.pass_context
def layers(ctx: click.Context, model: str) -> None:
    """Lists the layers of a model that --layer accepts.

    Those that can be explained have a spatial output, and the class score depends on
    them. The shapes are for an input of the model's own size.

    \b
    Example:
      gradcam layers --model vgg19
    """
    entry = find_model(model)

    from gradcam_cli.cli.tensorflow_import import import_tensorflow

    import_tensorflow(ctx.meta[DEBUG])

    from gradcam_cli.cam.tap import list_layers
    from gradcam_cli.cli.console import stdout_console
    from gradcam_cli.cli.display import layer_table
    from gradcam_cli.models.loading import build_untrained

    infos = list_layers(build_untrained(entry.name), (entry.input_size, entry.input_size, 3))
    stdout_console().print(layer_table(infos))
