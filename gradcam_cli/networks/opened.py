"""A network opened at one layer: what goes into it, what comes out, and the scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import tensorflow as tf

from gradcam_cli.networks.forward import ForwardPass, Scorer, differentiate


class OpenedNetwork:
    """Functions that run a network up to a layer, from it on, and there and back.

    The network is traced once; each function is a part of that graph, made when it is
    first called.

    Attributes:
        batch_size: How many inputs are to go through the network at once.
    """

    def __init__(
        self,
        scorer: Scorer,
        layer: str,
        layer_output: Callable[[ForwardPass], tf.Tensor],
        input_shape: Sequence[int | None],
        classes: Sequence[int | None],
        batch_size: int,
    ) -> None:
        """Traces the network.

        Args:
            scorer: Runs it inside a graph.
            layer: The path of the layer.
            layer_output: Finds its output, A, in a pass.
            input_shape: The shape of one input.
            classes: The shape of one input's targets.
            batch_size: How many inputs are to go through the network at once.
        """
        self.batch_size = batch_size
        self._parts: dict[str, Any] = {}
        self._lock = Lock()

        def trace(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
            forward, self._scores = scorer(inputs, targets)
            self._inputs, self._targets = inputs, targets
            self._layer_output = layer_output(forward)
            self._gradients = differentiate(self._scores, self._layer_output, layer)
            return self._scores

        self._whole = tf.compat.v1.wrap_function(
            trace,
            [
                tf.TensorSpec((None, *input_shape), tf.float32),
                tf.TensorSpec((None, *classes), tf.float32),
            ],
        )

    def scores(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes y^c, (N,) float32, for inputs (N, ..., channels) and one-hot targets."""
        part = self._part("scores", [self._inputs, self._targets], self._scores)
        scores: tf.Tensor = part(inputs, targets)
        return scores

    def feature_maps(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes A, (N, ..., K) float32."""
        part = self._part("feature_maps", self._inputs, self._layer_output)
        feature_maps: tf.Tensor = tf.cast(part(inputs), tf.float32)
        return feature_maps

    def evidence(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes A and the gradient of y^c by A, each (N, ..., K) float32."""
        part = self._part(
            "evidence", [self._inputs, self._targets], [self._layer_output, self._gradients]
        )
        feature_maps, gradients = part(inputs, targets)
        return tf.cast(feature_maps, tf.float32), tf.cast(gradients, tf.float32)

    def scores_with(
        self, inputs: tf.Tensor, targets: tf.Tensor, feature_maps: tf.Tensor
    ) -> tf.Tensor:
        """Computes the scores that follow from other feature maps.

        Args:
            inputs: (N, ..., channels) float32; they still reach what lies beside the layer.
            targets: (N, classes) float32, one-hot.
            feature_maps: What to put in the place of A, (N, ..., K) float32.

        Returns:
            (N,) float32.
        """
        feeds = [self._inputs, self._targets, self._layer_output]
        part = self._part("scores_with", feeds, self._scores)
        scores: tf.Tensor = part(inputs, targets, tf.cast(feature_maps, self._layer_output.dtype))
        return scores

    def _part(self, name: str, feeds: Any, fetches: Any) -> Any:
        with self._lock:
            if name not in self._parts:
                self._parts[name] = self._whole.prune(feeds, fetches)
            return self._parts[name]
