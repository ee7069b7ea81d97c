"""``gradcam layers``: lists what ``--layer`` accepts."""

from __future__ import annotations

import click

from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.options import debug_option, json_option, model_options, the_model
from gradcam_cli.models.options import ModelOptions


@click.command(short_help="List what --layer accepts.")
@click.argument("named", metavar="[MODEL]", required=False)
@model_options
@json_option
@debug_option
@click.pass_context
def layers(ctx: click.Context, /, named: str | None, model: ModelOptions, as_json: bool) -> None:
    """Lists the layers of a model that --layer accepts. MODEL is the same as --model.

    A layer can be explained if its output is spatial and the class score depends on it. The
    other layers are dimmed. Shapes are for an input of the model's own size. A layer inside
    a nested model is addressed by its path, such as backbone/block5_conv3, or by its name
    alone if that is unique. An ONNX or TensorFlow Lite file has no layers that could be used.

    With --json, "layers" contains an object per layer: index, name, output_shape, cells
    (rows, columns), feature_maps, type, parameters, usable, default. "model" is the model's
    name. If the model has several inputs, "inputs" describes them as 'gradcam info' does, and
    usable layers depend on the first explained one; --input NAME chooses another.

    \b
    Examples:
      gradcam layers vgg19
      gradcam layers my_model.keras
    """
    model = the_model(model, named)
    model.check_files()

    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow(ctx.meta[DEBUG])

    from gradcam_cli.cam.usual_method import describe_missing_layers
    from gradcam_cli.cli.console import say, stdout_console, to_json, visible
    from gradcam_cli.cli.display import layer_table
    from gradcam_cli.cli.listings import layers_record
    from gradcam_cli.models.loading import load_architecture

    classifier = load_architecture(model)
    if as_json:
        say(to_json(layers_record(classifier)))
        return
    console = stdout_console()
    if classifier.is_black_box:
        console.print(visible(describe_missing_layers(classifier)), highlight=False, soft_wrap=True)
        return
    for one in classifier.describe_inputs():
        mark = "  ◀ explained" * (one.name == classifier.explained)
        console.print(visible(f"input {one.name}: {one.takes}{mark}"), style="dim", highlight=False)
    console.print(layer_table(classifier.layers(), console.width))
