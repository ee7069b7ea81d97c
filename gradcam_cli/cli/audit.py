"""``gradcam audit PATH...``: says where a model goes wrong, and where it looks."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradcam_cli.cam.facts import describe
from gradcam_cli.cli.console import say, stdout_console, to_json, visible
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.measuring import print_errors, progress_bar
from gradcam_cli.cli.method_names import MethodName
from gradcam_cli.cli.options import (
    USUAL_METHODS,
    LayerName,
    analysis_fit_option,
    as_tuple,
    debug_option,
    filled_with,
    json_option,
    model_options,
    truth_option,
)
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.cli.run_options import analysis_machine_options
from gradcam_cli.cli.usual_folder import usual_folder
from gradcam_cli.files.manifest import gather_pictures
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.run.chosen_classes import check_classes
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import ExplainOptions, MachineOptions
from gradcam_cli.run.truth import TruthNames
from gradcam_cli.runtime.cores import divide_cores

if TYPE_CHECKING:
    from gradcam_cli.analysis.audit_results import Audit, MeanMap

_FAILED = 1
_ENDING = "_audit"


_explain_options = filled_with(
    "wanted",
    ExplainOptions,
    truth_option("Without it, the audit tells where the model looks, but not where it is wrong."),
    click.option(
        "-l",
        "--layer",
        "layers",
        metavar="NAME",
        type=LayerName(),
        callback=as_tuple,
        help="The layer to explain, by name or index ('gradcam layers' lists them). [default: the "
        "last layer with a spatial output]",
    ),
    click.option(
        "--method",
        "methods",
        metavar="NAME",
        type=MethodName(),
        callback=as_tuple,
        help=f"The method that computes the maps ('gradcam methods' lists them). {USUAL_METHODS}",
    ),
    analysis_fit_option,
)


@click.command(short_help="Say where a model goes wrong on many pictures, and where it looks.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_explain_options
@click.option(
    "--annotations",
    metavar="FOLDER|FILE.json",
    type=LocalPath(),
    help="The objects in the pictures, to measure how much of the heat is on them: a folder of "
    "Pascal VOC or ImageNet XML files or mask PNGs, or a COCO file.",
)
@click.option(
    "-o",
    "--out",
    metavar="FOLDER",
    type=LocalPath(file_okay=False),
    help="Write the page and the tables to this folder. It must be new, or hold an earlier audit, "
    f"which is replaced. [default: NAME{_ENDING} beside the first folder of pictures]",
)
@model_options
@analysis_machine_options
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print errors only (and --json).")
@debug_option
@click.pass_context
def audit(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    wanted: ExplainOptions,
    annotations: Path | None,
    out: Path | None,
    model: ModelOptions,
    machine: MachineOptions,
    as_json: bool,
    quiet: bool,
) -> None:
    """Says where a model goes wrong on many pictures, and whether it looks where it should.

    Takes all pictures through the network once, and prints what stands out: its accuracy, whether
    its probabilities can be trusted, confusions of classes, groups of pictures in which it looks
    at the same suspicious place, pictures that appear in two classes, and unreadable files.
    Writes audit.html, a page that shows the pictures behind each finding, and audit.json,
    audit.csv and audit.parquet for programs. Groups and Parquet need
    pip install 'gradcam-cli[audit]'.

    \b
    Examples:
      gradcam audit photos/ --truth folders
      gradcam audit photos/ --truth folders --model my_model.keras
      gradcam audit photos/ --truth classes.csv --annotations boxes/ --out audit/
      gradcam audit photos/ --json

    Exit code: 0 all explained, 1 some failed, 2 wrong usage, 130 interrupted
    (SIGTERM 143, SIGHUP 129).
    """
    started = time.perf_counter()
    job = Job(model.having(wanted.layers), wanted, machine=machine)
    job.check()
    model.check_files()
    place = out or usual_folder(paths[0], _ENDING)
    truth = None if wanted.truth is None else TruthNames(wanted.truth)
    pictures = gather_pictures(paths)
    check_classes(job, pictures, truth)
    parallelism = divide_cores(len(pictures), machine.workers, wanted.runs_many_times)

    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow(ctx.meta[DEBUG], parallelism)

    from gradcam_cli.analysis.audit_records import audit_record
    from gradcam_cli.cluster.audit import AuditFiles, begun_audit

    files = AuditFiles(place, annotations)
    with begun_audit(job, pictures, files, parallelism, truth) as running:
        with progress_bar("pictures", len(pictures), quiet) as advance:
            done, written = running.complete(advance)
        doubts = running.subject.doubts
    if as_json:
        say(to_json(audit_record(done) | {"files": [str(path) for path in written]}))
    elif not quiet:
        _show(done, [note for note in done.notes if note not in doubts])
    if not quiet:
        seconds = time.perf_counter() - started
        names = ", ".join(visible(str(path)) for path in written)
        say(f"→ {names}  ({seconds:.0f} s)", err=True)
    print_errors(done.errors)
    if done.errors:
        ctx.exit(_FAILED)


def _show(audit: Audit, notes: list[str]) -> None:
    from rich.text import Text

    console = stdout_console()
    known, number = audit.accuracy, len(audit.observations)
    failed = f", {len(audit.errors):,} failed" if audit.errors else ""
    pictures = f"{number:,} picture{'s' * (number != 1)}{failed}"
    # Only the maps of true classes show what speaks against them, on the page.
    subject = describe([replace(audit.explainer, ends=None)])
    console.print(Text(visible(f"{subject} · {pictures}"), style="dim"))
    console.print()
    if known is not None:
        low, high = (f"{end:.1%}".replace("%", "") for end in known.interval)
        console.print(
            f"accuracy           {known.value:.1%}".replace("%", " %")
            + f"  ({known.count:,} of {known.total:,}; 95 % interval {low} to {high} %)"
        )
    if audit.calibration is not None:
        error, (low_end, high_end) = audit.calibration.error, audit.calibration.interval
        console.print(
            f"calibration error  {100 * error:.1f} %  (95 % interval {100 * low_end:.1f} to "
            f"{100 * high_end:.1f} %)"
        )
    console.print(f"heat               {_describe_heat(audit.mean_maps[0])}")
    console.print()
    if not audit.findings:
        console.print("Nothing stands out.")
    for place, finding in enumerate(audit.findings, 1):
        console.print(f"{place:2}. {visible(finding.sentence)}", soft_wrap=True)
    if notes:
        console.print()
    for note in notes:
        console.print(Text(f"Note: {visible(note)}", style="dim"), soft_wrap=True)


def _describe_heat(mean: MeanMap) -> str:
    from gradcam_cli.analysis.heat_places import BORDER_AREA, CORNERS_AREA

    on_object = "" if mean.on_object is None else f", {mean.on_object:.0%} on the objects"
    return (
        f"{mean.border:.0%} in the outer tenth ({BORDER_AREA:.0%} of the area), "
        f"{mean.corners:.0%} in the corners ({CORNERS_AREA:.0%}){on_object}"
    ).replace("%", " %")
