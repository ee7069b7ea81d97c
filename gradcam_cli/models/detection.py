"""Finds boxes and scores among the outputs of a user's detector.

Boxes in a wrong format look like boxes of something else, and no error says so. So a format is
taken from the option or from the name of an output, and never guessed from values alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.networks.conditions import CANDIDATE, Condition, Conditions
from gradcam_cli.networks.detection import BoxDecoder, DetectedBoxes, to_corners
from gradcam_cli.networks.forward import Network, length_of
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.tasks import DETECTION
from gradcam_cli.pictures.boxes import BOX_FORMATS

# What a detector takes beside a picture.
CANDIDATES = Conditions((Condition(CANDIDATE),))
OPTION = "--box-format"
SIGMOID, SOFTMAX = "Sigmoid", "Softmax"
_SIDES = 4
# (N, candidates, sides or classes)
_RANK = 3
# Operations after the last activation that don't change which number belongs to which class.
_MOVING = operation_names("Identity", "Cast", "Reshape", "Squeeze", "EnsureShape", "ExpandDims")
_JOINING = operation_names("ConcatV2", "Pack")
# No logits of classes come from other operations.
_OF_LOGITS = operation_names(
    *("Add", "AddV2", "BiasAdd", "Conv2D", "Einsum", "MatMul", "BatchMatMulV2", "StridedSlice"),
    *("Transpose", "GatherV2"),
)
_BOX_WORDS = re.compile(r"box|bound|rect|coord|loc|reg|offset", re.IGNORECASE)
_SCORE_WORDS = re.compile(r"scor|cls|class|logit|prob|conf|label", re.IGNORECASE)
# The least of a probability of which a logarithm is taken.
_LEAST = 1e-7
_PROBES = 3
_SOFTMAX_ERROR = 1e-3
# Relative boxes of objects at the edge may reach beyond the picture.
_LARGEST_RELATIVE = 2.0
_MOST = 0.98


@dataclass(frozen=True)
class NamedBoxes:
    """Reads one output with boxes and one with scores, or one with both side by side.

    Attributes:
        boxes: The name of the output with the boxes, (N, candidates, 4).
        scores: The name of the output with the scores, (N, candidates, classes). If it is the
            same, the first four numbers of a candidate are its box.
        box_format: One of `gradcam_cli.pictures.boxes.BOX_FORMATS`.
        are_logits: Whether the scores are logits.
        is_softmax: Whether softmax turns them into probabilities, or has done so.
        reason: How the format is known.
        no_gradient: Why no gradient of a score reaches the picture; empty if one does.
        moving: Why a candidate is another box in each picture; empty if it keeps its place.
    """

    boxes: str
    scores: str
    box_format: str
    are_logits: bool = False
    is_softmax: bool = False
    reason: str = ""
    no_gradient: str = ""
    moving: str = ""

    @property
    def description(self) -> str:
        """What the outputs are, and how that is known."""
        where = f"{self.boxes} and {self.scores}" if self.boxes != self.scores else self.boxes
        kind = "softmax" if self.is_softmax else "sigmoid"
        scores = f"logits of a {kind}" if self.are_logits else f"probabilities of a {kind}"
        return f"{where}: boxes {self.box_format} ({self.reason}), {scores}"

    def decode(self, outputs: Mapping[str, tf.Tensor], inputs: tf.Tensor) -> DetectedBoxes:
        """Reads the outputs; see `gradcam_cli.networks.detection.BoxDecoder`."""
        boxes, values = outputs[self.boxes], outputs[self.scores]
        if self.boxes == self.scores:
            classes = length_of(values, -1) - _SIDES
            boxes, values = tf.split(values, [_SIDES, classes], axis=-1)
        logits, probabilities = self._scores(values)
        corners = to_corners(boxes, self.box_format, inputs)
        return DetectedBoxes(corners, logits, probabilities, not self.is_softmax)

    def _scores(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns logits and probabilities."""
        raw = before_last_activation(values)
        values = tf.cast(values, tf.float32)
        if self.are_logits:
            return values, tf.nn.softmax(values) if self.is_softmax else tf.sigmoid(values)
        if raw is not None:
            return tf.cast(raw, tf.float32), values
        limited = tf.clip_by_value(values, _LEAST, 1 - _LEAST)
        logits = tf.math.log(limited)
        return logits if self.is_softmax else logits - tf.math.log1p(-limited), values


