"""``gradcam evaluate PATH...``: measures whether maps show what the network used."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli.console import say, stdout_console, to_json, visible
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.measuring import (
    Measuring,
    evaluate_in_view,
    measuring_options,
    prepare,
    print_errors,
    progress_bar,
)
from gradcam_cli.cli.options import debug_option, layers_option, methods_option
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.files.storage import check_is_there
from gradcam_cli.files.writing import check_folder

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.evaluation.results import Evaluation
    from gradcam_cli.evaluation.sanity import SanityCheck
    from gradcam_cli.models.classifier import Classifier

_FAILED = 1


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
@click.option(
    "-o",
    "--out",
    metavar="FOLDER",
    type=LocalPath(file_okay=False),
    default=Path(),
    help="Write the tables and the plot to this folder. [default: the current folder]",
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
    out: Path,
    as_json: bool,
    quiet: bool,
    **parameters: Any,
) -> None:
    """Measures whether maps show what the network used.

    Prints a table with the values of each method and layer, their 95 % confidence intervals,
    and what they mean. A random map and a Gaussian in the centre serve as baselines. Writes
    evaluation_gradcam.csv, evaluation_gradcam_pictures.csv and evaluation_gradcam.png.

    \b
    Examples:
      gradcam evaluate photos/
      gradcam evaluate photos/ --method gradcam --method layercam --layer block5c_add
      gradcam evaluate photos/ --annotations photos/boxes/ --metric deletion
      gradcam evaluate photos/ --method gradcam --method guidedgradcam --sanity

    Exit code: 0 all measured, 1 some failed, 2 wrong usage, 130 interrupted
    (SIGTERM 143, SIGHUP 129).
    """
    started = time.perf_counter()
    check_folder(out, f"--out {out}")
    if annotations is not None:
        check_is_there("--annotations", annotations)
    measuring = prepare(ctx.meta[DEBUG], paths, layers, **parameters)

    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.evaluation.annotations import Annotations
    from gradcam_cli.evaluation.result_files import ResultFiles, write_evaluation, write_sanity
    from gradcam_cli.evaluation.result_records import evaluation_record, sanity_record
    from gradcam_cli.evaluation.verdict import verdicts

    files = ResultFiles(out, "evaluation", paths)
    sanity_files = ResultFiles(out, "sanity", paths) if sanity else None
    options = measuring.options
    if annotations is not None:
        options = replace(
            options, annotations=Annotations(annotations, measuring.classifier.labels)
        )
    if not sanity and not options.changes_weights:
        # The sanity check too needs a network whose weights can be changed.
        measuring = replace(measuring, classifier=measuring.classifier.folded(layers))
    explainers = [
        Explainer(measuring.classifier, layer, method)
        for method in methods
        for layer in (layers if METHODS[method].needs_layer else ()) or [None]
    ]
    evaluation = evaluate_in_view(measuring, explainers, options, quiet)
    sentences = verdicts(evaluation)
    written = write_evaluation(files, evaluation)
    check = None
    if sanity_files is not None:
        check = _check(measuring, explainers, quiet)
        written += write_sanity(sanity_files, check, evaluation)
    if as_json:
        record = evaluation_record(evaluation, sentences)
        if check is not None:
            record["sanity"] = sanity_record(check)
        say(to_json(record))
    else:
        _show(evaluation, sentences, check, measuring.classifier)
        if not quiet:
            seconds = time.perf_counter() - started
            names = ", ".join(visible(str(path)) for path in written)
            say(f"→ {names}  ({seconds:.0f} s)", err=True)
    print_errors(evaluation.errors)
    if evaluation.errors:
        ctx.exit(_FAILED)


def _show(
    evaluation: Evaluation,
    sentences: list[str],
    check: SanityCheck | None,
    classifier: Classifier,
) -> None:
    from rich.text import Text

    from gradcam_cli.cli.evaluation_display import metric_tables

    console = stdout_console()
    number = len(evaluation.pictures)
    console.print(
        Text(
            f"{visible(evaluation.model)} · {number} picture{'s' * (number != 1)} · mean ± half of "
            f"the 95 % confidence interval · ★ best method",
            style="dim",
        )
    )
    if classifier.task_reason:
        console.print(Text(visible(f"task {classifier.described_task}"), style="dim"))
    for table in metric_tables(evaluation, console.width):
        console.print()
        console.print(table)
    console.print()
    for sentence in sentences:
        console.print(visible(sentence))
    if check is not None:
        from gradcam_cli.evaluation.sanity import sanity_verdicts

        console.print()
        for sentence in sanity_verdicts(check):
            console.print(visible(sentence))


def _check(measuring: Measuring, explainers: list[Explainer], quiet: bool) -> SanityCheck:
    from gradcam_cli.evaluation.loading import load_inputs
    from gradcam_cli.evaluation.sanity import MODES, check_sanity, number_of_steps

    batches = load_inputs(measuring.pictures, measuring.options)
    total = len(MODES) * len(explainers) * number_of_steps(explainers[0])
    with progress_bar("randomizations", total, quiet) as advance:
        return check_sanity(explainers, batches, progress=advance)
