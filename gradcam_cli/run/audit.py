"""Collects the results of a pass over many pictures into an audit and its files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gradcam_cli.analysis.audit_results import Audit
from gradcam_cli.analysis.heat_places import object_fraction
from gradcam_cli.analysis.making_audit import make_audit
from gradcam_cli.analysis.observation import Observation
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.errors import AnnotationError, GradcamError, ImageError, UsageError
from gradcam_cli.evaluation.annotations import Annotations
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.result_folder import ResultFolder
from gradcam_cli.models.labels import Labels
from gradcam_cli.networks.tasks import BINARY, CLASSIFICATION, MULTILABEL, VALUE
from gradcam_cli.run.audit_files import NAMES, PAGE, write_tables
from gradcam_cli.run.audit_page import PREVIEW_SIDE, AuditPage
from gradcam_cli.run.job import Job
from gradcam_cli.run.ready_job import ReadyJob
from gradcam_cli.run.records import PictureResult
from gradcam_cli.run.whole_pictures import check_whole_pictures

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier


@dataclass(frozen=True)
class Subject:
    """What is audited.

    Attributes:
        facts: The model, the method and the layer.
        labels: The names of its classes.
        has_several: Whether a picture can belong to several classes at once.
        doubts: Why its results may be wrong, each a sentence.
    """

    facts: ExplainerFacts
    labels: Labels
    has_several: bool = False
    doubts: Sequence[str] = ()


def audit_folder(out: Path) -> ResultFolder:
    """Returns the folder for the files of an audit.

    Raises:
        OutputError: It holds something else, or can't be written.
    """
    return ResultFolder(out, "audit", NAMES)


def as_audit(job: Job, with_page: bool) -> Job:
    """Returns a run as the pass of an audit.

    Args:
        job: The run.
        with_page: Whether a page shows the pictures.
    """
    # The map of the true class then also shows what speaks against it.
    signed = all(METHODS[method].has_sign for method in job.explain.methods)
    return replace(
        job,
        draw=replace(job.draw, signed=signed),
        observes=True,
        preview_side=PREVIEW_SIDE if with_page else None,
    )


def check_can_audit(classifier: Classifier) -> None:
    """Refuses models whose predictions aren't classes of whole pictures.

    Raises:
        UsageError: It is such a model, or several of its inputs would be explained.
    """
    name, labels = classifier.name, classifier.labels
    if labels.quantity == VALUE:
        instead = CLASSIFICATION if len(labels) > 1 else BINARY
        raise UsageError(
            f"{name} returns values, but an audit asks which class a picture shows: task "
            f"{classifier.described_task}; if it is a classifier, add --task {instead}"
        )
    check_whole_pictures(classifier, "an audit", "which class")


def subject_of(ready: ReadyJob, pictures: Sequence[InputPicture]) -> Subject:
    """Describes a loaded model, with what makes its results doubtful.

    Args:
        ready: The run.
        pictures: All pictures.
    """
    first = ready.explainers[0]
    return Subject(
        first.facts,
        first.classifier.labels,
        first.classifier.task == MULTILABEL,
        ready.describe_doubts(pictures),
    )


class Auditor:
    """Collects results, keeping little of each in memory, and writes the files of the audit."""

    def __init__(
        self, subject: Subject, folder: ResultFolder | None, annotations: Path | None = None
    ) -> None:
        """Sets what is audited.

        Args:
            subject: The model.
            folder: Where to write the files; None to write none.
            annotations: The objects in the pictures, as for `Annotations`; None without.

        Raises:
            UsageError: The annotations can't be read.
        """
        self._subject = subject
        self._folder = folder
        self._annotations = None
        if annotations is not None:
            self._annotations = Annotations(annotations, subject.labels)
        self._observations: list[Observation] = []
        self._failed: list[tuple[str, GradcamError]] = []
        self._missing: list[AnnotationError] = []
        self._page: AuditPage | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            if self._folder is not None:
                opened.enter_context(self._folder)
                self._page = opened.enter_context(AuditPage(self._folder.making / PAGE))
            self._open = opened.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def add(self, result: PictureResult) -> None:
        """Adds the result of a picture.

        Raises:
            OutputError: Its preview can't be written.
        """
        if self._page is not None:
            self._page.add(result)
        if result.error is not None:
            self._failed.append((str(result.picture.path), result.error))
        elif result.observation is not None:
            self._observations.append(self._located(result.picture, result.observation))

    def finish(self) -> tuple[Audit, list[Path]]:
        """Examines all results, and writes the files.

        Returns:
            The audit and its files.

        Raises:
            ImageError: No picture could be explained.
            OutputError: The files can't be written.
        """
        if not self._observations:
            (_, first), *_ = self._failed
            more = len(self._failed) - 1
            rest = f" (and {more:,} more that can't be explained)" if more else ""
            raise ImageError(f"there is nothing to audit: {first.message}{rest}")
        audit = make_audit(
            self._observations,
            self._failed,
            self._subject.facts,
            [self._subject.labels.name(index) for index in range(len(self._subject.labels))],
            has_several=self._subject.has_several,
            notes=[*self._subject.doubts, *self._missing_annotations()],
        )
        if self._folder is None or self._page is None:
            return audit, []
        note = write_tables(audit, self._folder.making)
        if note:
            audit = replace(audit, notes=[*audit.notes, note])
        self._page.write(audit)
        return audit, self._folder.publish()

    def _located(self, picture: InputPicture, one: Observation) -> Observation:
        """Adds how much of the heat is on the annotated objects."""
        if self._annotations is None:
            return one
        try:
            objects = self._annotations.of(picture, one.size)
        except AnnotationError as error:
            self._missing.append(error)
            return one
        if one.truth is not None:
            # Pictures may show more than what they are a picture of.
            index = one.truth.index
            objects = [each for each in objects if each.class_index == index] or objects
        return replace(one, on_object=object_fraction(one.predicted_map, objects, one.size))

    def _missing_annotations(self) -> Iterator[str]:
        if self._missing:
            yield (
                f"{len(self._missing)} of {len(self._observations)} pictures have no usable "
                f"annotation, such as {self._missing[0].message}"
            )
