"""Detectors that another library runs, such as those in ONNX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.models.detection import OPTION, FoundBoxes, doubt_about, look_of
from gradcam_cli.models.detector_outputs import DetectorOutputs, KnownFacts, find_outputs
from gradcam_cli.models.hub import StoredPreparation
from gradcam_cli.models.preprocessing import Preprocessing
from gradcam_cli.networks.black_box import BlackBoxNetwork, Port
from gradcam_cli.networks.detection import DetectedBoxes, to_corners
from gradcam_cli.networks.tasks import DETECTION

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

    @property
    def moving(self) -> str:
        """Why a candidate is another box in each picture; empty if it keeps its place."""
        return "" if self.found.keeps_places else "the network lists its boxes by their scores"

    def decode(self, outputs: Mapping[str, tf.Tensor], inputs: tf.Tensor) -> DetectedBoxes:
        """Reads the outputs; see `gradcam_cli.networks.detection.BoxDecoder`."""
        probabilities = outputs[PROBABILITIES]
        limited = tf.clip_by_value(probabilities, _LEAST, 1 - _LEAST)
        logits = tf.math.log(limited) - tf.math.log1p(-limited)
        corners = to_corners(outputs[BOXES], self.found.box_format, inputs)
        return DetectedBoxes(corners, logits, probabilities)

    def prepared(self, stored: StoredPreparation) -> StoredPreparation:
        """Replaces a guess about what the network takes by what such networks usually take.

        Args:
            stored: The preprocessing that was found, before it was known to be a detector.
        """
        if not stored.preprocess.is_guess:
            return stored
        usual = Preprocessing(
            self.found.mode,
            "a guess: detectors with such outputs usually take this; set it with --preprocess",
        )
        return replace(stored, fit=self.found.fit, preprocess=usual)


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


def find_detector(
    path: str,
    network: BlackBoxNetwork,
    shape: tuple[int, int, int],
    task: str | None,
    box_format: str | None,
    classes: int | None,
) -> FoundBoxes | None:
    """Finds out whether a network detects objects, and reads its outputs.

    Args:
        path: The path of its file, for messages.
        network: The network.
        shape: The (height, width, channels) of its input.
        task: What the user says that the outputs mean; None to find it out.
        box_format: The format of the boxes that the user chose; None to find it out.
        classes: The number of its classes, if they have names; None to find it out.

    Returns:
        The detector; None if nothing says that it is one.

    Raises:
        UnsupportedModelError: It is a detector, but of a kind that can't be read.
        UsageError: The options don't fit the model.
    """
    if task not in (None, DETECTION):
        if box_format is not None:
            raise UsageError(f"{OPTION} is for detectors; leave it out, or leave out --task {task}")
        return None
    made_for = network.metadata.get("task", "")
    if made_for == _TURNED_BOXES:
        raise UnsupportedModelError(
            f"{path}: gives boxes that are turned (obb); only upright boxes can be explained"
        )
    is_asked = task == DETECTION or box_format is not None
    if len(network.inputs) > 1:
        names = {one.name for one in network.runtime.outputs}
        if is_asked or {"boxes", "scores"} <= names:
            raise UnsupportedModelError(
                f"{path}: is a detector with {len(network.inputs)} inputs; export it with the "
                f"picture as its only input, without the step that scales its boxes"
            )
        return None
    if network.has_chosen_output and not is_asked:
        return None
    size = shape[:2]
    facts = KnownFacts(size, classes, box_format, is_asked or made_for in _WITH_BOXES)
    outputs = network.try_out(size)
    found = find_outputs(path, outputs, facts)
    if found is None:
        return None
    detecting = network.detecting(DetectorRuntime(network, found), size)
    decoder = BlackBoxDecoder(found, network.kind)
    doubt = ""
    if box_format is not None:
        boxes, _ = found.read([*outputs.values()])
        # Rows of zeros fill up what a network found.
        boxes = boxes[boxes.any(axis=-1)]
        looks = look_of(boxes) if len(boxes) else [box_format]
        doubt = "" if box_format in looks else doubt_about(box_format, looks)
    if found.has_one_class_a_box and classes is None:
        unknown = (
            f"its outputs don't say how many classes there are, so {found.classes} are assumed; "
            f"name them with --labels FILE"
        )
        doubt = "; ".join(filter(None, (doubt, unknown)))
    return FoundBoxes(detecting, decoder, decoder.description, doubt)
