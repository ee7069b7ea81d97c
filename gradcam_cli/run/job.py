"""A run as plain values, and its preparation.

The same values start a run in this process and on the workers of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.cam.methods.table import check_combines_scores, check_has_sign
from gradcam_cli.errors import UsageError
from gradcam_cli.files.downloads import DownloadLimits, Downloads
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.input_choice import parse_inputs
from gradcam_cli.models.input_values import ValueReader, with_values
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.networks.tasks import BINARY, CLASSIFICATION, VALUE
from gradcam_cli.pictures.score_regions import ScoreRegion
from gradcam_cli.run.options import (
    DEFAULT_EACH,
    DEFAULT_FUSION,
    DEFAULT_TOP_K,
    DrawOptions,
    ExplainOptions,
    MachineOptions,
    WriteOptions,
)
from gradcam_cli.run.records import PictureResult
from gradcam_cli.run.result_names import check_names, result_names
from gradcam_cli.run.segmentation import check_segmentation
from gradcam_cli.run.targets import Targets
from gradcam_cli.run.task import Task
from gradcam_cli.run.truth import FOLDERS, Truth, TruthNames, labels_from_folders
from gradcam_cli.runtime.cores import Parallelism

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.files.naming import OutputNamer
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.models.labels import Labels


@dataclass(frozen=True)
class Job:
    """What to do in a run.

    Attributes:
        model: What to load.
        explain: What to explain.
        draw: What to draw.
        write: Where to write.
        machine: How to run.
    """

    model: ModelOptions = field(default_factory=ModelOptions)
    explain: ExplainOptions = field(default_factory=ExplainOptions)
    draw: DrawOptions = field(default_factory=DrawOptions)
    write: WriteOptions = field(default_factory=WriteOptions)
    machine: MachineOptions = field(default_factory=MachineOptions)

    @property
    def draws_sheet(self) -> bool:
        """Whether a sheet of several methods is drawn instead of overlays."""
        return len(self.explain.methods) > 1 and not (self.draw.figure or self.write.report)

    @property
    def writes_files(self) -> bool:
        """Whether anything is written besides a report."""
        draw = self.draw
        wanted = (
            *(self.write.out, self.write.name, self.explain.each),
            *(draw.heatmap, draw.figure, draw.contour, draw.box, draw.mask, draw.hot_only),
        )
        return self.write.report is None or any(wanted)

    @property
    def writes_one_a_class(self) -> bool:
        """Whether each of several classes gets its own overlay."""
        explain = self.explain
        several = len(explain.classes) > 1 or explain.each or explain.only_wrong
        return several and not self.draws_sheet

    def check(self) -> None:
        """Checks that the options can be combined.

        Raises:
            UsageError: They can't.
        """
        explain, draw, write = self.explain, self.draw, self.write
        if write.report_assets and write.report is None:
            raise UsageError("--report-assets needs --report FILE.html")
        if write.skip_existing and write.report is not None:
            raise UsageError("--report shows all pictures; leave out --skip-existing")
        if write.skip_existing and explain.only:
            raise UsageError(
                "--only wrong writes nothing for right predictions, so they can't be skipped; "
                "leave out --skip-existing"
            )
        if explain.only and not explain.truth:
            raise UsageError("--only wrong needs --truth to know the true classes")
        if explain.only and explain.classes:
            raise UsageError(
                "--only wrong explains the predicted and the true class; leave out --class"
            )
        if explain.each and explain.classes:
            raise UsageError(
                "--each explains the most probable classes; leave out --class, or leave out --each "
                "and repeat --class"
            )
        if explain.join and len(explain.classes) < 2:
            raise UsageError("--join needs several --class options")
        for method in explain.methods:
            if draw.signed:
                check_has_sign(method, "--signed")
            if explain.join:
                check_combines_scores(method, "--join")
            if explain.against is not None:
                check_combines_scores(method, "--against")
        if explain.region is not None:
            region = ScoreRegion(explain.region)
            if region.is_file and self.machine.address is not None:
                raise UsageError(
                    f"--region {explain.region}: masks are files of this machine, which the "
                    f"workers of --ray may not have; give LEFT,TOP,RIGHT,BOTTOM or leave out --ray"
                )
        if draw.threshold is not None and not draw.uses_threshold:
            raise UsageError("--threshold needs --contour, --box, --mask or --hot-only")
        if explain.fusion is not None and len(explain.layers) < 2:
            raise UsageError("--fuse needs several --layer options")
        if self.draws_sheet:
            for option, is_given in {
                "heatmap": draw.heatmap,
                "truth": explain.truth,
                "each": explain.each,
                "contour": draw.contour,
                "box": draw.box,
                "mask": draw.mask,
            }.items():
                if is_given:
                    raise UsageError(
                        f"--{option} doesn't work with the sheet of several methods; choose one "
                        f"--method or add --figure"
                    )

    def has_values(self, pictures: Iterable[InputPicture]) -> bool:
        """Returns whether there may be values for further inputs of the model."""
        return bool(self.model.inputs) or any(picture.values for picture in pictures)

    def with_values(self, pictures: Sequence[InputPicture]) -> list[InputPicture]:
        """Gives each picture the values of the model's other inputs; loads the model.

        Args:
            pictures: The pictures, with all further columns of their lists.

        Raises:
            GradcamError: As for `make_ready`.
        """
        from gradcam_cli.models.loading import load_architecture

        classifier = load_architecture(self.model)
        return with_values(pictures, classifier, parse_inputs(self.model.inputs).values)

    def check_names(self, pictures: Iterable[InputPicture]) -> None:
        """Checks that each file gets its own name.

        Args:
            pictures: All pictures.

        Raises:
            UsageError: Several files would have the same name, or the pattern isn't valid.
        """
        if self.writes_files:
            names_classes = bool(self.explain.classes)
            check_names(pictures, self.write, self.writes_one_a_class, names_classes)


@dataclass(frozen=True)
class ReadyJob:
    """A job whose model is loaded.

    Attributes:
        explainers: The explainers. Overlays are written for the first one.
        task: What to do with each picture.
        pictures: The pictures with which it was made, with the values of the model's other inputs.
    """

    explainers: Sequence[Explainer]
    task: Task
    pictures: Sequence[InputPicture] = ()

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

        return explain_pictures(pictures, self.explainers, self.task, namer)

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


def check_classes(
    job: Job, pictures: Sequence[InputPicture], truth: TruthNames | None = None
) -> None:
    """Checks before TensorFlow is loaded that the requested and true classes exist.

    If the model's classes aren't known yet, `make_ready` checks them.

    Args:
        job: The run.
        pictures: All pictures.
        truth: The names of their true classes.

    Raises:
        UnknownClassError: The model doesn't have one of the classes.
        UsageError: The table of true classes contains none of the pictures, or the classes can't be
            joined or compared.
    """
    if truth is not None:
        truth.check(pictures)
    if job.explain.join:
        for picture in pictures:
            if picture.target is not None:
                raise UsageError(
                    f"--join explains the classes of --class together, but {picture.path} has a "
                    f"class of its own in --from-file; leave out one of them"
                )
    labels = job.model.known_labels()
    if labels is None:
        return
    _chosen_classes(job.explain, labels)
    if truth is not None:
        Truth(truth, labels).check(pictures)


def make_ready(
    job: Job,
    pictures: Sequence[InputPicture],
    parallelism: Parallelism | None = None,
    truth: TruthNames | None = None,
) -> ReadyJob:
    """Loads the model and applies the options to it.

    Args:
        job: The run.
        pictures: All pictures, or one of each folder. With ``--truth folders``, the classes of a
            model without class names are named after the folders.
        parallelism: How many pictures and batches to work on at once; None for one.
        truth: The names of the true classes, if they have been read already.

    Raises:
        GradcamError: The model can't be loaded, or the options don't match it; see
            `gradcam_cli.errors` for the subclasses.
    """
    classifier = _load(job)
    check_segmentation(job.explain, classifier)
    if job.explain.truth is not None:
        _check_has_classes(classifier)
    if job.explain.truth == FOLDERS and classifier.labels.are_numbers:
        classifier = replace(classifier, labels=labels_from_folders(pictures, classifier.labels))
    known = None
    if job.explain.truth is not None:
        known = Truth(truth or TruthNames(job.explain.truth), classifier.labels)
        known.check(pictures)
    targets = _targets(job, classifier, known)
    inputs = classifier.input_for(job.explain.fit, job.model.size)
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
        region=None if job.explain.region is None else ScoreRegion(job.explain.region),
        names=result_names(
            job.model,
            job.explain,
            job.draw,
            job.write,
            explainers[0].facts.layer,
            explainers[0].facts.against,
        ),
        composite=job.explain.each,
        sheet=job.draws_sheet,
        keeps_card=job.write.report is not None,
        views=[view.picture_input for view in views],
        chosen_views=choice.explained,
        batch_size=job.machine.batch_size,
        parallelism=parallelism or Parallelism(),
    )
    return ReadyJob(explainers, task, pictures)


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


def _load(job: Job) -> Classifier:
    from gradcam_cli.models.loading import load_classifier
    from gradcam_cli.networks.precision import use_mixed_precision

    # Half precision changes the network itself, so the network must be built at once.
    classifier = load_classifier(job.model, deferred=not job.machine.mixed_precision)
    if job.machine.mixed_precision:
        use_mixed_precision(classifier.network)
    return classifier


def _targets(job: Job, classifier: Classifier, truth: Truth | None) -> Targets:
    explain, labels = job.explain, classifier.labels
    classes, against = _chosen_classes(explain, labels)
    joined = tuple(classes) if explain.join else ()
    classes = classes[:1] if joined else classes
    with_files = None
    if not classes and against is not None and labels.quantity == VALUE and not explain.each:
        if job.draw.signed:
            # Its colours would say the opposite of those of the map without --against.
            raise UsageError(
                f"--signed shows what raises {labels.name(against)} and what lowers it; leave out "
                f"--against"
            )
        # What lowers this output.
        classes = [against]
    if not classes:
        several = explain.each or job.write.report is not None
        most = len(labels) - (against is not None)
        number = min(explain.top_k or DEFAULT_EACH, most) if several else 1
        classes = [TOP_CLASS - rank for rank in range(number)]
        # A report can switch between classes, but the files are the same as without a report.
        if not explain.each and not explain.only_wrong:
            with_files = 1
    if not job.writes_files:
        with_files = 0
    return Targets(
        classes,
        with_files,
        truth,
        explain.only_wrong,
        adds_truth=job.write.report is not None,
        joined=joined,
        against=against,
        skips_against=explain.each or classifier.segments,
    )


def _chosen_classes(explain: ExplainOptions, labels: Labels) -> tuple[list[int], int | None]:
    """Finds the classes that the user chose, and the one to compare them with.

    Raises:
        UnknownClassError: The model doesn't have one of them.
        UsageError: They can't be joined or compared.
    """
    classes = [*dict.fromkeys(map(labels.find, explain.classes))]
    if explain.join and len(classes) < 2:
        raise UsageError("--join: all --class options are the same class; choose several classes")
    against = None if explain.against is None else labels.find(explain.against)
    if against in classes:
        advice = "a class can't be explained against itself"
        if labels.quantity == VALUE:
            advice = "to explain what lowers it, leave out --class"
        raise UsageError(f"--class and --against are both {labels.name(against)}; {advice}")
    return classes, against


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

    choices: list[list[str | int] | None] = [list(layers) or None]
    if (job.draw.figure or job.write.report) and len(layers) > 1:
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
        for choice in choices
    ]
