"""Reads the boxes of KerasHub's object detectors."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError
from gradcam_cli.models.packages import KERAS_HUB
from gradcam_cli.networks.detection import DetectedBoxes, to_corners

_RETINANET, _DFINE = "RetinaNetObjectDetector", "DFineObjectDetector"


@dataclass(frozen=True)
class HubBoxes:
    """Reads the outputs of a RetinaNet or a D-FINE.

    Attributes:
        kind: The class of the task in KerasHub.
        classes: The number of classes.
        are_logits: Whether the scores still need a sigmoid.
        anchors: Makes the anchor boxes of a RetinaNet for pictures, by level; None for a D-FINE,
            which has none.
    """

    kind: str
    classes: int
    are_logits: bool
    anchors: Any = None
    no_gradient: str = ""

    @property
    def description(self) -> str:
        """What the outputs are, and how that is known."""
        boxes = "boxes as offsets from anchors" if self.anchors else "boxes rel_center_xywh"
        return f"{boxes}, as {self.kind} of KerasHub stores them"

    @property
    def moving(self) -> str:
        """Why a candidate is another box in each picture; empty if it keeps its place."""
        return "" if self.anchors else "the network chooses its candidates anew in each picture"

    @property
    def needs_size(self) -> bool:
        """Whether the size of inputs must be known when the network is traced."""
        return self.anchors is not None

    def decode(self, outputs: Mapping[str, tf.Tensor], inputs: tf.Tensor) -> DetectedBoxes:
        """Reads the outputs; see `gradcam_cli.networks.detection.BoxDecoder`."""
        if self.anchors is None:
            scores = tf.cast(outputs["logits"], tf.float32)
            boxes = to_corners(outputs["pred_boxes"], "rel_center_xywh", inputs)
        else:
            scores = tf.cast(outputs["cls_logits"], tf.float32)
            boxes = self._from_anchors(outputs["bbox_regression"], inputs)
        if self.are_logits:
            return DetectedBoxes(boxes, scores, tf.sigmoid(scores))
        limited = tf.clip_by_value(scores, 1e-7, 1 - 1e-7)
        return DetectedBoxes(boxes, tf.math.log(limited) - tf.math.log1p(-limited), scores)

    def _from_anchors(self, offsets: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        height, width, channels = inputs.shape[1:]
        levels = self.anchors(tf.zeros((1, height, width, channels)))
        boxes: tf.Tensor = keras.utils.bounding_boxes.decode_deltas_to_boxes(
            anchors=keras.ops.concatenate(list(levels.values()), axis=0),
            boxes_delta=tf.cast(offsets, tf.float32),
            encoded_format="center_xywh",
            anchor_format=self.anchors.bounding_box_format,
            box_format="xyxy",
            image_shape=(height, width, channels),
        )
        return boxes


def is_detector(model: keras.Model) -> bool:
    """Returns whether a model is an object detector of KerasHub."""
    hub = sys.modules.get(KERAS_HUB.module)
    return hub is not None and isinstance(model, hub.models.ObjectDetector)


def find_decoder(model: keras.Model) -> HubBoxes | None:
    """Finds out how the boxes of a KerasHub task are read.

    Args:
        model: Any model of Keras 3 or 2.

    Returns:
        What reads them; None if the model isn't an object detector of KerasHub.

    Raises:
        UnsupportedModelError: It is a detector of an unknown kind.
    """
    if not is_detector(model):
        return None
    hub = sys.modules[KERAS_HUB.module]
    for kind in (_RETINANET, _DFINE):
        if isinstance(model, getattr(hub.models, kind)):
            anchors = model.anchor_generator if kind == _RETINANET else None
            are_logits = bool(model.prediction_decoder.from_logits)
            return HubBoxes(kind, int(model.num_classes), are_logits, anchors)
    raise UnsupportedModelError(
        f"{model.name}: is a {type(model).__name__} of KerasHub, whose boxes can't be read yet; "
        f"only {_RETINANET} and {_DFINE} can"
    )
