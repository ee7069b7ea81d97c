"""``gradcam PATH...``: explains pictures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import click

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.options import (
    alpha_option,
    classes_option,
    colormap_option,
    debug_option,
    filled_with,
    fit_option,
    layers_option,
    methods_option,
    model_options,
)
from gradcam_cli.cli.path_types import LocalPath, StoragePath
from gradcam_cli.cli.printing import ResultPrinter
from gradcam_cli.cli.reproduce import remember_given, repeated_arguments
from gradcam_cli.cli.results_file import ResultsFile
from gradcam_cli.errors import INTERRUPTED
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.manifest import gather_pictures
from gradcam_cli.files.naming import check_places
from gradcam_cli.files.storage import to_path
from gradcam_cli.models.catalogue import DEFAULT_MODEL, is_model_path
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.regions import DEFAULT_THRESHOLD
from gradcam_cli.rendering.encoding import (
    DEFAULT_FORMAT,
    FIGURE_FORMATS,
    HEATMAP_FORMATS,
    PICTURE_FORMATS,
)
from gradcam_cli.rendering.overlay import color_table
from gradcam_cli.rendering.report import ReportOptions, ReportWriter, check_may_replace
from gradcam_cli.run.cards import card_of
from gradcam_cli.run.job import Job, ReadyJob, make_ready
from gradcam_cli.run.options import (
    DEFAULT_EACH,
    DEFAULT_FUSION,
    DEFAULT_TOP_K,
    ONLY_WRONG,
    DrawOptions,
    ExplainOptions,
    MachineOptions,
    WriteOptions,
)
from gradcam_cli.run.records import PictureResult
from gradcam_cli.runtime.cores import divide_cores

_FAILED = 1
_PATHS_IN_TITLE = 3
_STANDARD_OUTPUT = "-"
_ENDINGS_OF_RESULTS = (".jsonl", ".ndjson", ".json", _STANDARD_OUTPUT)


class _ExplainCommand(click.Command):
    """Lets options whose value may be left out stand alone, even before a path."""

    # What an option means alone, and what is its value rather than a path.
    _values_of: ClassVar = {
        "--heatmap": (next(iter(HEATMAP_FORMATS)), HEATMAP_FORMATS.__contains__),
        "--figure": (next(iter(FIGURE_FORMATS)), FIGURE_FORMATS.__contains__),
        "--json": (_STANDARD_OUTPUT, lambda value: value.endswith(_ENDINGS_OF_RESULTS)),
    }

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = []
        for arg, following in pairwise([*args, ""]):
            alone, is_value = self._values_of.get(arg, ("", bool))
            given.append(f"{arg}={alone}" if alone and not is_value(following) else arg)
        args = given
        remember_given(ctx, args)
        return super().parse_args(ctx, args)


explain_options = filled_with(
    "wanted",
    ExplainOptions,
    layers_option(
        "The layer to explain, by name or index (see 'gradcam layers'). Can be repeated: their "
        "maps are fused. [default: the last with a spatial output]"
    ),
    click.option(
        "--fuse",
        "fusion",
        type=click.Choice(["mean", "max"]),
        help=f"How the maps of several layers become one. [default: {DEFAULT_FUSION}]",
    ),
    methods_option("Can be repeated: a sheet that compares them."),
    click.option(
        "--smooth",
        is_flag=True,
        help="Average the maps of brighter, darker and mirrored copies; takes six times as long.",
    ),
    classes_option(
        "The class to explain: an index, a WordNet id or a name. Can be repeated: an overlay for "
        "each. [default: the most probable]"
    ),
    click.option(
        "-k",
        "--top-k",
        metavar="K",
        type=click.IntRange(min=1),
        help=f"Tell the K most probable classes. [default: {DEFAULT_TOP_K}; of several pictures, "
        f"1]",
    ),
    click.option(
        "--each",
        is_flag=True,
        help=f"An overlay for each of the K most probable classes (K is {DEFAULT_EACH} unless "
        f"--top-k says otherwise), and one picture in which each class has its own hue.",
    ),
    fit_option(
        "How a picture fits the network's input: in its own shape, stretched, its middle, or "
        "with borders. [default: keep, or squash for networks of one size]"
    ),
    click.option(
        "--truth",
        metavar="folders|FILE.csv",
        help="What the pictures really show, by the names of their folders or by a table of "
        "pictures and classes: marks right and wrong predictions.",
    ),
    click.option(
        "--only",
        type=click.Choice([ONLY_WRONG]),
        help="With --truth: write the wrongly predicted pictures only, and explain both the "
        "predicted and the true class.",
    ),
)
draw_options = filled_with(
    "draw",
    DrawOptions,
    alpha_option,
    colormap_option,
    click.option(
        "--heatmap",
        type=click.Choice(list(HEATMAP_FORMATS)),
        metavar=f"[{'|'.join(HEATMAP_FORMATS)}]",
        help="Also write the bare map, as 16-bit grey PNG or as NumPy array.",
    ),
    click.option(
        "--figure",
        type=click.Choice(list(FIGURE_FORMATS)),
        metavar=f"[{'|'.join(FIGURE_FORMATS)}]",
        help="Also write a labelled figure: the original and the overlays side by side.",
    ),
    click.option("--contour", is_flag=True, help="Outline the region above the threshold."),
    click.option(
        "--box", is_flag=True, help="Draw the box of that region's largest connected part."
    ),
    click.option(
        "--threshold",
        metavar="PART",
        type=click.FloatRange(0, 1, min_open=True),
        help=f"Where the region begins, as a part of the map's maximum. "
        f"[default: {DEFAULT_THRESHOLD}]",
    ),
)
write_options = filled_with(
    "write",
    WriteOptions,
    click.option(
        "-o",
        "--out",
        metavar="FOLDER|URL",
        type=StoragePath(file_okay=False),
        help="Write results here, folders mirrored. [default: beside each picture]",
    ),
    click.option(
        "--format",
        type=click.Choice(list(PICTURE_FORMATS)),
        default=DEFAULT_FORMAT,
        show_default=True,
        help="What overlays are written as; jpg and webp take a tenth of the room.",
    ),
    click.option(
        "--report",
        metavar="FILE.html",
        type=LocalPath(dir_okay=False),
        help="Write a gallery of all pictures: one page that needs no server and no network. "
        "Overlays are then written only where --out or another option asks for files.",
    ),
    click.option(
        "--report-assets",
        is_flag=True,
        help="Put the pictures of the report into a folder beside it, for thousands of them.",
    ),
    click.option(
        "--skip-existing",
        is_flag=True,
        help="Go on where an earlier run with the same options stopped: leave out pictures whose "
        "results are there.",
    ),
)
machine_options = filled_with(
    "machine",
    MachineOptions,
    click.option(
        "--batch-size",
        metavar="N",
        type=click.IntRange(min=1),
        help="How many pictures go through the network at once. [default: what suits the machine; "
        "half of it, where memory doesn't last]",
    ),
    click.option(
        "--ray",
        "address",
        metavar="ADDRESS|local",
        help="Share the work among the workers of a Ray cluster, as host:6379, or of one that is "
        "started here for the time of the run. Needs --out; adds a table of results in Parquet "
        "files.",
    ),
    click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="How many threads decode, draw and, without a GPU, compute. [default: one a core] "
        "With --ray, how many processes hold the model. [default: one on each GPU, or else core]",
    ),
    click.option(
        "--mixed-precision",
        is_flag=True,
        help="Compute in half precision: faster on most GPUs, and slower without one.",
    ),
)


@click.command(cls=_ExplainCommand, short_help="Explain pictures (the default command).")
@click.argument("paths", nargs=-1, metavar="PATH...")
@model_options
@explain_options
@draw_options
@write_options
@machine_options
@click.option(
    "--from-file",
    "manifests",
    metavar="LIST",
    multiple=True,
    help="Also explain what this file lists: a path in each line, or CSV with the columns path "
    "and class, which goes before --class; - is standard input. Can be repeated.",
)
@click.option(
    "--json",
    metavar="[FILE.jsonl]",
    type=LocalPath(allow_dash=True),
    help="Print one JSON object for each picture, or add them to a file (.jsonl, .ndjson or "
    ".json), where they replace older ones of the same pictures.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only (and --json).")
@click.option("-v", "--verbose", is_flag=True, help="Tell the input size, preprocessing and times.")
@debug_option
@click.pass_context
def explain(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    manifests: tuple[str, ...],
    model: ModelOptions,
    wanted: ExplainOptions,
    draw: DrawOptions,
    write: WriteOptions,
    machine: MachineOptions,
    json: Path | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Explains pictures: prints the most probable classes and writes an overlay of each.

    PATH is a picture or a folder, which is searched with all below it, or the URL of either
    (s3://bucket/photos). For photo.jpg the overlay is photo_gradcam.png; no file of yours is
    ever overwritten.

    \b
    Examples:
      gradcam photo.jpg
      gradcam photo.jpg --layer block5_conv4
      gradcam photo.jpg --model resnet50 --class tabby --class 281 --class n02123045
      gradcam photo.jpg --method gradcam --method layercam --class tabby --class lynx
      gradcam photos/ --out heatmaps/ --top-k 3 --json
      gradcam photos/ --out heatmaps/ --json results.jsonl --skip-existing
      gradcam photos/ --model my_model.keras --truth folders --only wrong
      gradcam photo.jpg --each --contour --figure pdf
      gradcam photos/ --report out/report.html
      gradcam s3://bucket/photos --out s3://bucket/heatmaps --ray local

    Exit code: 0 all explained, 1 some failed, 2 wrong usage, 130 interrupted.
    """
    started = time.perf_counter()
    job = Job(model, wanted, draw, write, machine)
    job.check()
    color_table(draw.colormap)
    if write.report is not None:
        check_may_replace(write.report)
    if not paths and not manifests:
        raise click.UsageError("Missing argument 'PATH...' or option --from-file.")
    pictures = gather_pictures(paths, manifests)
    job = replace(job, model=_choose_model(model, wanted.layers))
    if job.writes_files:
        check_places(pictures, write.out)
    as_json = json == Path(_STANDARD_OUTPUT)
    with contextlib.ExitStack() as stack:
        results_file = None
        if json is not None and not as_json:
            results_file = stack.enter_context(ResultsFile(json))
            done = results_file.done
            pictures = [replace(picture, redo=picture.key not in done) for picture in pictures]
        run = stack.enter_context(_begin(job, pictures, ctx.meta[DEBUG]))
        loaded = time.perf_counter()
        printer = ResultPrinter(
            run.explainers,
            number_of_pictures=len(pictures),
            show_classes=wanted.top_k or (DEFAULT_TOP_K if len(pictures) == 1 else 1),
            as_json=as_json,
            quiet=quiet,
            only_wrong=wanted.only_wrong,
            results_file=results_file,
        )
        if not quiet and not as_json:
            is_own = is_model_path(job.model.name) or model.preprocess is not None
            printer.introduce(chosen=not wanted.layers, tells_preprocessing=verbose or is_own)
        if run.ready is not None:
            printer.follow(run.ready.explainers)
        if verbose:
            how = "" if run.ready is None else f"{_describe_input(run.ready)}; "
            click.echo(f"{how}ready after {loaded - started:.1f} s", err=True)
        report = None
        if write.report is not None and run.ready is not None:
            options = ReportOptions(
                title=_title((*paths, *manifests)),
                subtitle=printer.introduction,
                arguments=repeated_arguments(ctx, job.model.name, run.ready.task.inputs.fit),
                colormap=draw.colormap,
                alpha=draw.alpha,
                assets=write.report_assets,
            )
            report = stack.enter_context(ReportWriter(write.report, options))
        interrupted = False
        try:
            with printer.progress():
                for result in run.results:
                    card = card_of(result)
                    if report is not None and card is not None:
                        report.add(card)
                    printer.tell(result)
        except KeyboardInterrupt:
            interrupted = True
        if report is not None:
            report.write()
            printer.tell_report(report.path)
    if interrupted:
        printer.summarize("Interrupted: ")
        ctx.exit(INTERRUPTED)
    if len(pictures) > 1 or printer.skipped:
        printer.summarize()
    if printer.failed:
        ctx.exit(_FAILED)


