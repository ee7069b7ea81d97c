"""``gradcam PATH...``: explains pictures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import ClassVar

import click
from click.core import ParameterSource

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cli.group import DEBUG
from gradcam_cli.cli.options import (
    alpha_option,
    colormap_option,
    debug_option,
    layers_option,
    methods_option,
    model_options,
    parse_layer,
)
from gradcam_cli.cli.path_types import LocalPath, StoragePath
from gradcam_cli.cli.reporter import Reporter
from gradcam_cli.cli.reproduce import remember_given, repeated_arguments
from gradcam_cli.cli.results_file import ResultsFile
from gradcam_cli.errors import INTERRUPTED, ImageError, UsageError
from gradcam_cli.files.finding import SUFFIXES, InputPicture, PictureKey, find_pictures
from gradcam_cli.files.manifest import read_manifest
from gradcam_cli.files.naming import check_places
from gradcam_cli.files.storage import AnyPath, to_path
from gradcam_cli.models.catalogue import DEFAULT_MODEL, is_model_name, model_for_layer
from gradcam_cli.pictures.fitting import FITS
from gradcam_cli.pictures.regions import DEFAULT_THRESHOLD
from gradcam_cli.rendering.encoding import (
    DEFAULT_FORMAT,
    FIGURE_FORMATS,
    HEATMAP_FORMATS,
    PICTURE_FORMATS,
)
from gradcam_cli.rendering.overlay import color_table
from gradcam_cli.rendering.report import (
    ReportOptions,
    ReportPicture,
    ReportWriter,
    check_may_replace,
)
from gradcam_cli.run.job import DEFAULT_EACH, DEFAULT_TOP_K, Job, make_ready
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


@click.command(cls=_ExplainCommand, short_help="Explain pictures (the default command).")
@click.argument("paths", nargs=-1, metavar="PATH...")
@model_options
@layers_option(
    "The layer to explain, by name or index (see 'gradcam layers'). Can be repeated: their maps "
    "are fused. [default: the last with a spatial output]"
)
@click.option(
    "--fuse",
    "fusion",
    type=click.Choice(["mean", "max"]),
    default="mean",
    show_default=True,
    help="How the maps of several layers become one.",
)
@methods_option("Can be repeated: a sheet that compares them.")
@click.option(
    "--smooth",
    is_flag=True,
    help="Average the maps of brighter, darker and mirrored copies; takes six times as long.",
)
@click.option(
    "-c",
    "--class",
    "classes",
    metavar="CLASS",
    multiple=True,
    help="The class to explain: an index, a WordNet id or a name. Can be repeated: an overlay for "
    "each. [default: the most probable]",
)
@click.option(
    "-k",
    "--top-k",
    metavar="K",
    type=click.IntRange(min=1),
    help=f"Tell the K most probable classes. [default: {DEFAULT_TOP_K}; of several pictures, 1]",
)
@click.option(
    "-o",
    "--out",
    metavar="FOLDER|URL",
    type=StoragePath(file_okay=False),
    help="Write results here, folders mirrored. [default: beside each picture]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(PICTURE_FORMATS),
    default=DEFAULT_FORMAT,
    show_default=True,
    help="What overlays are written as; jpg and webp take a tenth of the room.",
)
@click.option(
    "--fit",
    type=click.Choice(FITS),
    help="How a picture fits the network's input: in its own shape, stretched, its middle, or "
    "with borders. [default: keep, or squash for networks of one size]",
)
@alpha_option
@colormap_option
@click.option(
    "--heatmap",
    type=click.Choice(HEATMAP_FORMATS),
    metavar=f"[{'|'.join(HEATMAP_FORMATS)}]",
    help="Also write the bare map, as 16-bit grey PNG or as NumPy array.",
)
@click.option(
    "--truth",
    metavar="folders|FILE.csv",
    help="What the pictures really show, by the names of their folders or by a table of pictures "
    "and classes: marks right and wrong predictions.",
)
@click.option(
    "--only",
    type=click.Choice(["wrong"]),
    help="With --truth: write the wrongly predicted pictures only, and explain both the predicted "
    "and the true class.",
)
@click.option(
    "--figure",
    type=click.Choice(FIGURE_FORMATS),
    metavar=f"[{'|'.join(FIGURE_FORMATS)}]",
    help="Also write a labelled figure: the original and the overlays side by side.",
)
@click.option(
    "--each",
    is_flag=True,
    help=f"An overlay for each of the K most probable classes (K is {DEFAULT_EACH} unless "
    f"--top-k says otherwise), and one picture in which each class has its own hue.",
)
@click.option("--contour", is_flag=True, help="Outline the region above the threshold.")
@click.option("--box", is_flag=True, help="Draw the box of that region's largest connected part.")
@click.option(
    "--threshold",
    metavar="PART",
    type=click.FloatRange(0, 1, min_open=True),
    default=DEFAULT_THRESHOLD,
    show_default=True,
    help="Where the region begins, as a part of the map's maximum.",
)
@click.option(
    "--report",
    metavar="FILE.html",
    type=LocalPath(dir_okay=False),
    help="Write a gallery of all pictures: one page that needs no server and no network. "
    "Overlays are then written only where --out or another option asks for files.",
)
@click.option(
    "--report-assets",
    is_flag=True,
    help="Put the pictures of the report into a folder beside it, for thousands of them.",
)
@click.option(
    "--batch-size",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many pictures go through the network at once. [default: what suits the machine; "
    "half of it, where memory doesn't last]",
)
@click.option(
    "--ray",
    "address",
    metavar="ADDRESS|local",
    help="Share the work among the workers of a Ray cluster, as host:6379, or of one that is "
    "started here for the time of the run. Needs --out; adds a table of results in Parquet files.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many threads decode, draw and, without a GPU, compute. [default: one a core] With "
    "--ray, how many processes hold the model. [default: one on each GPU, or else core]",
)
@click.option(
    "--mixed-precision",
    is_flag=True,
    help="Compute in half precision: faster on most GPUs, and slower without one.",
)
@click.option(
    "--from-file",
    "manifests",
    metavar="LIST",
    multiple=True,
    help="Also explain what this file lists: a path in each line, or CSV with the columns path "
    "and class, which goes before --class; - is standard input. Can be repeated.",
)
@click.option(
    "--skip-existing",
    is_flag=True,
    help="Go on where an earlier run with the same options stopped: leave out pictures whose "
    "results are there.",
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
    paths: tuple[str, ...],
    model: str | None,
    weights: Path | None,
    labels: Path | None,
    preprocess: str | None,
    output: str | None,
    size: tuple[int, int] | None,
    unsafe: bool,
    custom_objects: Path | None,
    layers: tuple[str, ...],
    fusion: str,
    methods: tuple[str, ...],
    smooth: bool,
    classes: tuple[str, ...],
    top_k: int | None,
    out: AnyPath | None,
    format_: str,
    fit: str | None,
    alpha: float,
    colormap: str,
    heatmap: str | None,
    truth: str | None,
    only: str | None,
    figure: str | None,
    each: bool,
    contour: bool,
    box: bool,
    threshold: float,
    report: Path | None,
    report_assets: bool,
    batch_size: int | None,
    address: str | None,
    workers: int | None,
    mixed_precision: bool,
    manifests: tuple[str, ...],
    skip_existing: bool,
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
    color_table(colormap)
    if report is not None:
        check_may_replace(report)
    elif report_assets:
        raise click.UsageError("--report-assets needs --report FILE.html")
    if not paths and not manifests:
        raise click.UsageError("Missing argument 'PATH...' or option --from-file.")
    named: dict[PictureKey, InputPicture] = {}
    for picture in chain(find_pictures(paths), *map(read_manifest, manifests)):
        named.setdefault(picture.key, picture)
    pictures = list(named.values())
    paths = (*paths, *manifests)
    if not pictures:
        raise ImageError(
            f"no pictures in {', '.join(paths)} (looked for {', '.join(sorted(SUFFIXES))})"
        )
    if skip_existing and report is not None:
        raise UsageError("--report gathers all pictures; leave out --skip-existing")
    if skip_existing and only:
        raise UsageError("--only wrong leaves nothing of what it passes over; drop --skip-existing")
    as_json = json == Path(_STANDARD_OUTPUT)
    if only and not truth:
        raise UsageError("--only wrong needs --truth to know what is wrong")
    if only and classes:
        raise UsageError("--only wrong explains the predicted and the true class; drop --class")
    if each and classes:
        raise UsageError(
            "--each explains the most probable classes; leave out --class, or --each, since "
            "--class can be repeated"
        )
    if not (contour or box) and _is_given(ctx, "threshold"):
        raise UsageError("--threshold goes with --contour or --box")
    methods, layers = tuple(dict.fromkeys(methods)), tuple(dict.fromkeys(layers))
    if len(layers) < 2 and _is_given(ctx, "fusion"):
        raise UsageError("--fuse goes with several --layer")
    if len(methods) > 1 and not (figure or report):
        _check_comparison(
            heatmap=heatmap is not None,
            truth=truth is not None,
            each=each,
            contour=contour,
            box=box,
        )
    if model is None:
        model = model_for_layer(layers[0]) if layers else DEFAULT_MODEL
        if model != DEFAULT_MODEL:
            click.echo(f"{layers[0]} is a layer of {model}: using that model", err=True)

    job = Job(
        model=model,
        weights=weights,
        labels=labels,
        preprocess=preprocess,
        output=output,
        size=size,
        unsafe=unsafe,
        custom_objects=custom_objects,
        layers=[parse_layer(layer) for layer in layers],
        fusion=fusion,
        methods=methods,
        smooth=smooth,
        classes=classes,
        top_k=top_k,
        out=out,
        format=format_,
        fit=fit,
        alpha=alpha,
        colormap=colormap,
        heatmap=heatmap,
        truth=truth,
        only_wrong=only is not None,
        figure=figure,
        each=each,
        contour=contour,
        box=box,
        threshold=threshold,
        report=report is not None,
        skip_existing=skip_existing,
        mixed_precision=mixed_precision,
        batch_size=batch_size,
    )
    job = replace(job, parallelism=divide_cores(len(pictures), workers, job.runs_many_times))
    if job.writes_files:
        check_places(pictures, out)

    with contextlib.ExitStack() as stack:
        results_file = None
        if json is not None and not as_json:
            results_file = stack.enter_context(ResultsFile(json))
            done = results_file.done
            pictures = [replace(picture, redo=picture.key not in done) for picture in pictures]
        ready = None
        if address is None:
            from gradcam_cli.runtime.tensorflow_import import import_tensorflow

            import_tensorflow(ctx.meta[DEBUG], job.parallelism)
            ready = make_ready(job, pictures)
            explainers: Sequence[ExplainerFacts] = [one.facts for one in ready.explainers]
            results = ready.explain(pictures)
        else:
            from gradcam_cli.cluster import explain_on_cluster

            run = explain_on_cluster(pictures, job, address, workers=workers)
            explainers, results = stack.enter_context(run)
        loaded = time.perf_counter()

        reporter = Reporter(
            explainers,
            number_of_pictures=len(pictures),
            show_classes=top_k or (DEFAULT_TOP_K if len(pictures) == 1 else 1),
            as_json=as_json,
            quiet=quiet,
            only_wrong=job.only_wrong,
            results_file=results_file,
        )
        if not quiet and not as_json:
            reporter.introduce(
                chosen=not layers,
                tells_preprocessing=verbose or not is_model_name(model) or preprocess is not None,
            )
        how = ""
        if ready is not None:
            reporter.follow(ready.explainers)
            fit = ready.options.fit
            width, height = ready.options.input_size
            how = (
                f"input {height}×{width} px (height×width)"
                f"{', in the shape of each picture' * (fit == 'keep')}, fit {fit}; "
            )
        if verbose:
            click.echo(f"{how}ready after {loaded - started:.1f} s", err=True)
        gallery = None
        if report is not None and ready is not None:
            gallery = stack.enter_context(
                ReportWriter(
                    report,
                    ReportOptions(
                        title=_title(paths),
                        subtitle=reporter.introduction,
                        arguments=repeated_arguments(ctx, model, ready.options.fit),
                        colormap=colormap,
                        alpha=alpha,
                        assets=report_assets,
                    ),
                )
            )
        interrupted = False
        try:
            with reporter.progress():
                for result in results:
                    if gallery is not None and result.error is not None:
                        gallery.add(
                            ReportPicture(str(result.picture.path), error=str(result.error))
                        )
                    elif gallery is not None and result.card is not None:
                        gallery.add(result.card)
                    reporter.report(result)
        except KeyboardInterrupt:
            interrupted = True
        if gallery is not None:
            gallery.write()
            reporter.tell_report(gallery.path)
    if interrupted:
        reporter.summarize("Interrupted: ")
        ctx.exit(INTERRUPTED)
    if len(pictures) > 1 or reporter.skipped:
        reporter.summarize()
    if reporter.failed:
        ctx.exit(_FAILED)


def _is_given(ctx: click.Context, parameter: str) -> bool:
    return ctx.get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def _check_comparison(**options: bool) -> None:
    for option, is_given in options.items():
        if is_given:
            raise UsageError(
                f"--{option} goes with one --method, or with --figure; several methods make a sheet"
            )


def _title(paths: Sequence[str]) -> str:
    names = [to_path(path).resolve().name or path for path in paths[:_PATHS_IN_TITLE]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
