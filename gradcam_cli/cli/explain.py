"""``gradcam PATH...``: explains pictures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import click

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cli.console import say, say_warning, visible
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.options import debug_option, model_options
from gradcam_cli.cli.out_file import take_out_file
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.cli.printing import ResultPrinter
from gradcam_cli.cli.reproduce import GIVEN, remember_given, repeated_arguments
from gradcam_cli.cli.results_file import ResultsFile
from gradcam_cli.cli.run_options import (
    draw_options,
    explain_options,
    machine_options,
    stack_options,
    write_options,
)
from gradcam_cli.errors import describe_interruption
from gradcam_cli.files.finding import STACK_SUFFIXES, InputPicture, PictureKey
from gradcam_cli.files.manifest import gather_pictures
from gradcam_cli.files.naming import check_places
from gradcam_cli.files.storage import to_path
from gradcam_cli.files.video_containers import VIDEO_SUFFIXES
from gradcam_cli.models.catalogue import DEFAULT_MODEL, is_model_path
from gradcam_cli.models.input_choice import parse_inputs
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.stacks.opening import can_read_videos, may_hold_several
from gradcam_cli.pictures.stacks.series import group_series
from gradcam_cli.rendering.color_scale import table_for
from gradcam_cli.rendering.encoding import FIGURE_FORMATS, HEATMAP_FORMATS
from gradcam_cli.rendering.report import ReportOptions, ReportWriter, check_may_replace
from gradcam_cli.run.cards import cards_of
from gradcam_cli.run.chosen_classes import check_classes
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import (
    DEFAULT_TOP_K,
    DrawOptions,
    ExplainOptions,
    MachineOptions,
    StackOptions,
    WriteOptions,
)
from gradcam_cli.run.ready_job import ReadyJob, make_ready
from gradcam_cli.run.records import PictureResult
from gradcam_cli.run.truth import TruthNames
from gradcam_cli.runtime.cores import divide_cores
from gradcam_cli.runtime.extras import how_to_install
from gradcam_cli.runtime.onednn import describe_onednn

_FAILED = 1
_PATHS_IN_TITLE = 3
_STANDARD_OUTPUT = "-"
_ENDINGS_OF_RESULTS = (".jsonl", ".ndjson", ".json", _STANDARD_OUTPUT)


class _ExplainCommand(click.Command):
    """Allows some options without a value, even before a path."""

    # For each option, its value if none is given, and a check that an argument is its value.
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


@click.command(cls=_ExplainCommand, short_help="Explain pictures (the default command).")
@click.argument("paths", nargs=-1, metavar="PATH...")
@model_options
@explain_options
@draw_options
@stack_options
@write_options
@machine_options
@click.option(
    "--from-file",
    "manifests",
    metavar="LIST",
    multiple=True,
    help="Also explain the pictures listed in this file: one path per line, or CSV with the "
    "columns path and class (a class there overrides --class). Further columns are values of the "
    "model's inputs of these names, and override --input, as the column region overrides "
    "--region. '-' reads standard input. Can be "
    "repeated.",
)
@click.option(
    "--json",
    metavar="[FILE.jsonl]",
    type=LocalPath(allow_dash=True),
    help="Print one JSON object per picture, or append them to a file (.jsonl, .ndjson or .json), "
    "where they replace earlier objects of the same pictures.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only (and --json).")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Also print the input size, the size of the map, the preprocessing, whether oneDNN is "
    "used, and timings.",
)
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
    stack: StackOptions,
    write: WriteOptions,
    machine: MachineOptions,
    json: Path | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Explains pictures: prints the most probable classes and writes an overlay of each.

    PATH is a picture, a video, a folder (searched recursively), or the URL of one, such as
    s3://bucket/photos. The overlay of photo.jpg is photo_gradcam.png, and that of clip.mp4 is the
    video clip_gradcam.mp4. Options that change the result are part of its name, such as
    photo_layercam_281-tabby.png. Your own files are never overwritten.

    \b
    Examples:
      gradcam photo.jpg
      gradcam photo.jpg -o explained.png
      gradcam photo.jpg --layer block5_conv4
      gradcam photo.jpg --model resnet50 --class tabby --class 281 --class n02123045
      gradcam photo.jpg --method gradcam --method layercam --class tabby --class lynx
      gradcam photos/ --out heatmaps/ --top-k 3 --json
      gradcam photos/ --out heatmaps/ --json results.jsonl --skip-existing
      gradcam photos/ --model my_model.keras --truth folders --only wrong
      gradcam photo.jpg --each --contour --figure pdf
      gradcam clip.mp4 --every 5 --class tabby
      gradcam photos/ --report out/report.html
      gradcam s3://bucket/photos --out s3://bucket/heatmaps --ray local

    Exit code: 0 all explained, 1 some failed, 2 wrong usage, 130 interrupted
    (SIGTERM 143, SIGHUP 129).
    """
    started = time.perf_counter()
    job = Job(model, wanted, draw, write, machine, stack)
    job.check()
    model.check_files()
    table_for(draw.colors, draw.signed)
    if write.report is not None:
        check_may_replace(write.report)
    if not paths and not manifests:
        raise click.UsageError("Missing argument 'PATH...' or option --from-file.")
    truth = None if wanted.truth is None else TruthNames(wanted.truth)
    explained = parse_inputs(model.inputs).explained
    pictures = gather_pictures(paths, manifests, *explained[:1], suffixes=STACK_SUFFIXES)
    pictures = list(group_series(_without_unreadable_videos(pictures, paths, quiet)))
    job, pictures = take_out_file(job, pictures, ctx.meta[GIVEN])
    job.check_names(pictures)
    job = replace(job, model=_choose_model(model, wanted.layers))
    check_classes(job, pictures, truth)
    if job.writes_files:
        check_places(pictures, job.write.out)
    as_json = json == Path(_STANDARD_OUTPUT)
    with contextlib.ExitStack() as opened:
        results_file = None
        if json is not None and not as_json:
            results_file = opened.enter_context(ResultsFile(json))
        done = None if results_file is None else results_file.done
        run = opened.enter_context(_begin(job, pictures, truth, ctx.meta[DEBUG], done))
        loaded = time.perf_counter()
        printer = ResultPrinter(
            run.explainers,
            number_of_pictures=len(run.pictures),
            show_classes=wanted.top_k or (DEFAULT_TOP_K if len(run.pictures) == 1 else 1),
            as_json=as_json,
            quiet=quiet,
            only_wrong=wanted.only_wrong,
            results_file=results_file,
            wanted=wanted,
            may_be_stacks=not stack.first_frame
            and any(may_hold_several(picture.path) for picture in run.pictures),
        )
        if not quiet and not as_json:
            is_own = is_model_path(job.model.name) or model.preprocess is not None
            printer.print_introduction(with_preprocessing=verbose or is_own, with_cells=verbose)
        if run.ready is not None:
            printer.follow(run.ready.explainers)
            run.ready.frames.follow = printer.follow_frames
        first = run.explainers[0]
        for doubt in filter(None, (first.damage, first.task_doubt)):
            if not quiet:
                say_warning(f"{first.model}: {doubt}")
        for doubt in dict.fromkeys(one.method_doubt for one in run.explainers if one.method_doubt):
            if not quiet:
                say_warning(doubt)
        if run.ready is not None and model.size is not None and not quiet:
            warning = run.ready.describe_collapse(run.pictures)
            if warning is not None:
                say_warning(warning)
        if run.ready is not None and is_model_path(job.model.name) and not quiet:
            warning = run.ready.describe_indecision(pictures)
            if warning is not None:
                say_warning(warning)
        if run.ready is not None and run.ready.task.targets.truth is not None and not quiet:
            guesses = run.ready.task.targets.truth.describe_guesses()
            if guesses is not None:
                say_warning(guesses)
        if verbose:
            how = "" if run.ready is None else f"{_describe_input(run.ready)}; "
            say(f"{how}ready after {loaded - started:.1f} s", err=True)
            if run.ready is not None:
                say(_describe_kernels(), err=True)
        report = None
        if write.report is not None and run.ready is not None:
            options = ReportOptions(
                title=_title((*paths, *manifests)),
                subtitle=printer.introduction,
                arguments=repeated_arguments(ctx, job.model.name, run.ready.task.inputs.fit),
                colormap=draw.colors,
                alpha=draw.opacity,
                ends=run.explainers[0].ends,
                hot_from=draw.region_from if draw.hot_only else None,
                assets=write.report_assets,
            )
            report = opened.enter_context(ReportWriter(write.report, options))
        interrupt = None
        try:
            with printer.progress():
                for result in run.results:
                    if report is not None:
                        for card in cards_of(result):
                            report.add(card)
                    printer.print_result(result)
        except KeyboardInterrupt as error:
            interrupt = error
        if report is not None:
            report.write()
            printer.print_report_path(report.path)
    if interrupt is not None:
        word, code = describe_interruption(interrupt)
        printer.summarize(f"{word}: ")
        ctx.exit(code)
    if len(run.pictures) > 1 or printer.skipped:
        printer.summarize()
    if printer.failed:
        ctx.exit(_FAILED)


