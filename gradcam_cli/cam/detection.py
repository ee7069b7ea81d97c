"""Explains boxes: one map for each detected object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.networks.traced_function import TracedFunction
from gradcam_cli.pictures.boxes import Detection, DetectionChoice, find_detections

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.pictures.preparing import PreparedPicture

# Each object of a picture takes a pass of its own, so that all pictures share one graph.
_MOST_TOGETHER = 8


class BoxFinder:
    """Runs a detector on pictures to find all of its candidates."""

    def __init__(self, classifier: Classifier) -> None:
        """Takes a detector, which is traced at the first call.

        Args:
            classifier: The detector.
        """
        self._classifier = classifier
        self._lock = Lock()
        self._function: TracedFunction | None = None

    def find(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Finds the candidates in a batch.

        Args:
            inputs: (N, height, width, channels) uint8 or float32 in [0, 255].

        Returns:
            Boxes (N, candidates, 4) float32, left, top, right and bottom in pixels of the input,
            and probabilities (N, candidates, classes) float32.
        """
        with self._lock:
            if self._function is None:
                self._function = self._trace()
        boxes, probabilities = self._function(np.asarray(inputs, np.float32))
        return boxes, probabilities

    def _trace(self) -> TracedFunction:
        classifier = self._classifier

        def trace(inputs: tf.Tensor) -> Sequence[tf.Tensor]:
            detected = classifier.trace(inputs).detected
            assert detected is not None
            return detected.boxes, detected.probabilities

        signature = [tf.TensorSpec((None, *classifier.input_shape), tf.float32)]
        return TracedFunction(trace, signature, is_constant=classifier.network.is_constant)


class ObjectExplainer:
    """Finds and explains the objects in pictures."""

    def __init__(self, explainers: Sequence[Explainer]) -> None:
        """Takes the explainers of one detector.

        Args:
            explainers: The explainers.
        """
        self._explainers = explainers
        self._finder = BoxFinder(explainers[0].classifier)

    def explain(
        self, prepared: PreparedPicture, choice: DetectionChoice
    ) -> list[Explanation] | None:
        """Explains the objects in a picture.

        Args:
            prepared: The picture.
            choice: The objects to explain.

        Returns:
            The explanation of a batch of one, by each explainer, with a target and a map for each
            object; None if a score is NaN or infinite.
        """
        boxes, probabilities = (one[0] for one in self._finder.find(prepared.inputs[None]))
        if not np.isfinite(probabilities).all():
            return None

        def find(min_score: float, most: int) -> list[Detection]:
            return find_detections(
                boxes,
                probabilities,
                prepared.fit,
                min_score=min_score,
                most=most,
                classes=choice.classes,
                without=() if choice.classes else choice.without,
            )

        objects = find(choice.min_score, choice.most)
        missed = None if objects else next(iter(find(0.0, 1)), None)
        return [
            replace(explain_boxes(explainer, prepared.inputs, objects), missed=missed)
            for explainer in self._explainers
        ]


def explain_boxes(
    explainer: Explainer, inputs: np.ndarray, detections: Sequence[Detection]
) -> Explanation:
    """Explains the objects that were detected in one input.

    Args:
        explainer: The explainer.
        inputs: (height, width, channels), as for `Explainer.explain`.
        detections: The objects.

    Returns:
        The explanation of a batch of one: a target and a map for each object, and the
        probabilities of the classes in the first object's box. Without objects, probabilities
        and maps are empty.
    """
    if not detections:
        empty = np.zeros((1, 0), np.float32)
        return Explanation(empty, empty.astype(np.int32), np.zeros((1, 0, 1, 1), np.float32))
    targets = np.array([[one.index] for one in detections], np.int32)
    rows = np.array([[one.candidate] for one in detections], np.float32)
    parts = []
    for first in range(0, len(detections), _MOST_TOGETHER):
        part = slice(first, first + _MOST_TOGETHER)
        number = len(targets[part])
        repeated = np.repeat(np.asarray(inputs, np.float32)[None], number, axis=0)
        explanation = explainer.explain(repeated, targets[part], rows[part])
        parts.append((first, explainer.find_blanks(repeated, explanation, rows[part])))
    first_part = parts[0][1]
    return replace(
        first_part,
        probabilities=first_part.probabilities[:1],
        targets=np.concatenate([part.targets[:, 0] for _, part in parts])[None],
        maps=np.concatenate([part.maps[:, 0] for _, part in parts])[None],
        broken=frozenset((0, first + row) for first, part in parts for row, _ in part.broken),
        blanks={
            (0, first + row): blank
            for first, part in parts
            for (row, _), blank in part.blanks.items()
        },
        objects=tuple(detections),
    )
