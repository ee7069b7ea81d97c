"""A network opened at one layer, to run the parts before and after it separately."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.forward import ForwardPass, Scorer, differentiate
from gradcam_cli.networks.layers import feature_grid
from gradcam_cli.networks.scored import ScoredNetwork


class OpenedNetwork(ScoredNetwork):
    """Functions that run a network up to a layer, from it on, or all of it with gradients."""

    def __init__(
        self,
        scorer: Scorer,
        layer: str,
        input_shape: Sequence[int | None],
        classes: Sequence[int | None],
        batch_size: int,
        *,
        with_gradients: bool,
    ) -> None:
        """Traces the network.

        Args:
            scorer: Runs the network in a graph.
            layer: The path of the layer.
            input_shape: The shape of one input.
            classes: The shape of one input's targets.
            batch_size: The number of inputs that go through the network at once.
            with_gradients: Whether to trace what `evidence` needs.

        Raises:
            UnusableLayerError: Gradients are wanted, and an operation between the layer and the
                scores has none.
        """
        self._layer = layer
        self._with_gradients = with_gradients
        super().__init__(scorer, input_shape, classes, batch_size)

    def _trace_layer(self, forward: ForwardPass) -> None:
        self._layer_output = forward.layer_outputs[self._layer]
        self._arrangement = Arrangement(feature_grid(forward, self._layer), self._inputs.graph)
        self._feature_maps = self._arrangement.to_maps(self._layer_output)
        if self._with_gradients:
            gradients = differentiate(self._scores, self._layer_output, self._layer)
            self._gradients = self._arrangement.to_maps(gradients)
        dtype, shape = self._layer_output.dtype, self._feature_maps.shape
        self._changed = tf.compat.v1.placeholder(dtype, shape)
        self._changed_output = self._arrangement.to_output(self._changed, self._layer_output)

    def feature_maps(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes A, (N, ..., K) float32."""
        part = self._part("feature_maps", self._inputs, self._feature_maps)
        feature_maps: tf.Tensor = tf.cast(part(inputs), tf.float32)
        return feature_maps

    def evidence(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes A and the gradient of y^c with respect to A, each (N, ..., K) float32."""
        part = self._part(
            "evidence", [self._inputs, self._targets], [self._feature_maps, self._gradients]
        )
        feature_maps, gradients = part(inputs, targets)
        return tf.cast(feature_maps, tf.float32), tf.cast(gradients, tf.float32)

    def scores_with(
        self, inputs: tf.Tensor, targets: tf.Tensor, feature_maps: tf.Tensor
    ) -> tf.Tensor:
        """Computes the scores for other feature maps.

        Args:
            inputs: (N, ..., channels) float32, or (1, ..., channels) for all. They still
                determine connections that bypass the layer, and the tokens beside its patches.
            targets: (N, classes) float32, the weights of the scores; one-hot for one class.
            feature_maps: The replacement of A, (N, ..., K) float32.

        Returns:
            (N,) float32.
        """
        return self._with("scores_with", self._scores, inputs, targets, feature_maps)

    def probabilities_with(
        self, inputs: tf.Tensor, targets: tf.Tensor, feature_maps: tf.Tensor
    ) -> tf.Tensor:
        """Computes the probabilities for other feature maps, like `scores_with`.

        Returns:
            (N,) float32 in [0, 1], or the values of a regression.
        """
        name = "probabilities_with"
        return self._with(name, self._probabilities, inputs, targets, feature_maps)

    def _with(
        self,
        name: str,
        wanted: tf.Tensor,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        feature_maps: tf.Tensor,
    ) -> tf.Tensor:
        output = tf.cast(feature_maps, self._layer_output.dtype)
        count = len(output) if len(inputs) == 1 else 1
        if self._arrangement.has_others:
            others = self._part("layer_output", self._inputs, self._layer_output)(inputs)
            feeds = [self._layer_output, self._changed]
            change = self._part("change", feeds, self._changed_output)
            output = change(self._arrangement.repeated(others, count), output)
        elif not self._arrangement.is_trivial:
            feeds = [self._inputs, self._changed]
            output = self._part("change", feeds, self._changed_output)(inputs, output)
        part = self._part(name, [self._inputs, self._targets, self._layer_output], wanted)
        multiples = [count] + [1] * (inputs.shape.rank - 1)
        found: tf.Tensor = part(tf.tile(inputs, multiples), targets, output)
        return found
