"""What a user asks for in one run, as plain values, and how it is made ready.

The same values start a run here and on the workers of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.cam.methods.table import DEFAULT_METHOD, METHODS
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.catalogue import DEFAULT_MODEL
from gradcam_cli.pictures.fitting import choose_input_size, usual_stride
from gradcam_cli.pictures.regions import DEFAULT_THRESHOLD
from gradcam_cli.rendering.encoding import DEFAULT_FORMAT
from gradcam_cli.rendering.overlay import DEFAULT_ALPHA, DEFAULT_COLORMAP
from gradcam_cli.run.records import PictureResult, PipelineOptions
from gradcam_cli.run.truth import FOLDERS, Truth, labels_from_folders
from gradcam_cli.runtime.cores import Parallelism

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.files.naming import OutputNamer

DEFAULT_TOP_K = 5
DEFAULT_EACH = 3


@dataclass(frozen=True)
class Job:
    """What is to be explained how, and what is written.

    Attributes:
        model: As for `gradcam_cli.models.loading.load_classifier`, like `weights`,
            `labels`, `preprocess`, `output`, `size`, `unsafe` and `custom_objects`.
        layers: Names, paths or indices of layers; none for the last with a spatial output.
        fusion: How the maps of several layers become one: "mean" or "max".
        methods: Names of methods; several make a sheet, but with a figure or report.
        smooth: Average the maps of brighter, darker and mirrored copies.
        classes: The classes to explain, as a user names them; none for the most probable.
        top_k: How many of the most probable classes are told; None for 5.
        fit: How a picture fits the input; None for the way that suits the network.
        truth: What the pictures really show: "folders" or a CSV file.
        each: Explain each of the `top_k` most probable classes (3 if that is None).
        report: Keep what a report shows.
        mixed_precision: Compute in float16, with weights in float32.

    The others are as for `gradcam_cli.run.records.PipelineOptions`.
    """

    model: str = DEFAULT_MODEL
    weights: Path | None = None
    labels: Path | None = None
    preprocess: str | None = None
    output: str | None = None
    size: tuple[int, int] | None = None
    unsafe: bool = False
    custom_objects: Path | None = None
    layers: Sequence[str | int] = ()
    fusion: str = "mean"
    methods: Sequence[str] = (DEFAULT_METHOD,)
    smooth: bool = False
    classes: Sequence[str] = ()
    top_k: int | None = None
    out: AnyPath | None = None
    format: str = DEFAULT_FORMAT
    fit: str | None = None
    alpha: float = DEFAULT_ALPHA
    colormap: str = DEFAULT_COLORMAP
    heatmap: str | None = None
    truth: str | None = None
    only_wrong: bool = False
    figure: str | None = None
    each: bool = False
    contour: bool = False
    box: bool = False
    threshold: float = DEFAULT_THRESHOLD
    report: bool = False
    skip_existing: bool = False
    mixed_precision: bool = False
    batch_size: int | None = None
    parallelism: Parallelism = field(default_factory=Parallelism)

    @property
    def compares(self) -> bool:
        """Whether a sheet of several methods is drawn instead of overlays."""
        return len(self.methods) > 1 and not (self.figure or self.report)

    @property
    def runs_many_times(self) -> bool:
        """Whether a single picture fills the machine."""
        return any(METHODS[method].runs_many_times for method in self.methods)

    @property
    def writes_files(self) -> bool:
        """Whether anything is written besides a report."""
        wanted = (self.out, self.each, self.heatmap, self.figure, self.contour, self.box)
        return not self.report or any(wanted)


@dataclass(frozen=True)
class ReadyJob:
    """A job whose model is loaded.

    Attributes:
        job: What was asked for.
        explainers: What explains; the first one's overlays are written.
        options: What the pipeline is told.
    """

    job: Job
    explainers: Sequence[Explainer]
    options: PipelineOptions

    def explain(
        self, pictures: Iterable[InputPicture], namer: OutputNamer | None = None
    ) -> Iterator[PictureResult]:
        """Explains pictures and writes what was asked for.

        Args:
            pictures: The pictures.
            namer: What names the files; None for one that begins with these pictures.

        Yields:
            One result for each picture, in their order, when its files are complete.
        """
        if self.job.compares:
            from gradcam_cli.run.comparison import compare_pictures

            return compare_pictures(pictures, self.explainers, self.options, namer)
        from gradcam_cli.run.pipeline import explain_pictures

        return explain_pictures(
            pictures, self.explainers[0], self.options, self.explainers[1:], namer
        )


def make_ready(job: Job, pictures: Sequence[InputPicture]) -> ReadyJob:
    """Loads the model and finds out what the options mean for it.

    Args:
        job: What is asked for.
        pictures: All pictures, or one of each folder: the classes of a model without names
            may be called after their folders.

    Raises:
        GradcamError: The model can't be had, or the options don't go with it; see
            `gradcam_cli.errors` for each.
    """
    from gradcam_cli.cam.explainer import DEFAULT_BATCH_SIZE, Explainer
    from gradcam_cli.models.loading import load_classifier
    from gradcam_cli.networks.kept_graphs import KeptGraphs
    from gradcam_cli.networks.precision import use_mixed_precision

    classifier = load_classifier(
        job.model,
        weights=job.weights,
        labels=job.labels,
        preprocess=job.preprocess,
        output=job.output,
        size=job.size,
        unsafe=job.unsafe,
        custom_objects=job.custom_objects,
        # Half precision changes the network itself.
        deferred=not job.mixed_precision,
    )
    if job.mixed_precision:
        use_mixed_precision(classifier.network)
    classifier = classifier.folded(job.layers)
    if job.truth == FOLDERS and classifier.labels.are_numbers:
        classifier = replace(classifier, labels=labels_from_folders(pictures, classifier.labels))
    fit = job.fit or classifier.default_fit
    native, any_size = classifier.input_size, classifier.any_size
    targets = [*dict.fromkeys(map(classifier.labels.find, job.classes))]
    files_for = None
    if not targets:
        several = job.each or job.report
        number = min(job.top_k or DEFAULT_EACH, len(classifier.labels)) if several else 1
        targets = [TOP_CLASS - rank for rank in range(number)]
        # A report can switch between classes; the files are still what they are without it.
        if not job.each and not job.only_wrong:
            files_for = 1
    if not job.writes_files:
        files_for = 0
    options = PipelineOptions(
        targets=targets,
        fit=fit,
        input_size=choose_input_size(native, any_size, fit, job.size),
        stride=usual_stride(native),
        top_k=job.top_k or DEFAULT_TOP_K,
        out=job.out,
        format=job.format,
        colormap=job.colormap,
        alpha=job.alpha,
        heatmap=job.heatmap,
        truth=None if job.truth is None else Truth(job.truth, classifier.labels),
        only_wrong=job.only_wrong,
        figure=job.figure,
        composite=job.each,
        contour=job.contour,
        box=job.box,
        threshold=job.threshold,
        files_for=files_for,
        report=job.report,
        skip_existing=job.skip_existing,
        batch_size=job.batch_size,
        parallelism=job.parallelism,
    )
    choices: list[list[str | int] | None] = [list(job.layers) or None]
    if (job.figure or job.report) and len(job.layers) > 1:
        # A figure and a report show the layers beside what they are fused to.
        choices += [[layer] for layer in job.layers]
    explainers = [
        Explainer(
            classifier,
            choice,
            method,
            fusion=job.fusion,
            smoothing=job.smooth,
            batch_size=job.batch_size or DEFAULT_BATCH_SIZE,
            graphs=KeptGraphs(),
        )
        for method in job.methods
        for choice in choices
    ]
    return ReadyJob(job, explainers, options)
