"""``gradcam methods``: lists what ``--method`` accepts."""

from __future__ import annotations

import click

from gradcam_cli.cam.methods.table import DEFAULT_METHOD, METHODS
from gradcam_cli.cli.console import say, to_json
from gradcam_cli.cli.listings import methods_record
from gradcam_cli.cli.options import debug_option, json_option


@click.command(short_help="List what --method accepts.")
@json_option
@debug_option
def methods(as_json: bool) -> None:
    """Lists the methods that --method accepts and the paper that each comes from.

    "passes" counts forward + backward passes through the network for each class of a picture.
    K is the number of feature maps, Z the number of cells in each. A partial pass starts at
    the explained layer.

    With --json, "methods" contains an object per method: name, title, summary, passes, paper,
    needs_layer, signed, bases (methods whose formula it can apply, as in finercam:layercam),
    default.
    """
    if as_json:
        say(to_json(methods_record()))
        return
    from rich.text import Text

    from gradcam_cli.cli.console import plain_table, stdout_console

    table = plain_table(("method", "left"), ("", "left"), ("passes", "left"), ("paper", "left"))
    # If a line is too long for the terminal, names stay whole and the rest is wrapped.
    for column in table.columns[1:]:
        column.no_wrap = False
    for name, info in METHODS.items():
        is_default = name == DEFAULT_METHOD
        table.add_row(
            name,
            Text(info.summary + ("  ◀ default" if is_default else "")),
            Text(info.cost),
            Text(info.paper),
            style="bold green" if is_default else "",
        )
    stdout_console().print(table)
