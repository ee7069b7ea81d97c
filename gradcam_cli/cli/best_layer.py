"""``gradcam best-layer PATH...``: ranks the layers of a model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from gradcam_cli.cam.methods.table import DEFAULT_METHOD, METHODS
from gradcam_cli.cli.console import say, to_json
from gradcam_cli.cli.evaluation_display import ResultTables
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.measuring import (
    evaluate_in_view,
    finish,
    measuring_options,
    prepare,
    print_results,
)
from gradcam_cli.cli.method_names import MethodName
from gradcam_cli.cli.options import debug_option, layers_option
from gradcam_cli.errors import UsageError
from gradcam_cli.evaluation.table import METRICS, RANKING_METRICS
from gradcam_cli.files.writing import check_folder


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
    out: Path | None,
    as_json: bool,
    quiet: bool,
    metrics: tuple[str, ...],
    **parameters: Any,
) -> None:
    """Ranks the layers of a model by how well their maps show what the network used.

    Each layer gets a rank in each metric (see 'gradcam evaluate'). The layers are listed by
    their mean rank, and one is recommended if the results justify it. Use at least six
    pictures. Writes files only with --out: best-layer.csv, best-layer_pictures.csv,
    best-layer.png and best-layer.json.

    \b
    Examples:
      gradcam best-layer photos/
      gradcam best-layer photos/ --model my_model.keras --method layercam

    Exit code: 0 all measured, 1 some failed, 2 wrong usage, 130 interrupted
    (SIGTERM 143, SIGHUP 129).
    """
    started = time.perf_counter()
    faithful = ("all", *(name for name, info in METRICS.items() if info.is_faithfulness))
    if metrics and not set(metrics) & set(faithful):
        raise UsageError(
            f"--metric: layers are ranked by faithfulness; add a metric like {RANKING_METRICS[0]}"
        )
    if out is not None:
        check_folder(out, f"--out {out}")
    measuring = prepare(
        *(ctx.meta[DEBUG], paths, layers),
        metrics=metrics,
        usual_metrics=RANKING_METRICS,
        **parameters,
    )

    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.cam.usual_method import check_has_layers
    from gradcam_cli.evaluation.candidate_layers import candidate_layers
    from gradcam_cli.evaluation.result_files import ResultFiles, write_evaluation
    from gradcam_cli.evaluation.result_records import evaluation_record

    files = None if out is None else ResultFiles(out, "best-layer", paths)
    classifier = measuring.classifier
    check_has_layers(classifier)
    usual = Explainer(classifier, None, method)
    default = usual.layer
    chosen = list(layers) or candidate_layers(classifier)
    explainers = [
        usual if layer == default else Explainer(classifier, layer, method)
        for layer in dict.fromkeys(chosen)
    ]
    measured = evaluate_in_view(measuring, explainers, measuring.options, quiet)
    evaluation, verdict = measured.evaluation, measured.evaluation.judge(default)
    record = {**evaluation_record(evaluation, verdict), "default_layer": default}
    if as_json:
        say(to_json(record))
    else:
        print_results(ResultTables(evaluation, verdict, default), classifier)
    written = []
    if files is not None and not evaluation.pictures_left:
        written = write_evaluation(files, evaluation, record)
    finish(ctx, measured, written, None if quiet or as_json else started)