def before_last_activation(values: tf.Tensor) -> tf.Tensor | None:
    """Finds the logits of probabilities, in the layout of the probabilities.

    Args:
        values: A tensor in a graph, (N, candidates, classes). It may join the outputs of several
            activations, as those of the levels of a pyramid.

    Returns:
        The same shape; None if the values don't come from sigmoid or softmax alone.
    """
    found = _raw_of(values)
    return None if found is None else found[0]


def activation_of(values: tf.Tensor) -> str | None:
    """Returns the type of the last activation of a tensor: "Sigmoid", "Softmax" or None."""
    found = _raw_of(values)
    return None if found is None else found[1]


def _raw_of(values: tf.Tensor) -> tuple[tf.Tensor, str] | None:
    op = values.op
    if op.type in (SIGMOID, SOFTMAX):
        return op.inputs[0], str(op.type)
    if op.type in _MOVING:
        inner = _raw_of(op.inputs[0])
        if inner is None:
            return None
        raw = tf.reshape(inner[0], tf.shape(values))
        raw.set_shape(values.shape)
        return raw, inner[1]
    if op.type in _JOINING:
        is_pack = op.type == "Pack"
        parts = [_raw_of(one) for one in (op.inputs if is_pack else list(op.inputs)[:-1])]
        kinds = {part[1] for part in parts if part is not None}
        if None in parts or len(kinds) != 1:
            return None
        tensors = [part[0] for part in parts if part is not None]
        if is_pack:
            return tf.stack(tensors, op.get_attr("axis")), kinds.pop()
        return tf.raw_ops.ConcatV2(values=tensors, axis=op.inputs[-1]), kinds.pop()
    return None


@dataclass(frozen=True)
class FoundBoxes:
    """What was found out about a detector.

    Attributes:
        network: The network, which records all its outputs.
        decoder: What reads them.
        reason: Why it is a detector.
        doubt: What to do if something of this is wrong; empty if nothing is a guess.
        background: The class that probably stands for no object; None for none.
        background_doubt: What to do if that is wrong.
    """

    network: Network
    decoder: BoxDecoder
    reason: str
    doubt: str = ""
    background: int | None = None
    background_doubt: str = ""


def known_boxes(
    path: str, network: Network, decoder: BoxDecoder, task: str | None, box_format: str | None
) -> FoundBoxes:
    """Describes a detector of a known kind.

    Args:
        path: The path of the model, for messages.
        network: The network, which records all its outputs.
        decoder: What reads them.
        task: What the user says that the outputs mean; None for nothing.
        box_format: The format of the boxes that the user chose; None for none.

    Raises:
        UsageError: The user says something else.
    """
    if task not in (None, DETECTION):
        raise UsageError(f"--task {task}: {path} is a detector; leave out --task")
    if box_format is not None:
        raise UsageError(f"{OPTION}: {path} says itself how its boxes are stored; leave it out")
    return FoundBoxes(network, decoder, decoder.description)


def as_detector(classifier: Classifier, found: FoundBoxes) -> Classifier:
    """Returns the description of a model as that of a detector.

    Args:
        classifier: The model, described as a classifier of what is in a box.
        found: Its boxes and scores.
    """
    has_background = bool(classifier.background)
    doubts = found.doubt, "" if has_background else found.background_doubt
    guess = found.background
    return replace(
        classifier,
        decoder=found.decoder,
        conditions=CANDIDATES,
        task_doubt="; ".join(filter(None, doubts)),
        likely_background=() if has_background or guess is None else (guess,),
    )


@dataclass(frozen=True)
class _Outputs:
    """The outputs of a network for some pictures.

    Attributes:
        shapes: The shape of each output without the batch.
        is_whole: Whether each output has whole numbers.
        activations: The last activation of each output that has one.
        last: The last operation of each output, apart from those that move values.
        values: The values of each output for the pictures that were tried.
        has_gradient: Whether the picture has a gradient of each output.
    """

    shapes: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    is_whole: dict[str, bool] = field(default_factory=dict)
    activations: dict[str, str | None] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    has_gradient: dict[str, bool] = field(default_factory=dict)


