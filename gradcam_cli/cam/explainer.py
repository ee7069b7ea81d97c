"""Explains batches: from inputs and target classes to class activation maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.geometry import Pitch, cell_pitch
from gradcam_cli.cam.methods import Method, grad_cam, scale_by_maximum
from gradcam_cli.cam.tap import choose_tap
from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.method_names import DEFAULT_METHOD

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier

METHODS: dict[str, Method] = {
    "gradcam": grad_cam,
}


@dataclass(frozen=True)
class Explanation:
    """What a network says of a batch, and where it looked for each target class.

    Attributes:
        probabilities: (N, classes) float32 in [0, 1].
        targets: (N, M) int32, the explained classes as indices.
        maps: (N, M, rows, columns) float32 in [0, 1], each scaled to a maximum of 1; all
            zeros where nothing speaks for the class.
    """

    probabilities: np.ndarray
    targets: np.ndarray
    maps: np.ndarray


class Explainer:
    """Explains what a classifier sees with one method, at one layer.

    The pass forward, the gradients and the maps are one traced function, so that a batch
    costs little more than the network alone.

    Attributes:
        classifier: What is explained.
        layer: The path of the explained layer.
        method: The name of the method.
        pitch: Vertical and horizontal distance of two cells of a map, in input pixels.
    """

    def __init__(
        self,
        classifier: Classifier,
        layer: str | int | None = None,
        method: str = DEFAULT_METHOD,
    ) -> None:
        """Chooses the layer and traces the network once.

        Args:
            classifier: What is to be explained.
            layer: A layer's name, path or index; None for the last with a spatial output.
            method: A key of `METHODS`.

        Raises:
            UnknownLayerError: There is no such layer.
            UnusableLayerError: Nothing can be drawn from that layer.
        """
        self.classifier = classifier
        self.method = method
        self.layer: str
        self.pitch: Pitch
        self._requested_layer = layer
        self._function = tf.function(self._explain, autograph=False)
        self._function.get_concrete_function(*self._signature(1))

    def explain(self, inputs: np.ndarray, targets: np.ndarray) -> Explanation:
        """Explains a batch.

        Args:
            inputs: (N, height, width, channels) uint8 or float32 in [0, 255], before the
                network's own preprocessing.
            targets: (N, M) int, M classes for each input: an index, or -1 for the most
                probable class, -2 for the second, and so on.

        Returns:
            Probabilities, resolved targets and maps, as NumPy arrays.
        """
        targets = np.asarray(targets, np.int32)
        function = self._function.get_concrete_function(*self._signature(targets.shape[1]))
        tensors = function(tf.cast(inputs, tf.float32), tf.constant(targets))
        return Explanation(*(tensor.numpy() for tensor in tensors))

    def _signature(self, targets: int) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        return (
            tf.TensorSpec((None, *self.classifier.input_shape), tf.float32),
            tf.TensorSpec((None, targets), tf.int32),
        )

    def _explain(
        self, inputs: tf.Tensor, targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        network = self.classifier.network
        forward = self.classifier.trace(inputs)
        self.layer = choose_tap(network, forward, self._requested_layer)
        feature_maps = forward.feature_maps[self.layer]
        self.pitch = cell_pitch(forward.inputs, feature_maps)

        _, ranking = tf.math.top_k(forward.logits, tf.shape(forward.logits)[-1])
        ranked = tf.gather(ranking, tf.maximum(-targets - 1, 0), batch_dims=1)
        targets = tf.where(targets < 0, ranked, targets)

        maps = []
        for number in range(targets.shape[1]):
            # The sum over the batch keeps the inputs apart: each score depends on one.
            scores = tf.gather(forward.logits, targets[:, number], batch_dims=1)
            gradients = tf.gradients(scores, feature_maps)[0]
            if gradients is None:
                raise UnusableLayerError(
                    f"no gradient of the class score reaches layer {self.layer}; choose a later one"
                )
            maps.append(
                METHODS[self.method](
                    tf.cast(feature_maps, tf.float32), tf.cast(gradients, tf.float32)
                )
            )
        return forward.probabilities, targets, scale_by_maximum(tf.stack(maps, axis=1))
