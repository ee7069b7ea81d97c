"""Checks the options of a run against a network that detects objects, or doesn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError
from gradcam_cli.files.name_pattern import CLASS, NamePattern

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.run.job import Job


def check_detection(job: Job, classifier: Classifier) -> None:
    """Refuses options that mean nothing for a detector, or only for one.

    Args:
        job: The run.
        classifier: The network.

    Raises:
        UsageError: An option doesn't suit the network.
    """
    explain, write = job.explain, job.write
    if not classifier.detects:
        if explain.min_score is not None:
            raise UsageError(
                f"--min-score: {classifier.name} doesn't detect objects; leave it out, or add "
                f"--task detection if it returns boxes"
            )
        return
    for option, is_given, instead in (
        ("--truth", explain.truth is not None, "a picture has no single true class"),
        ("--join", explain.join, "a box shows one object"),
        ("--against", explain.against is not None, "each object is explained by itself"),
        ("--each", explain.each, "each object is explained anyway, at most --top-k of them"),
        ("--smooth", explain.smooth, "a mirrored picture has other candidates"),
    ):
        if is_given:
            raise UsageError(
                f"{option}: {classifier.name} detects objects, and {instead}; leave out {option}"
            )
    if write.name is not None and job.writes_files and not NamePattern(write.name).has(CLASS):
        raise UsageError(
            f"{classifier.name} detects objects, and each needs a file of its own; choose a folder "
            f"with --out, or names with {{class}} such as --name '{{stem}}_{{class}}'"
        )