def find_boxes(
    path: str,
    network: Network,
    shape: tuple[int, int, int],
    task: str | None,
    box_format: str | None,
) -> FoundBoxes | None:
    """Finds boxes and scores among the outputs of a network.

    Args:
        path: The path of the model, for messages.
        network: The network.
        shape: (height, width, channels) of an input.
        task: What the user says that the outputs mean; None to find it out.
        box_format: The format of the boxes that the user chose; None to find it out.

    Returns:
        What was found; None if it isn't a detector.

    Raises:
        UnsupportedModelError: It is a detector of a kind that can't be read.
        UsageError: The format of the boxes isn't known, or the options don't fit the model.
    """
    asked = f"--task {DETECTION}" if task == DETECTION else ""
    if task is None and box_format is not None:
        asked = OPTION
    if task not in (None, DETECTION):
        if box_format is not None:
            raise UsageError(f"{OPTION} is for detectors; leave it out, or leave out --task {task}")
        return None
    if not isinstance(network, KerasNetwork) or len(network.inputs) != 1:
        if asked:
            raise UnsupportedModelError(
                f"{path}: boxes can be read from Keras models with a single input, and from ONNX "
                f"files; save the detector as one of these"
            )
        return None
    if network.output is not None:
        return None
    if not asked and len(getattr(network.model, "outputs", None) or ()) == 1:
        # One output is read as scores unless the user says otherwise.
        return None
    whole = KerasNetwork(network.model, explained=network.explained, is_detector=True)
    outputs = _probe(whole, shape)
    names = _names_of(path, outputs, asked)
    if names is None:
        return None
    return _describe(path, whole, outputs, names, box_format, asked)


