"""``gradcam models``: lists what ``--model`` accepts."""

from __future__ import annotations

import click

from gradcam_cli.cli.console import say, to_json
from gradcam_cli.cli.listings import models_record
from gradcam_cli.cli.options import debug_option, json_option
from gradcam_cli.models.catalogue import CATALOGUE, DEFAULT_MODEL


@click.command(short_help="List what --model accepts.")
@json_option
@debug_option
def models(as_json: bool) -> None:
    """Lists the pretrained models that --model accepts.

    All of them distinguish the 1,000 classes of ImageNet. "top-1" is the published
    accuracy on one centre crop.

    With --json, "models" contains an object per model: name, input_size (height, width),
    any_size, parameters, top1_accuracy (0 to 1), weights, default.
    """
    if as_json:
        say(to_json(models_record()))
        return
    from rich.text import Text

    from gradcam_cli.cli.console import plain_table, stdout_console

    table = plain_table(
        ("model", "left"),
        ("input", "right"),
        ("parameters", "right"),
        ("top-1", "right"),
        ("weights", "left"),
    )
    for model in CATALOGUE.values():
        is_default = model.name == DEFAULT_MODEL
        table.add_row(
            model.name,
            f"{model.input_size} px",
            f"{model.parameters / 1e6:.1f} M",
            f"{model.top1:.1f} %",
            Text(f"{model.weights} ◀ default" if is_default else model.weights),
            style="bold green" if is_default else "",
        )
    stdout_console().print(table)