@dataclass(frozen=True)
class _Run:
    """A run that has begun: here, or on a cluster, where nothing is at hand but facts."""

    explainers: Sequence[ExplainerFacts]
    results: Iterator[PictureResult]
    ready: ReadyJob | None = None


@contextlib.contextmanager
def _begin(job: Job, pictures: Sequence[InputPicture], show_messages: bool) -> Iterator[_Run]:
    if job.machine.address is not None:
        from gradcam_cli.cluster import explain_on_cluster

        with explain_on_cluster(pictures, job) as run:
            yield _Run(run.explainers, run.results)
        return
    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    parallelism = divide_cores(len(pictures), job.machine.workers, job.explain.runs_many_times)
    import_tensorflow(show_messages, parallelism)
    ready = make_ready(job, pictures, parallelism)
    facts = [explainer.facts for explainer in ready.explainers]
    yield _Run(facts, ready.explain(pictures), ready)


def _choose_model(model: ModelOptions, layers: Sequence[str | int]) -> ModelOptions:
    chosen = model.having(layers)
    if model.model is None and chosen.name != DEFAULT_MODEL:
        click.echo(f"{layers[0]} is a layer of {chosen.name}: using that model", err=True)
    return chosen


def _describe_input(ready: ReadyJob) -> str:
    inputs = ready.task.inputs
    width, height = inputs.size
    shape = ", in the shape of each picture" * (inputs.fit == "keep")
    return f"input {height}×{width} px (height×width){shape}, fit {inputs.fit}"


def _title(paths: Sequence[str]) -> str:
    names = [to_path(path).resolve().name or path for path in paths[:_PATHS_IN_TITLE]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
