"""The classes that the user chose, found among those of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.errors import UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.networks.tasks import VALUE
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import DEFAULT_EACH, ExplainOptions
from gradcam_cli.run.targets import Targets
from gradcam_cli.run.truth import Truth, TruthNames

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.models.labels import Labels


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


def choose_targets(job: Job, classifier: Classifier, truth: Truth | None) -> Targets:
    """Chooses the classes to explain in each picture.

    Args:
        job: The run.
        classifier: The model.
        truth: The true classes of the pictures; None if they aren't known.

    Raises:
        UnknownClassError: The model doesn't have one of the classes.
        UsageError: They can't be joined or compared.
    """
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
        if not (explain.each or explain.only_wrong or classifier.detects):
            with_files = 1
    if not job.writes_files:
        with_files = 0
    return Targets(
        classes,
        with_files,
        truth,
        explain.only_wrong,
        adds_truth=job.write.report is not None or job.observes,
        joined=joined,
        against=against,
        skips_against=explain.each or classifier.segments,
        are_objects=classifier.detects,
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
