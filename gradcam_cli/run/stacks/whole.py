"""Networks that take a whole stack at once: clips of a video, or volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.pictures.stacks.stack import FrameChoice, Stack
from gradcam_cli.run.stacks.frame import FrameExplanation
from gradcam_cli.run.task import Task


def takes_whole_stacks(classifier: Classifier) -> bool:
    """Returns whether a network takes all pictures of a stack as one input."""
    return False


def explain_whole(
    picture: InputPicture,
    stack: Stack,
    choice: FrameChoice,
    explainer: Explainer,
    task: Task,
    targets: Sequence[int],
) -> Iterator[FrameExplanation]:
    """Explains a stack in one pass, for a network that takes it whole.

    Args:
        picture: The file, with the values of the network's other inputs.
        stack: The open file.
        choice: The pictures that the user chose.
        explainer: Explains the network.
        task: How pictures become inputs.
        targets: The classes to explain: indices, or -1 for the most probable, -2 for the second
            and so on.

    Yields:
        An explanation of each picture that the network saw, in order. All have the probabilities
        and the classes of the whole stack. The peak of each is the maximum of its part of the
        common map.
    """
    raise NotImplementedError
