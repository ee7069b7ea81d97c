"""Detectors that another library runs, such as those in ONNX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError
from gradcam_cli.models.detector_outputs import DetectorOutputs, KnownFacts, find_outputs
from gradcam_cli.networks.black_box import BlackBoxNetwork, Port
from gradcam_cli.networks.detection import DetectedBoxes, to_corners

BOXES, PROBABILITIES = "boxes", "probabilities"
# What Ultralytics makes networks for that give boxes.
_WITH_BOXES = ("detect", "segment", "pose")
_TURNED_BOXES = "obb"
# The least probability, and distance from 1, of which a logarithm is taken.
_LEAST = 1e-7


@dataclass(frozen=True)
class BlackBoxDecoder:
    """Reads the outputs of a `DetectorRuntime`.

    Attributes:
        found: How the outputs of the file hold boxes.
        kind: The kind of file in words.
    """

    found: DetectorOutputs
    kind: str

    @property
    def description(self) -> str:
        """What the outputs are, and how that is known."""
        return f"{self.found.form}, boxes {self.found.box_format}"

    @property
    def no_gradient(self) -> str:
        """Why no gradient of a score reaches the picture."""
        return f"{self.kind} gives no gradients"

    def decode(self, outputs: Mapping[str, tf.Tensor], inputs: tf.Tensor) -> DetectedBoxes:
        """Reads the outputs; see `gradcam_cli.networks.detection.BoxDecoder`."""
        probabilities = outputs[PROBABILITIES]
        limited = tf.clip_by_value(probabilities, _LEAST, 1 - _LEAST)
        logits = tf.math.log(limited) - tf.math.log1p(-limited)
        corners = to_corners(outputs[BOXES], self.found.box_format, inputs)
        return DetectedBoxes(corners, logits, probabilities)


@dataclass
class DetectorRuntime:
    """Runs a detector and reads its outputs; see `gradcam_cli.networks.black_box.Runtime`.

    Attributes:
        network: The network as the file describes it.
        found: How its outputs hold boxes.
        inputs: Its inputs.
        outputs: `BOXES`, (N, A, 4), and `PROBABILITIES`, (N, A, classes).
    """

    network: BlackBoxNetwork
    found: DetectorOutputs
    inputs: Sequence[Port] = field(init=False)
    outputs: Sequence[Port] = field(init=False)

    def __post_init__(self) -> None:
        """Describes the outputs."""
        self.inputs = self.network.runtime.inputs
        count = self.found.candidates
        self.outputs = [
            Port(BOXES, (None, count, 4), "float32"),
            Port(PROBABILITIES, (None, count, self.found.classes), "float32"),
        ]

    def run(self, values: Sequence[np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Runs the model and reads boxes and probabilities."""
        names = [one.name for one in self.network.runtime.outputs]
        raw = self.network.activated(names, self.network.runtime.run(values, names))
        boxes, probabilities = self.found.read(raw)
        read = {BOXES: boxes, PROBABILITIES: probabilities}
        return [read[name] for name in outputs]


@dataclass(frozen=True)
class BlackBoxDetector:
    """A detector that another library runs.

    Attributes:
        network: The network, which records boxes and probabilities.
        decoder: What reads them.
        classes: The number of classes.
    """

    network: BlackBoxNetwork
    decoder: BlackBoxDecoder
    classes: int


def find_detector(
    path: str,
    network: BlackBoxNetwork,
    size: tuple[int, int],
    *,
    classes: int | None = None,
    box_format: str | None = None,
    is_asked: bool = False,
) -> BlackBoxDetector | None:
    """Finds out whether a network detects objects, and reads its outputs.

    Args:
        path: The path of its file, for messages.
        network: The network.
        size: The (height, width) of its input, in pixels.
        classes: The number of its classes, if they have names; None to find it out.
        box_format: How its boxes are arranged, if the user said it.
        is_asked: Whether the user said that it is a detector.

    Returns:
        The detector; None if nothing says that it is one.

    Raises:
        UnsupportedModelError: It is a detector, but of a kind that can't be read.
    """
    task = network.metadata.get("task", "")
    if task == _TURNED_BOXES:
        raise UnsupportedModelError(
            f"{path}: gives boxes that are turned (obb); only upright boxes can be explained"
        )
    is_known = is_asked or box_format is not None or task in _WITH_BOXES
    facts = KnownFacts(size, classes, box_format, is_known)
    found = find_outputs(path, network.try_out(size), facts)
    if found is None:
        return None
    detecting = network.detecting(DetectorRuntime(network, found), size)
    return BlackBoxDetector(detecting, BlackBoxDecoder(found, network.kind), found.classes)
