"""Detectors: boxes with a score of each class, of which one box at a time is explained.

A detector gives many candidates, each a box with the scores of all classes. The explained score is
the logit of one class of one candidate, so the map shows what made the network see that object
there. Which candidate it is travels beside the picture (see
`gradcam_cli.networks.conditions.CANDIDATE`): for the methods, the network is then a classifier of
what is in that box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf


@dataclass(frozen=True)
class DetectedBoxes:
    """The candidates of a batch, before those of the same object are dropped.

    Attributes:
        boxes: (N, candidates, 4) float32: left, top, right, bottom in pixels of the network's
            input.
        logits: (N, candidates, classes) float32, the scores before sigmoid or softmax.
        probabilities: (N, candidates, classes) float32 in [0, 1].
        is_independent: Whether each logit determines its own probability, as sigmoid does.
    """

    boxes: tf.Tensor
    logits: tf.Tensor
    probabilities: tf.Tensor
    is_independent: bool = True

    def of_candidates(self, candidates: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the scores of one candidate in each input.

        Args:
            candidates: (N,) float32, the index of a candidate, or a negative number for the best
                one of each class; None for these in all inputs.

        Returns:
            Logits and probabilities, each (N, classes) float32.
        """
        chosen = tf.argmax(self.probabilities, axis=1, output_type=tf.int32)
        if candidates is not None:
            given = tf.cast(candidates, tf.int32)[:, None]
            chosen = tf.where(given < 0, chosen, tf.maximum(given, 0))
        shape = tf.shape(chosen)
        rows = tf.broadcast_to(tf.range(shape[0])[:, None], shape)
        classes = tf.broadcast_to(tf.range(shape[1])[None], shape)
        places = tf.stack([rows, chosen, classes], axis=-1)
        found = tf.gather_nd(self.logits, places), tf.gather_nd(self.probabilities, places)
        for tensor in found:
            tensor.set_shape((None, self.logits.shape[-1]))
        return found


class BoxDecoder(Protocol):
    """Turns the outputs of one kind of detector into boxes with scores."""

    @property
    def description(self) -> str:
        """What the outputs are, and how that is known, in a few words for ``gradcam info``."""

    @property
    def no_gradient(self) -> str:
        """Why no gradient of a score reaches the picture; empty if one does."""

    @property
    def moving(self) -> str:
        """Why a candidate is another box in each picture; empty if it keeps its place."""

    def decode(self, outputs: Mapping[str, tf.Tensor], inputs: tf.Tensor) -> DetectedBoxes:
        """Reads the outputs of a batch, in a graph.

        Args:
            outputs: All outputs of the network by name.
            inputs: The network's input, (N, height, width, channels).
        """


def to_corners(boxes: tf.Tensor, box_format: str, inputs: tf.Tensor) -> tf.Tensor:
    """Converts boxes to left, top, right and bottom in pixels of the input.

    Args:
        boxes: (N, candidates, 4) float.
        box_format: One of `gradcam_cli.pictures.boxes.BOX_FORMATS`.
        inputs: (N, height, width, channels), the input to which they belong.

    Returns:
        (N, candidates, 4) float32.
    """
    values = tf.cast(boxes, tf.float32)
    name = box_format.removeprefix("rel_")
    if name in ("yxyx", "center_yxhw"):
        values = tf.gather(values, [1, 0, 3, 2], axis=-1)
    first, second = tf.split(values, 2, axis=-1)
    if name.startswith("center"):
        first, second = first - second / 2, first + second / 2
    elif name == "xywh":
        second = first + second
    corners = tf.concat([first, second], axis=-1)
    if box_format != name:
        height, width = tf.unstack(tf.cast(tf.shape(inputs)[1:3], tf.float32))
        corners *= tf.stack([width, height, width, height])
    return corners
