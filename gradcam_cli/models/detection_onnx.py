"""Detectors that another library runs, such as those in ONNX files."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from gradcam_cli.models.detector_outputs import DetectorOutputs, KnownFacts, find_outputs
from gradcam_cli.networks.black_box import BlackBoxNetwork, Port
from gradcam_cli.networks.detection import DetectedBoxes, to_corners

BOXES, PROBABILITIES = "boxes", "probabilities"
# As Ultralytics and YOLOv5 store them: {0: 'person', 1: 'bicycle'}, or a list.
_NUMBERED = re.compile(r"""(\d{1,6})\s*:\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_LISTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_NUMBER = re.compile(r"\d{1,5}")
_LONGEST_TEXT = 10**6
_LARGEST_SIDE = 8192
_DETECT, _SEGMENT, _POSE = "detect", "segment", "pose"
_WITH_BOXES = (_DETECT, _SEGMENT, _POSE)
# The least probability, and distance from 1, of which a logarithm is taken.
_LEAST = 1e-7


@dataclass(frozen=True)
class StoredFacts:
    """What the file of a detector says about it.

    Attributes:
        names: The names of the classes; empty if it doesn't say.
        size: The (height, width) of its input, in pixels; None if it doesn't say.
        task: What it is made for in the words of Ultralytics, such as "detect"; "" if unknown.
    """

    names: Sequence[str] = ()
    size: tuple[int, int] | None = None
    task: str = ""

    @property
    def is_detector(self) -> bool:
        """Whether it says that it gives boxes."""
        return self.task in _WITH_BOXES


def read_metadata(metadata: Mapping[str, str]) -> StoredFacts:
    """Reads the metadata of the networks of Ultralytics and YOLOv5.

    Args:
        metadata: The texts in a file by name, which may come from a stranger.
    """
    text = metadata.get("names", "")[:_LONGEST_TEXT]
    numbered = {int(number): _text(name) for number, name in _NUMBERED.findall(text)}
    names = [numbered[number] for number in sorted(numbered)]
    if list(numbered) != list(range(len(names))):
        names = []
    if not numbered and text.lstrip().startswith("["):
        names = [_text(name) for name in _LISTED.findall(text)]
    sides = [int(number) for number in _NUMBER.findall(metadata.get("imgsz", "")[:100])]
    sides = sides * 2 if len(sides) == 1 else sides
    is_size = len(sides) == 2 and all(0 < side <= _LARGEST_SIDE for side in sides)
    return StoredFacts(names, (sides[0], sides[1]) if is_size else None, metadata.get("task", ""))


def _text(quoted: str) -> str:
    value = ast.literal_eval(quoted)
    return value if isinstance(value, str) else ""


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
        size: The (height, width) of its input.
        facts: What its file says about it.
    """

    network: BlackBoxNetwork
    decoder: BlackBoxDecoder
    classes: int
    size: tuple[int, int]
    facts: StoredFacts


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
        classes: The number of its classes, if the user named them; None to find it out.
        box_format: How its boxes are arranged, if the user said it.
        is_asked: Whether the user said that it is a detector.

    Returns:
        The detector; None if nothing says that it is one.

    Raises:
        UnsupportedModelError: It is a detector, but of a kind that can't be read.
    """
    facts = read_metadata(network.metadata)
    known = KnownFacts(
        size,
        classes or len(facts.names) or None,
        box_format,
        is_asked or facts.is_detector or box_format is not None,
    )
    found = find_outputs(path, network.try_out(size), known)
    if found is None:
        return None
    detecting = network.detecting(DetectorRuntime(network, found), size)
    decoder = BlackBoxDecoder(found, network.kind)
    return BlackBoxDetector(detecting, decoder, found.classes, size, facts)