def _probe(network: Network, shape: tuple[int, int, int]) -> _Outputs:
    """Runs a network on a few meaningless pictures, to see what its outputs look like."""
    outputs = _Outputs()

    def trace(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        named = network.record(inputs).named
        for name, tensor in named.items():
            if not isinstance(tensor, tf.Tensor):
                continue
            outputs.shapes[name] = tuple(tensor.shape[1:]) if tensor.shape.rank else ()
            outputs.is_whole[name] = not tensor.dtype.is_floating
            outputs.activations[name] = activation_of(tensor)
            if len(outputs.shapes[name]) == _RANK - 1 and tensor.dtype.is_floating:
                outputs.has_gradient[name] = _has_gradient(tensor, inputs)
            last = tensor
            while last.op.type in (*_MOVING, *_JOINING):
                last = last.op.inputs[0]
            outputs.last[name] = str(last.op.type)
        return {name: named[name] for name in outputs.shapes}

    noise = np.random.default_rng(0).random((_PROBES, *shape), np.float32)
    pictures = noise * np.array([1.0, 2.0, 255.0], np.float32)[:, None, None, None]
    function = tf.function(trace, autograph=False)
    found = function(tf.constant(pictures))
    outputs.values.update({name: value.numpy() for name, value in found.items()})
    return outputs


def _has_gradient(output: tf.Tensor, inputs: tf.Tensor) -> bool:
    try:
        return tf.gradients(output, inputs)[0] is not None
    # An operation on the way may have no gradient.
    except LookupError:
        return False


def _names_of(path: str, outputs: _Outputs, asked: str) -> tuple[str, str] | None:
    """Returns the names of the outputs with the boxes and with the scores."""
    shapes = {
        name: shape
        for name, shape in outputs.shapes.items()
        if len(shape) == 2 and not outputs.is_whole[name]
    }
    listed = ", ".join(f"{name} {_shape(shape)}" for name, shape in outputs.shapes.items())
    if len(outputs.shapes) == 1 and not asked:
        return None
    if len(outputs.shapes) == 1:
        (name,) = outputs.shapes
        length = outputs.shapes[name][-1] if name in shapes else None
        if length is None or length <= _SIDES:
            raise UnsupportedModelError(
                f"{path}: {asked} needs boxes (candidates, 4) and scores (candidates, "
                f"classes), or both side by side in one output (candidates, 4 + classes); the "
                f"model returns {listed}"
            )
        return name, name
    boxes = [name for name, shape in shapes.items() if shape[1] == _SIDES]
    pairs = [
        (box, score)
        for box in boxes
        for score, shape in shapes.items()
        if score != box and shape[0] == shapes[box][0]
    ]
    if len(pairs) > 1:
        named = [
            (box, score)
            for box, score in pairs
            if _BOX_WORDS.search(box)
            and _SCORE_WORDS.search(score)
            and not (shapes[score][1] == 1 and len(pairs) > 1)
        ]
        pairs = named or pairs
    if len(pairs) == 1:
        return pairs[0]
    if not asked:
        return None
    many = "several outputs may be" if pairs else "no two outputs are"
    raise UnsupportedModelError(
        f"{path}: {many} boxes (candidates, 4) and scores (candidates, classes) of the same "
        f"candidates; the model returns {listed}; wrap it in a model that returns "
        f'{{"boxes": ..., "scores": ...}}'
    )


def _describe(
    path: str,
    network: Network,
    outputs: _Outputs,
    names: tuple[str, str],
    box_format: str | None,
    asked: str,
) -> FoundBoxes | None:
    boxes_name, scores_name = names
    boxes, scores = outputs.values[boxes_name], outputs.values[scores_name]
    if boxes_name == scores_name:
        boxes, scores = boxes[..., :_SIDES], scores[..., _SIDES:]
    looks = look_of(boxes)
    doubts = []
    reason = f"as {OPTION} says"
    if box_format is None:
        chosen = _format_in(boxes_name, boxes)
        if chosen is None:
            fitting = " or ".join(looks)
            raise UsageError(
                f"{path}: returns boxes ({boxes_name}) in a format that it doesn't name; add "
                f"{OPTION} with the format that it was trained with (its values look like "
                f"{fitting})"
            )
        box_format = chosen
        reason = f"named by the output {boxes_name}"
    if box_format not in looks:
        doubts.append(doubt_about(box_format, looks))
    activation = outputs.activations[scores_name]
    inside = bool((scores >= 0).all() and (scores <= 1).all())
    sums_to_one = inside and bool(np.abs(scores.sum(axis=-1) - 1).max() < _SOFTMAX_ERROR)
    are_logits = activation is None and (
        not inside or (outputs.last[scores_name] in _OF_LOGITS and boxes_name != scores_name)
    )
    is_softmax = activation == SOFTMAX or (activation is None and not are_logits and sums_to_one)
    if are_logits:
        doubts.append(
            "its scores end without sigmoid or softmax and are taken for the logits of a sigmoid, "
            "which is a guess; if they are not, end the model with its activation"
        )
    background = _background_in(scores) if is_softmax else None
    background_doubt = (
        f"class {background} is taken for the background, because most boxes have it, which is a "
        f'guess; call the class "background" in a file of --labels'
    )
    no_gradient = ""
    if not outputs.has_gradient[scores_name]:
        no_gradient = "no gradient of its scores reaches the picture"
    decoder = NamedBoxes(
        boxes_name, scores_name, box_format, are_logits, is_softmax, reason, no_gradient
    )
    why = f"as {asked} says" if asked else "it returns boxes with scores"
    why += f"; {no_gradient}" if no_gradient else ""
    return FoundBoxes(
        network,
        decoder,
        why,
        "; ".join(doubts),
        background,
        "" if background is None else background_doubt,
    )


def _format_in(name: str, boxes: np.ndarray) -> str | None:
    """Reads the format of boxes from the name of their output; None if it doesn't say."""
    text = name.lower().replace("cxcywh", "center_xywh").replace("relative", "rel")
    text = text.replace("centre", "center")
    for known in sorted(BOX_FORMATS, key=len, reverse=True):
        if known in text:
            is_relative = known.startswith("rel_")
            if not is_relative and f"rel_{known}" in BOX_FORMATS and _are_relative(boxes):
                return f"rel_{known}"
            return known
    return None


def doubt_about(box_format: str, looks: Sequence[str]) -> str:
    """Says that boxes contradict the format that the user chose.

    Args:
        box_format: The format.
        looks: What they look like, as `look_of` lists it.
    """
    return (
        f"its boxes don't look like {box_format} but like {' or '.join(looks)}; if they are "
        f"wrong, choose another {OPTION}"
    )


def _are_relative(boxes: np.ndarray) -> bool:
    return bool(np.quantile(np.abs(boxes), _MOST) <= _LARGEST_RELATIVE)


def look_of(boxes: np.ndarray) -> list[str]:
    """Lists the formats that values of boxes may have.

    Args:
        boxes: (..., 4), as a network gives them.

    Returns:
        Some of `gradcam_cli.pictures.boxes.BOX_FORMATS`, or a phrase that says that none fits.
    """
    are_corners = (boxes[..., 2] >= boxes[..., 0]) & (boxes[..., 3] >= boxes[..., 1])
    are_sizes = (boxes[..., 2:] >= 0).all(axis=-1)
    fitting = []
    for name in BOX_FORMATS:
        if name.startswith("rel_") != _are_relative(boxes):
            continue
        fits = are_corners if name.endswith(("xyxy", "yxyx")) else are_sizes
        if fits.mean() >= _MOST:
            fitting.append(name)
    return fitting or ["none of the known formats"]


def _background_in(scores: np.ndarray) -> int | None:
    """Finds the class of a softmax that most boxes have, if it is the first or the last."""
    counts = np.bincount(scores.argmax(axis=-1).ravel(), minlength=scores.shape[-1])
    best = int(counts.argmax())
    is_most = counts[best] > scores[..., 0].size / 2
    return best if is_most and best in (0, scores.shape[-1] - 1) else None


def _shape(shape: Sequence[int | None]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
