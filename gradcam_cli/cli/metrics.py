"""``gradcam metrics``: lists what ``--metric`` accepts."""

from __future__ import annotations

import click

from gradcam_cli.cli.console import say, to_json
from gradcam_cli.cli.listings import metrics_record
from gradcam_cli.cli.options import debug_option, json_option
from gradcam_cli.evaluation.table import ALL_METRICS, MetricInfo


@click.command(short_help="List what 'gradcam evaluate' can measure.")
@json_option
@debug_option
def metrics(as_json: bool) -> None:
    """Lists the metrics of 'gradcam evaluate' and the paper that each comes from.

    An arrow shows whether higher (↑) or lower (↓) values are better. --metric accepts the
    metrics that need no annotations; --annotations adds the others. Those that take much
    time or random weights are only measured if --metric names them, or with --metric all.

    With --json, "metrics" contains an object per metric: name, title, summary, paper,
    higher_is_better, needs_annotations, default.
    """
    if as_json:
        say(to_json(metrics_record()))
        return
    from rich.text import Text

    from gradcam_cli.cli.console import plain_table, stdout_console

    table = plain_table(("metric", "left"), ("", "left"), ("", "left"), ("paper", "left"))
    for column in table.columns[2:]:
        column.no_wrap = False
    for name, info in ALL_METRICS.items():
        table.add_row(
            name,
            "↑" if info.higher_is_better else "↓",
            Text(f"{info.summary}{_condition(info)}"),
            Text(info.paper),
        )
    stdout_console().print(table)


def _condition(info: MetricInfo) -> str:
    if info.needs_objects:
        return "  (needs --annotations)"
    return "" if info.is_measured_by_default else "  (only with --metric)"