def _without_unreadable_videos(
    pictures: Sequence[InputPicture], named: Sequence[str], quiet: bool
) -> list[InputPicture]:
    """Leaves out the videos that lie beside pictures in folders, if nothing can read them."""
    if can_read_videos():
        return list(pictures)
    kept: list[InputPicture] = []
    left_out: list[InputPicture] = []
    for picture in pictures:
        is_video = picture.path.suffix.lower() in VIDEO_SUFFIXES
        is_found = is_video and str(picture.path) not in named
        (left_out if is_found else kept).append(picture)
    if not kept or not left_out:
        return list(pictures)
    if not quiet:
        videos = "video is" if len(left_out) == 1 else "videos are"
        say_warning(
            f"{len(left_out)} {videos} left out, such as {left_out[0].path}: videos need PyAV: "
            f"{how_to_install('video')}"
        )
    return kept


@dataclass(frozen=True)
class _Run:
    """A run that has started in this process, or on a cluster, where ``ready`` is None."""

    explainers: Sequence[ExplainerFacts]
    results: Iterator[PictureResult]
    pictures: Sequence[InputPicture]
    ready: ReadyJob | None = None


@contextlib.contextmanager
def _begin(
    job: Job,
    pictures: Sequence[InputPicture],
    truth: TruthNames | None,
    show_messages: bool,
    done: Collection[PictureKey] | None,
) -> Iterator[_Run]:
    """Starts a run.

    Args:
        job: The run.
        pictures: All pictures.
        truth: The names of their true classes.
        show_messages: Whether TensorFlow may write to standard error.
        done: The keys of the pictures that have a record in the file of results; None without
            such a file.
    """

    def redoing(pictures: Sequence[InputPicture]) -> Sequence[InputPicture]:
        if done is None:
            return pictures
        return [replace(picture, redo=picture.key not in done) for picture in pictures]

    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    if job.machine.address is not None:
        from gradcam_cli.cluster import explain_on_cluster

        if job.has_values(pictures):
            import_tensorflow(show_messages)
            pictures = job.with_values(pictures)
        pictures = redoing(pictures)
        with explain_on_cluster(pictures, job) as run:
            yield _Run(run.explainers, run.results, pictures)
        return
    parallelism = divide_cores(len(pictures), job.machine.workers, job.runs_many_times)
    import_tensorflow(show_messages, parallelism)
    ready = make_ready(job, pictures, parallelism, truth)
    facts = [explainer.facts for explainer in ready.explainers]
    pictures = redoing(ready.pictures)
    yield _Run(facts, ready.explain(pictures), pictures, ready)


def _choose_model(model: ModelOptions, layers: Sequence[str | int]) -> ModelOptions:
    chosen = model.having(layers)
    if model.model is None and chosen.name != DEFAULT_MODEL:
        say(f"{visible(str(layers[0]))} is a layer of {chosen.name}: using that model", err=True)
    return chosen


def _describe_input(ready: ReadyJob) -> str:
    inputs = ready.task.inputs
    width, height = inputs.size
    shape = ", in the shape of each picture" * (inputs.fit == "keep")
    return f"input {height}×{width} px (height×width){shape}, fit {inputs.fit}"


def _describe_kernels() -> str:
    from gradcam_cli.networks.internals import has_onednn_on

    return describe_onednn(has_onednn_on())


def _title(paths: Sequence[str]) -> str:
    names = [to_path(path).resolve().name or path for path in paths[:_PATHS_IN_TITLE]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
