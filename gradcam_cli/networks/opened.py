"""A network opened at one layer, to run the parts before and after it separately."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import tensorflow as tf

from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.forward import Scorer, differentiate
from gradcam_cli.networks.layers import feature_grid
from gradcam_cli.networks.streams import Streams


class OpenedNetwork:
    """Functions that run a network up to a layer, from it on, or all of it with gradients.

    The network is traced once. Each function is a part of that graph, made when it is first
    called.

    Attributes:
        task: What the outputs mean; see `gradcam_cli.networks.tasks`.
    """

    def __init__(
        self,
        scorer: Scorer,
        layer: str,
        input_shape: Sequence[int | None],
        classes: Sequence[int | None],
        batch_size: int,
    ) -> None:
        """Traces the network.

        Args:
            scorer: Runs the network in a graph.
            layer: The path of the layer.
            input_shape: The shape of one input.
            classes: The shape of one input's targets.
            batch_size: The number of inputs that go through the network at once.
        """
        self._streams = Streams.of(batch_size)
        self._parts: dict[str, Any] = {}
        self._cut: UnusableLayerError | None = None
        self._lock = Lock()

        def trace(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
            forward, self._scores = scorer(inputs, targets)
            self.task = forward.task
            self._inputs, self._targets = inputs, targets
            self._probabilities = forward.probabilities_of(targets)
            self._layer_output = forward.layer_outputs[layer]
            self._arrangement = Arrangement(feature_grid(forward, layer), inputs.graph)
            self._feature_maps = self._arrangement.to_maps(self._layer_output)
            try:
                gradients = differentiate(self._scores, self._layer_output, layer)
                self._gradients = self._arrangement.to_maps(gradients)
            # Most methods that run the network many times need no gradients.
            except UnusableLayerError as error:
                self._cut = error
            dtype, shape = self._layer_output.dtype, self._feature_maps.shape
            self._changed = tf.compat.v1.placeholder(dtype, shape)
            self._changed_output = self._arrangement.to_output(self._changed, self._layer_output)
            return self._scores

        self._whole = tf.compat.v1.wrap_function(
            trace,
            [
                tf.TensorSpec((None, *input_shape), tf.float32),
                tf.TensorSpec((None, *classes), tf.float32),
            ],
        )

    def run_all(
        self,
        run: Callable[[slice], tf.Tensor],
        total: int,
        progress: Callable[[int, int], None],
        inputs: int = 1,
    ) -> tf.Tensor:
        """Runs the network on many changed copies of an input, several batches in parallel.

        Args:
            run: A function from a slice of the copies to (copies, ...); called from several
                threads.
            total: The number of copies.
            progress: Called with the number of copies done since the last call and the total
                for all inputs.
            inputs: The number of inputs that are changed one after the other.

        Returns:
            (total, ...).
        """
        parts = []
        for part in self._streams.run(run, self._streams.cut(total)):
            parts.append(part)
            progress(len(part), total * inputs)
        return tf.concat(parts, axis=0)

    def scores(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes y^c, (N,) float32, for inputs (N, ..., channels) and weights of scores."""
        part = self._part("scores", [self._inputs, self._targets], self._scores)
        scores: tf.Tensor = part(inputs, targets)
        return scores

    def feature_maps(self, inputs: tf.Tensor) -> tf.Tensor:
        """Computes A, (N, ..., K) float32."""
        part = self._part("feature_maps", self._inputs, self._feature_maps)
        feature_maps: tf.Tensor = tf.cast(part(inputs), tf.float32)
        return feature_maps

    def evidence(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes A and the gradient of y^c with respect to A, each (N, ..., K) float32.

        Raises:
            UnusableLayerError: An operation between the layer and the scores has no gradient.
        """
        if self._cut is not None:
            raise self._cut
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
        found: tf.Tensor = part(tf.repeat(inputs, count, axis=0), targets, output)
        return found

    def _part(self, name: str, feeds: Any, fetches: Any) -> Any:
        with self._lock:
            if name not in self._parts:
                self._parts[name] = self._whole.prune(feeds, fetches)
            return self._parts[name]
