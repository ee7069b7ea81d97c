"""``gradcam evaluate PATH...``: measures whether maps show what the network used."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cli.console import say, to_json, visible
from gradcam_cli.cli.evaluation_display import ResultTables
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.measuring import (
    Measuring,
    evaluate_in_view,
    finish,
    measuring_options,
    prepare,
    print_results,
    progress_bar,
)
from gradcam_cli.cli.options import debug_option, layers_option, methods_option
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.files.storage import check_is_there
from gradcam_cli.files.writing import check_folder

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.evaluation.sanity import SanityCheck


@click.command(short_help="Measure whether maps show what the network used.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@methods_option("Can be repeated.")
@layers_option(
    "The layer to explain, by name or index ('gradcam layers' lists them). Repeat it to compare "
    "layers. [default: the last layer with a spatial output]"
)
@click.option(
    "--annotations",
    metavar="FOLDER|FILE.json",
    type=LocalPath(),
    help="The objects in the pictures, for the localisation metrics: a folder of Pascal VOC or "
    "ImageNet XML files or mask PNGs, or a COCO file.",
)
@click.option(
    "--sanity",
    is_flag=True,
    help="Also plot how the maps change as the weights of the layers are randomised one by one, "
    "from the last layer to the first (Adebayo et al. 2018).",
)
@measuring_options
@debug_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    methods: tuple[str, ...],
    layers: tuple[str | int, ...],
    annotations: Path | None,
    sanity: bool,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **parameters: Any,
) -> None:
    """Measures whether maps show what the network used.

    Prints a table with the values of each method and layer, their 95 % confidence intervals,
    and a verdict: the mean rank of each, whether the metrics agree, and which one to use. A
    random map and a Gaussian in the centre serve as baselines. Ctrl-C prints what is measured
    by then. Writes files only with --out: evaluation.csv, evaluation_pictures.csv,
    evaluation.png and evaluation.json; with --sanity also sanity.csv and sanity.png.

    \b
    Examples:
      gradcam evaluate photos/
      gradcam evaluate photos/ --method gradcam --method layercam --layer block5c_add
      gradcam evaluate photos/ --method gradcam --method fem --out results/
      gradcam evaluate photos/ --annotations photos/boxes/ --metric deletion
      gradcam evaluate photos/ --method gradcam --method guidedgradcam --sanity

    Exit code: 0 all measured, 1 some failed, 2 wrong usage, 130 interrupted
    (SIGTERM 143, SIGHUP 129).
    """
    started = time.perf_counter()
    if out is not None:
        check_folder(out, f"--out {out}")
    if annotations is not None:
        check_is_there("--annotations", annotations)
    measuring = prepare(ctx.meta[DEBUG], paths, layers, **parameters)

    from gradcam_cli.analysis.evaluating import explainers_of
    from gradcam_cli.evaluation.annotations import Annotations
    from gradcam_cli.evaluation.result_files import ResultFiles, write_evaluation, write_sanity
    from gradcam_cli.evaluation.result_records import evaluation_record, sanity_record
    from gradcam_cli.evaluation.sanity import changeable_network, sanity_verdicts

    files = None if out is None else ResultFiles(out, "evaluation", paths)
    sanity_files = None if out is None or not sanity else ResultFiles(out, "sanity", paths)
    options = measuring.options
    if annotations is not None:
        options = replace(
            options, annotations=Annotations(annotations, measuring.classifier.labels)
        )
    if not sanity and not options.changes_weights:
        # The sanity check too needs a network whose weights can be changed.
        measuring = replace(measuring, classifier=measuring.classifier.folded(layers))
    if sanity:
        # Before the measurements, which take long.
        changeable_network(measuring.classifier)
    explainers = explainers_of(measuring.classifier, methods, layers)
    measured = evaluate_in_view(measuring, explainers, options, quiet)
    evaluation, verdict = measured.evaluation, measured.evaluation.judge()
    check = None
    if sanity and measured.interruption is None:
        try:
            check = _check(measuring, explainers, quiet)
        except KeyboardInterrupt as interruption:
            measured = replace(measured, interruption=interruption)
    record = evaluation_record(evaluation, verdict)
    if check is not None:
        record["sanity"] = sanity_record(check)
    if as_json:
        say(to_json(record))
    else:
        print_results(ResultTables(evaluation, verdict), measuring.classifier)
        if check is not None:
            say()
            for sentence in sanity_verdicts(check):
                say(visible(sentence))
    written = []
    if files is not None and not evaluation.pictures_left:
        written += write_evaluation(files, evaluation, record)
    if sanity_files is not None and check is not None:
        written += write_sanity(sanity_files, check, evaluation)
    finish(ctx, measured, written, None if quiet or as_json else started)


def _check(measuring: Measuring, explainers: list[Explainer], quiet: bool) -> SanityCheck:
    from gradcam_cli.evaluation.loading import load_inputs
    from gradcam_cli.evaluation.sanity import MODES, check_sanity, number_of_steps

    batches = load_inputs(measuring.pictures, measuring.options)
    total = len(MODES) * len(explainers) * number_of_steps(explainers[0])
    with progress_bar("randomizations", total, quiet) as advance:
        return check_sanity(explainers, batches, progress=advance)
