"""``gradcam info``: describes a model's input, outputs and defaults."""

from __future__ import annotations

import click

from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.options import debug_option, json_option, model_options, the_model
from gradcam_cli.models.options import ModelOptions


@click.command(short_help="Describe a model: its input, its classes, its default layer.")
@click.argument("named", metavar="[MODEL]", required=False)
@model_options
@json_option
@debug_option
@click.pass_context
def info(ctx: click.Context, /, named: str | None, model: ModelOptions, as_json: bool) -> None:
    """Describes a model: its input, its preprocessing, its task, its classes, its default layer.

    Shows what gradcam detected and chose, and why. MODEL is the same as --model.

    With --json: model, input_size (height, width), any_size, channels, preprocessing, task,
    task_reason, class_names (where they were found, or null), class_score, default_layer (name,
    output_shape, cells, feature_maps, reason), parameters, classes (index, name and, for ImageNet,
    wnid). For a model with several inputs also inputs (name, shape, dtype, takes, explained,
    preprocessing), and for a model of clips or volumes length (the number of frames or slices, or
    null for any).

    \b
    Examples:
      gradcam info my_model.keras
      gradcam info my_model.keras --labels names.txt
    """
    model = the_model(model, named)
    model.check_files()

    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow(ctx.meta[DEBUG])

    from gradcam_cli.cli.console import say, stdout_console, to_json
    from gradcam_cli.cli.display import info_table
    from gradcam_cli.cli.listings import info_record
    from gradcam_cli.models.loading import load_architecture

    classifier = load_architecture(model)
    if as_json:
        say(to_json(info_record(classifier)))
        return
    stdout_console().print(info_table(classifier))
