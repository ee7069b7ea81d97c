"""A job whose model is loaded, and how it becomes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gradcam_cli.cam.fusions import DEFAULT_FUSION
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cam.usual_method import usual_method
from gradcam_cli.errors import UsageError
from gradcam_cli.files.downloads import DownloadLimits, Downloads
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.models.input_choice import parse_inputs
from gradcam_cli.models.input_values import ValueReader, with_values
from gradcam_cli.networks.tasks import BINARY, CLASSIFICATION, VALUE
from gradcam_cli.pictures.boxes import DEFAULT_SCORE, DetectionChoice
from gradcam_cli.pictures.score_regions import ScoreRegion
from gradcam_cli.rendering.report import PREVIEW_SIDE
from gradcam_cli.run.chosen_classes import choose_targets
from gradcam_cli.run.detection_check import check_detection
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import DEFAULT_TOP_K
from gradcam_cli.run.records import PictureResult
from gradcam_cli.run.result_names import result_names
from gradcam_cli.run.segmentation import check_segmentation
from gradcam_cli.run.stacks.progress import FrameProgress
from gradcam_cli.run.targets import Targets
from gradcam_cli.run.task import Task
from gradcam_cli.run.truth import FOLDERS, Truth, TruthNames, labels_from_folders
from gradcam_cli.runtime.cores import Parallelism

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.models.labels import Labels


@dataclass(frozen=True)
class ReadyJob:
    """A job whose model is loaded.

    Attributes:
        explainers: The explainers. Overlays are written for the first one.
        task: What to do with each picture.
        pictures: The pictures with which it was made, with the values of the model's other inputs.
        frames: Where the run over a file of several pictures reports its progress.
    """

    explainers: Sequence[Explainer]
    task: Task
    pictures: Sequence[InputPicture] = ()
    frames: FrameProgress = field(default_factory=FrameProgress)

    def explain(
        self, pictures: Iterable[InputPicture], namer: OutputNamer | None = None
    ) -> Iterator[PictureResult]:
        """Explains pictures and writes their results.

        Args:
            pictures: The pictures.
            namer: Names the files; None for a new one.

        Yields:
            A result for each picture, in order, once its files are complete.
        """
        from gradcam_cli.run.pipeline import explain_pictures
        from gradcam_cli.run.planning import FilePlanner
        from gradcam_cli.run.stacks.running import StackRun

        task = self.task
        if task.stack.first_frame or task.observes:
            return explain_pictures(pictures, self.explainers, task, namer)
        namer = namer or OutputNamer(task.write.out, variant=task.names.identity)
        planner = FilePlanner(task, self.explainers[0].classifier.labels, namer)
        stacks = StackRun(self.explainers, task, planner.for_stacks(), self.frames)
        return explain_pictures(pictures, self.explainers, task, namer, stacks)

    def describe_collapse(self, pictures: Sequence[InputPicture]) -> str | None:
        """Returns a warning if the network hardly recognizes the pictures at the chosen size.

        Args:
            pictures: All pictures.

        Returns:
            See `gradcam_cli.run.size_check.describe_collapse`.
        """
        from gradcam_cli.run.size_check import describe_collapse

        downloads = Downloads(self.task.download_limits)
        return describe_collapse(self.explainers[0], pictures, self.task.inputs, downloads)

    def describe_indecision(self, pictures: Sequence[InputPicture]) -> str | None:
        """Returns a warning if another preprocessing than the guessed one suits the network.

        Args:
            pictures: All pictures.

        Returns:
            See `gradcam_cli.run.preprocessing_check.describe_indecision`.
        """
        from gradcam_cli.run.preprocessing_check import describe_indecision

        downloads = Downloads(self.task.download_limits)
        return describe_indecision(self.explainers[0], pictures, self.task.inputs, downloads)

    def describe_doubts(self, pictures: Sequence[InputPicture]) -> list[str]:
        """Says why the results may be meaningless, or not what the user means.

        Args:
            pictures: All pictures.

        Returns:
            A sentence for each reason.
        """
        truth = self.task.targets.truth
        doubts = (
            self.explainers[0].classifier.warning,
            self.describe_collapse(pictures),
            self.describe_indecision(pictures),
            None if truth is None else truth.describe_guesses(),
        )
        return [doubt for doubt in doubts if doubt]


def make_ready(
    job: Job,
    pictures: Sequence[InputPicture],
    parallelism: Parallelism | None = None,
    truth: TruthNames | None = None,
    classifier: Classifier | None = None,
) -> ReadyJob:
    """Loads the model and applies the options to it.

    Args:
        job: The run.
        pictures: All pictures, or one of each folder. With ``--truth folders``, the classes of a
            model without class names are named after the folders.
        parallelism: How many pictures and batches to work on at once; None for one.
        truth: The names of the true classes, if they have been read already.
        classifier: The model, if it has been loaded already.

    Raises:
        GradcamError: The model can't be loaded, or the options don't match it; see
            `gradcam_cli.errors` for the subclasses.
    """
    classifier = classifier or load_model_of(job)
    job = replace(job, explain=job.explain.with_methods(usual_method(classifier)))
    check_segmentation(job.explain, classifier)
    check_detection(job, classifier)
    if job.explain.truth is not None:
        _check_has_classes(classifier)
    classifier = replace(classifier, labels=labels_of(job, pictures, classifier))
    known = None
    if job.explain.truth is not None:
        known = Truth(truth or TruthNames(job.explain.truth), classifier.labels)
        known.check(pictures)
    if classifier.takes_stacks and job.stack.first_frame:
        raise UsageError(
            f"--first-frame explains single pictures, but {classifier.name} takes "
            f"{classifier.describe_length()}; leave it out"
        )
    targets = choose_targets(job, classifier, known)
    inputs = classifier.input_for(job.explain.fit, job.model.size)
    inputs = replace(inputs, window=job.stack.window)
    choice = parse_inputs(job.model.inputs)
    pictures = with_values(pictures, classifier, choice.values)
    if classifier.others:
        reader = ValueReader(
            classifier, inputs, Downloads(DownloadLimits(job.machine.max_download))
        )
        reader.shared(choice.values)
        classifier = classifier.with_shapes(reader.shapes(pictures))
    views = [classifier, *classifier.explained_views[1:]]
    if len(views) > 1 and job.explain.region is not None:
        raise UsageError(
            f"--region belongs to one picture, and {len(views)} inputs are explained; choose one "
            f"with --input NAME, such as --input {classifier.explained}"
        )
    explainers = [
        explainer
        for view, layers in zip(views, _layers_of_views(views, job.explain.layers), strict=True)
        for explainer in _explainers(job, view.folded(layers), layers, targets)
    ]
    task = Task(
        inputs=inputs,
        download_limits=DownloadLimits(job.machine.max_download),
        targets=targets,
        top_k=job.explain.top_k or _usual_number(classifier),
        draw=job.draw,
        write=job.write,
        stack=job.stack,
        region=None if job.explain.region is None else ScoreRegion(job.explain.region),
        names=result_names(
            job.model,
            job.explain,
            job.draw,
            job.write,
            explainers[0].facts.layer or "none",
            explainers[0].facts.against,
            job.stack.window,
        ),
        detection=_detection_of(job, classifier),
        composite=job.explain.each or (classifier.detects and job.writes_files),
        sheet=job.draws_sheet,
        keeps_card=job.write.report is not None or job.preview_side is not None,
        preview_side=job.preview_side or PREVIEW_SIDE,
        observes=job.observes,
        views=[view.picture_input for view in views],
        chosen_views=choice.explained,
        batch_size=job.machine.batch_size,
        parallelism=parallelism or Parallelism(),
    )
    return ReadyJob(explainers, task, pictures)


def _detection_of(job: Job, classifier: Classifier) -> DetectionChoice | None:
    if not classifier.detects:
        return None
    min_score, most = job.explain.min_score, job.explain.top_k
    return DetectionChoice(
        DEFAULT_SCORE if min_score is None else min_score,
        most or DEFAULT_TOP_K,
        without=tuple(classifier.background),
    )


def _check_has_classes(classifier: Classifier) -> None:
    if classifier.labels.quantity == VALUE:
        instead = CLASSIFICATION if len(classifier.labels) > 1 else BINARY
        raise UsageError(
            f"--truth compares classes, but {classifier.name} returns values: task "
            f"{classifier.described_task}; leave out --truth or, if the model is a classifier, add "
            f"--task {instead}"
        )


def _usual_number(classifier: Classifier) -> int:
    """Returns how many predictions a result has: no output of a regression is the foremost."""
    labels = classifier.labels
    return len(labels) if labels.quantity == VALUE else DEFAULT_TOP_K


def labels_of(job: Job, pictures: Sequence[InputPicture], classifier: Classifier) -> Labels:
    """Returns the names of the classes in a run.

    Args:
        job: The run.
        pictures: As for `make_ready`.
        classifier: The model.
    """
    if job.explain.truth == FOLDERS and classifier.labels.are_numbers:
        return labels_from_folders(pictures, classifier.labels)
    return classifier.labels


def load_model_of(job: Job) -> Classifier:
    """Loads the model of a run.

    Raises:
        GradcamError: It can't be loaded; see `gradcam_cli.errors` for the subclasses.
    """
    from gradcam_cli.models.loading import load_classifier
    from gradcam_cli.networks.precision import use_mixed_precision

    # Half precision changes the network itself, so the network must be built at once.
    classifier = load_classifier(job.model, deferred=not job.machine.mixed_precision)
    if job.machine.mixed_precision:
        use_mixed_precision(classifier.network)
    return classifier


def _layers_of_views(
    views: Sequence[Classifier], layers: Sequence[str | int]
) -> list[Sequence[str | int]]:
    """Finds for each explained input the layers, of those that the user named, that depend on it.

    Raises:
        UnknownLayerError: The network has no such layer.
        UnusableLayerError: A layer can't be explained, or none of them depends on an input.
    """
    if len(views) == 1 or not layers:
        return [layers for _ in views]
    found = [view.refused_layers(layers) for view in views]
    for layer in layers:
        if all(layer in refused for refused in found):
            raise found[0][layer]
    of_views: list[Sequence[str | int]] = []
    for view, refused in zip(views, found, strict=True):
        of_views.append([layer for layer in layers if layer not in refused])
        if not of_views[-1]:
            others = " ".join(f"--input {other.explained}" for other in views if other is not view)
            raise UsageError(
                f"--layer {layers[0]}: does not depend on the input {view.explained}; name a layer "
                f"that does too, or explain only {others}"
            )
    return of_views


def _explainers(
    job: Job, classifier: Classifier, layers: Sequence[str | int], targets: Targets
) -> list[Explainer]:
    from gradcam_cli.cam.explainer import DEFAULT_BATCH_SIZE, Explainer
    from gradcam_cli.cam.score_weights import ScoreWeights
    from gradcam_cli.networks.kept_graphs import KeptGraphs

    chosen = list(layers) or None
    choices: list[list[str | int] | None] = [chosen]
    if job.observes and layers:
        choices = [[layer] for layer in layers]
    elif (job.draw.figure or job.write.report) and len(layers) > 1:
        # A figure and a report show each layer beside the fused map.
        choices += [[layer] for layer in layers]
    return [
        Explainer(
            classifier,
            choice,
            method,
            fusion=job.explain.fusion or DEFAULT_FUSION,
            smoothing=job.explain.smooth,
            batch_size=job.machine.batch_size or DEFAULT_BATCH_SIZE,
            graphs=KeptGraphs(),
            weights=ScoreWeights(targets.joined, targets.against),
            signed=job.draw.signed,
        )
        for method in job.explain.methods
        for choice in ([chosen] if METHODS[method].fuses_layers else choices)
    ]
