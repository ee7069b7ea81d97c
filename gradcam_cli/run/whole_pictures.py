"""Which models an analysis of many pictures can follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier


def check_whole_pictures(classifier: Classifier, analysis: str, question: str) -> None:
    """Refuses models that don't say one thing of each picture.

    Args:
        classifier: The model.
        analysis: What is done, as the subject of a sentence: "an audit".
        question: What it asks of a picture: "which class".

    Raises:
        UsageError: The model takes stacks, segments or detects objects, or several of its inputs
            would be explained.
    """
    classifier.check_single_pictures(analysis)
    name = classifier.name
    if classifier.segments or classifier.detects:
        does = "segments pictures" if classifier.segments else "detects objects"
        raise UsageError(
            f"{name} {does}, but {analysis} asks {question} a whole picture shows; "
            f"explain it with 'gradcam PATH --model {name}'"
        )
    if len(classifier.explained_views) > 1:
        inputs = ", ".join(view.explained for view in classifier.explained_views)
        raise UsageError(
            f"{name} takes several pictures ({inputs}), and {analysis} follows one; choose it with "
            f"--input NAME, such as --input {classifier.explained}"
        )
