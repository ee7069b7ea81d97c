"""Audits a model on many pictures, in this process or on a cluster."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.analysis.audit_results import Audit
from gradcam_cli.cluster.run import explain_on_cluster
from gradcam_cli.errors import GradcamWarning, UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.manifest import gather_given
from gradcam_cli.files.storage import AnyPath, check_is_there
from gradcam_cli.models.catalogue import is_model_path
from gradcam_cli.models.input_choice import parse_inputs
from gradcam_cli.models.input_values import with_values
from gradcam_cli.models.options import ModelOptions, as_size
from gradcam_cli.networks.tasks import MULTILABEL
from gradcam_cli.run.audit import (
    Auditor,
    Subject,
    as_audit,
    audit_folder,
    check_can_audit,
    subject_of,
)
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import ExplainOptions, MachineOptions
from gradcam_cli.run.ready_job import labels_of, load_model_of, make_ready
from gradcam_cli.run.records import PictureResult
from gradcam_cli.run.truth import TruthNames
from gradcam_cli.runtime.cores import Parallelism, usable_cores

if TYPE_CHECKING:
    import keras

    from gradcam_cli.models.classifier import Classifier


def audit(
    pictures: str | AnyPath | Iterable[str | AnyPath],
    *,
    truth: str | Path | None = None,
    model: str | keras.Model | Classifier | None = None,
    labels: Sequence[str] | None = None,
    preprocess: str | None = None,
    task: str | None = None,
    layer: str | int | None = None,
    method: str | None = None,
    fit: str | None = None,
    size: int | tuple[int, int] | None = None,
    annotations: str | Path | None = None,
    out: str | Path | None = None,
    ray: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Audit:
    """Examines what a network says of many pictures and where it looks, as ``gradcam audit`` does.

    Args:
        pictures: Folders, files or URLs, as for the command; or one of them.
        truth: The true classes: "folders" for the names of the pictures' folders, or a CSV file
            with the picture in the first column and its class in the second. None if they
            aren't known; then everything is examined that doesn't need them.
        model: A name or file as for ``--model``, a Keras model or a `Classifier`; None for the
            built-in model.
        labels: The names of the classes; None for the model's own, ImageNet's or numbers.
        preprocess: The preprocessing, as for ``--preprocess``; None to detect it.
        task: What the outputs mean, as for ``--task``; None to find it out.
        layer: The name, path or index of a layer; None for the last one with spatial output.
        method: A name that ``gradcam methods`` lists; None for the usual one of the model.
        fit: How to fit a picture into the network's input, as for ``--fit``.
        size: The input size in pixels, one number or (height, width), for networks that accept
            any; None for the best known.
        annotations: The objects in the pictures, as for ``--annotations``; None if they aren't
            known.
        out: The folder for the page and the tables; None to write no files.
        ray: The address of a Ray cluster, or "local"; None to run in this process. A cluster
            loads the model itself, by its name or file.
        progress: Called with the number of pictures that were finished since the last call.

    Returns:
        The audit. Its `errors` tell which pictures couldn't be explained.

    Raises:
        ImageError: There are no pictures, or none can be explained.
        OutputError: The folder holds something else, or can't be written.
        UsageError: The model doesn't predict classes of pictures, or an option is invalid.
        GradcamError: The model or the true classes can't be read.
    """
    found = gather_given(pictures)
    is_named = model is None or isinstance(model, str)
    options = ModelOptions(
        model if isinstance(model, str) else None,
        preprocess=preprocess,
        task=task,
        size=as_size(size),
    )
    classifier = None
    if ray is not None:
        if not is_named or labels is not None:
            raise UsageError(
                "ray: the workers load the model and its class names from files; give the model's "
                "name or file, and labels.txt beside it"
            )
    else:
        from gradcam_cli.api.loading import find_classifier

        classifier = find_classifier(model, labels, preprocess, task)
    job = Job(
        model=options,
        explain=ExplainOptions(
            layers=() if layer is None else (layer,),
            methods=() if method is None else (method,),
            fit=fit,
            truth=None if truth is None else str(truth),
        ),
        machine=MachineOptions(address=ray),
    )
    job.check()
    files = AuditFiles(
        None if out is None else Path(out), None if annotations is None else Path(annotations)
    )
    with begun_audit(job, found, files, classifier=classifier) as running:
        done, _ = running.complete(progress)
    return done


@dataclass(frozen=True)
class AuditFiles:
    """The files of an audit besides the pictures.

    Attributes:
        out: The folder for its results; None to write none.
        annotations: The objects in the pictures; None if they aren't known.
    """

    out: Path | None = None
    annotations: Path | None = None


@dataclass(frozen=True)
class RunningAudit:
    """An audit whose model is loaded.

    Attributes:
        subject: The model.
    """

    subject: Subject
    _auditor: Auditor
    _results: Iterator[PictureResult]

    def complete(self, progress: Callable[[int], None] | None = None) -> tuple[Audit, list[Path]]:
        """Takes all pictures through the network, and examines the results.

        Args:
            progress: As for `audit`.

        Returns:
            The audit and its files.

        Raises:
            ImageError: No picture can be explained.
            OutputError: The files can't be written.
        """
        for result in self._results:
            self._auditor.add(result)
            if progress is not None:
                progress(1)
        return self._auditor.finish()


@contextlib.contextmanager
def begun_audit(
    job: Job,
    pictures: Sequence[InputPicture],
    files: AuditFiles,
    parallelism: Parallelism | None = None,
    truth: TruthNames | None = None,
    classifier: Classifier | None = None,
) -> Iterator[RunningAudit]:
    """Loads the model of an audit, and warns if its results will be doubtful.

    Args:
        job: The run.
        pictures: All pictures.
        files: Its files.
        parallelism: How many pictures and batches to work on at once in this process.
        truth: The names of the true classes, if they have been read already.
        classifier: The model, if it has been loaded already.

    Raises:
        GradcamError: As for `audit`.
    """
    folder = None if files.out is None else audit_folder(files.out)
    if files.annotations is not None:
        check_is_there("--annotations", files.annotations)
    job = as_audit(job, folder is not None)
    if job.machine.address is None:
        begun = _begun_here(job, pictures, parallelism, truth, classifier)
    else:
        begun = _begun_on_cluster(job, pictures)
    with begun as (subject, results):
        for doubt in subject.doubts:
            warnings.warn(doubt, GradcamWarning, stacklevel=2)
        with Auditor(subject, folder, files.annotations) as auditor:
            yield RunningAudit(subject, auditor, results)


@contextlib.contextmanager
def _begun_here(
    job: Job,
    pictures: Sequence[InputPicture],
    parallelism: Parallelism | None,
    truth: TruthNames | None,
    classifier: Classifier | None,
) -> Iterator[tuple[Subject, Iterator[PictureResult]]]:
    classifier = classifier or load_model_of(job)
    check_can_audit(classifier)
    cores = usable_cores()
    parallelism = parallelism or Parallelism(cores, cores_per_stream=cores)
    ready = make_ready(job, pictures, parallelism, truth, classifier)
    yield subject_of(ready, pictures), ready.explain(ready.pictures)


@contextlib.contextmanager
def _begun_on_cluster(
    job: Job, pictures: Sequence[InputPicture]
) -> Iterator[tuple[Subject, Iterator[PictureResult]]]:
    labels, has_several, warning = job.model.known_labels(), False, ""
    if is_model_path(job.model.name):
        classifier = load_model_of(job)
        check_can_audit(classifier)
        pictures = with_values(pictures, classifier, parse_inputs(job.model.inputs).values)
        labels = labels_of(job, pictures, classifier)
        has_several = classifier.task == MULTILABEL
        warning = classifier.warning
    assert labels is not None
    with explain_on_cluster(pictures, job) as run:
        subject = Subject(run.explainers[0], labels, has_several, [warning] if warning else [])
        yield subject, run.results
