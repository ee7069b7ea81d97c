"""``gradcam compare PATH...``: compares two models, methods or layers on the same pictures."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gradcam_cli.cli.console import say, say_warning, to_json, visible
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.measuring import print_errors, progress_bar
from gradcam_cli.cli.method_names import MethodNames
from gradcam_cli.cli.options import (
    USUAL_METHODS,
    LayerName,
    analysis_fit_option,
    as_tuple,
    complete_models,
    debug_option,
    filled_with,
    json_option,
    shared_model_options,
    truth_option,
)
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.cli.run_options import analysis_machine_options
from gradcam_cli.cli.usual_folder import usual_folder
from gradcam_cli.files.manifest import gather_pictures
from gradcam_cli.models.catalogue import DEFAULT_MODEL
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.run.chosen_classes import check_classes
from gradcam_cli.run.comparison_plan import pair_models, plan_comparison
from gradcam_cli.run.options import ExplainOptions, MachineOptions
from gradcam_cli.run.truth import TruthNames
from gradcam_cli.runtime.cores import divide_cores

_FAILED = 1
_ENDING = "_comparison"


def _all_methods(
    ctx: click.Context, parameter: click.Parameter, value: tuple[tuple[str, ...], ...]
) -> tuple[str, ...]:
    """Joins the methods of repeated options, with repetitions."""
    return tuple(name for names in value for name in names)


_explain_options = filled_with(
    "wanted",
    ExplainOptions,
    click.option(
        "--method",
        "methods",
        metavar="NAME",
        type=MethodNames(),
        multiple=True,
        callback=_all_methods,
        help="The method that computes the maps ('gradcam methods' lists them). Give two to "
        f"compare them. {USUAL_METHODS}",
    ),
    click.option(
        "-l",
        "--layer",
        "layers",
        metavar="NAME",
        type=LayerName(),
        multiple=True,
        help="The layer to explain, by name or index ('gradcam layers' lists them). Give two to "
        "compare them. [default: the last layer with a spatial output]",
    ),
    truth_option("Without it, the comparison doesn't tell which model is right."),
    click.option(
        "-c",
        "--class",
        "classes",
        metavar="CLASS",
        callback=as_tuple,
        help="The class whose maps are compared: an index, a WordNet id or a name. [default: the "
        "true class with --truth, else the most probable class of the first model]",
    ),
    click.option(
        "--smooth",
        is_flag=True,
        help="Average the maps of brighter, darker and mirrored copies. Takes six times as long.",
    ),
    analysis_fit_option,
)


@click.command(short_help="Compare two models, methods or layers on the same pictures.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "-m",
    "--model",
    "models",
    metavar="NAME|FILE",
    multiple=True,
    shell_complete=complete_models,
    help="A classifier: a name ('gradcam models' lists them), or your own model: a .keras or .h5 "
    "file or a SavedModel folder. Give two to compare them. The options below hold for both. "
    f"[default: {DEFAULT_MODEL}]",
)
@click.option(
    "-w",
    "--weights",
    "checkpoints",
    metavar="FILE",
    type=LocalPath(),
    multiple=True,
    help="Load the weights of a named model from this .weights.h5, .h5 or .keras file. Give two "
    "to compare checkpoints of one model.",
)
@click.option(
    "--labels",
    "label_files",
    metavar="FILE",
    type=LocalPath(),
    multiple=True,
    help="A file with the class names, as for 'gradcam explain'. Give one for both models, or one "
    "for each in the order of --model.",
)
@shared_model_options
@_explain_options
@click.option(
    "-o",
    "--out",
    metavar="FOLDER",
    type=LocalPath(file_okay=False),
    help="Write the sheets and tables to this folder. It must be new, or hold an earlier "
    f"comparison, which is replaced. [default: NAME{_ENDING} beside the first folder of pictures]",
)
@analysis_machine_options
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print errors only (and --json).")
@debug_option
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    models: tuple[str, ...],
    checkpoints: tuple[Path, ...],
    label_files: tuple[Path, ...],
    shared: ModelOptions,
    wanted: ExplainOptions,
    out: Path | None,
    machine: MachineOptions,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compares two models, checkpoints, methods or layers on the same pictures.

    Give --model, --weights, --method or --layer twice. With --truth, prints which model is right
    for which pictures, and whether the difference is more than chance (McNemar's test). Prints how
    far the maps of the same class agree: their rank correlation, and the overlap of the hottest
    fifths. Writes comparison.json, comparison.csv with a row for each picture, and sheets of the
    pictures whose maps differ most, with the difference of the maps.

    \b
    Examples:
      gradcam compare photos/ --model old.keras --model new.keras --truth folders
      gradcam compare photos/ --model resnet50 --weights epoch5.h5 --weights epoch9.h5
      gradcam compare photos/ --method gradcam --method layercam
      gradcam compare photos/ --layer top_activation --layer block5c_add --out layers/

    Exit code: 0 all compared, 1 some failed, 2 wrong usage, 130 interrupted
    (SIGTERM 143, SIGHUP 129).
    """
    started = time.perf_counter()
    compared = pair_models(shared, models, checkpoints, label_files)
    plan = plan_comparison(compared, wanted, machine)
    for job in plan.jobs:
        job.model.check_files()
    place = out or usual_folder(paths[0], _ENDING)
    truth = None if wanted.truth is None else TruthNames(wanted.truth)
    pictures = gather_pictures(paths)
    for job in plan.jobs:
        check_classes(job, pictures, truth)
    parallelism = divide_cores(len(pictures), machine.workers, wanted.runs_many_times)

    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow(ctx.meta[DEBUG], parallelism)

    from gradcam_cli.analysis.comparison_records import comparison_record
    from gradcam_cli.cli.comparison_display import show_comparison
    from gradcam_cli.cluster.comparison import compare_and_write

    with progress_bar("pictures", len(plan.jobs) * len(pictures), quiet) as advance:
        done, written = compare_and_write(plan, pictures, place, truth, advance)
    if not quiet:
        for note in done.notes:
            say_warning(note)
    if as_json:
        say(to_json(comparison_record(done) | {"files": [str(path) for path in written]}))
    elif not quiet:
        show_comparison(done)
    if not quiet and written:
        seconds = time.perf_counter() - started
        names = ", ".join(visible(str(path)) for path in written)
        say(f"→ {names}  ({seconds:.0f} s)", err=True)
    print_errors(list(done.errors.values()))
    if done.errors:
        ctx.exit(_FAILED)
