"""``gradcam best-layer PATH...``: ranks the layers of a model."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import click

from gradcam_cli.cam.methods.table import DEFAULT_METHOD, METHODS
from gradcam_cli.cli.console import say, stdout_console, to_json, visible
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.measuring import evaluate_in_view, measuring_options, prepare, print_errors
from gradcam_cli.cli.method_names import MethodName
from gradcam_cli.cli.options import debug_option, layers_option
from gradcam_cli.errors import UsageError
from gradcam_cli.evaluation.table import ALL_METRICS, RANKING_METRICS

_FAILED = 1


@click.command(
    name="best-layer", short_help="Rank the layers of a model by how faithful their maps are."
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--method",
    metavar="NAME",
    type=MethodName([name for name, info in METHODS.items() if info.needs_layer]),
    default=DEFAULT_METHOD,
    show_default=True,
    help="The method that computes the maps ('gradcam methods' lists them).",
)
@layers_option(
    "A layer to compare. Can be repeated. [default: the last layer of each output shape]"
)
@measuring_options
@debug_option
@click.pass_context
def best_layer(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    method: str,
    layers: tuple[str | int, ...],
    as_json: bool,
    quiet: bool,
    metrics: tuple[str, ...],
    **parameters: Any,
) -> None:
    """Ranks the layers of a model by how well their maps show what the network used.

    Each layer gets a rank in each metric (see 'gradcam evaluate'). The layers are listed by
    their mean rank. Use several pictures; a single one says little.

    \b
    Examples:
      gradcam best-layer photos/
      gradcam best-layer photos/ --model my_model.keras --method layercam

    Exit code: 0 all measured, 1 some failed, 2 wrong usage, 130 interrupted
    (SIGTERM 143, SIGHUP 129).
    """
    started = time.perf_counter()
    if metrics and not any(ALL_METRICS[name].is_faithfulness for name in metrics):
        raise UsageError(
            f"--metric: layers are ranked by faithfulness; add a metric like {RANKING_METRICS[0]}"
        )
    measuring = prepare(
        *(ctx.meta[DEBUG], paths, layers),
        metrics=metrics,
        usual_metrics=RANKING_METRICS,
        **parameters,
    )

    from rich.text import Text

    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.cli.evaluation_display import ranking_table
    from gradcam_cli.evaluation.ranking import candidate_layers, rank_rows
    from gradcam_cli.evaluation.result_records import evaluation_record
    from gradcam_cli.evaluation.verdict import verdicts

    classifier = measuring.classifier
    chosen = list(layers) or candidate_layers(classifier)
    explainers = [Explainer(classifier, layer, method) for layer in dict.fromkeys(chosen)]
    evaluation = evaluate_in_view(measuring, explainers, measuring.options, quiet)
    ranking = rank_rows(evaluation)
    best, _ = ranking[0]
    (sentence,) = verdicts(replace(evaluation, rows=[best, *evaluation.baselines]))
    if as_json:
        record = evaluation_record(evaluation, [sentence])
        record["ranking"] = [{"layer": row.layer, "mean_rank": rank} for row, rank in ranking]
        say(to_json(record))
    else:
        console = stdout_console()
        number = len(evaluation.pictures)
        console.print(
            Text(
                f"{METHODS[method].title} · {visible(classifier.name)} · {number} "
                f"picture{'s' * (number != 1)} · mean ± half of the 95 % confidence interval",
                style="dim",
            )
        )
        if classifier.task_reason:
            console.print(Text(visible(f"task {classifier.described_task}"), style="dim"))
        console.print()
        console.print(ranking_table(ranking, evaluation.metrics, console.width))
        console.print()
        console.print(visible(sentence))
        if not quiet:
            say(f"({time.perf_counter() - started:.0f} s)", err=True)
    print_errors(evaluation.errors)
    if evaluation.errors:
        ctx.exit(_FAILED)
