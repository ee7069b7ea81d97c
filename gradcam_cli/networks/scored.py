"""A network of which only the scores are used, run on many changed inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import tensorflow as tf

from gradcam_cli.networks.forward import ForwardPass, Scorer
from gradcam_cli.networks.raised_inside import errors_for_users
from gradcam_cli.networks.streams import Streams


class ScoredNetwork:
    """Functions from inputs and targets to scores. Neither layers nor gradients are needed.

    The network is traced once. Each function is a part of that graph, made when it is first
    called.

    Attributes:
        task: What the outputs mean; see `gradcam_cli.networks.tasks`.
        has_probabilities: Whether `probabilities` says something about the explained scores.
    """

    def __init__(
        self,
        scorer: Scorer,
        input_shape: Sequence[int | None],
        classes: Sequence[int | None],
        batch_size: int,
    ) -> None:
        """Traces the network.

        Args:
            scorer: Runs the network in a graph.
            input_shape: The shape of one input.
            classes: The shape of one input's targets.
            batch_size: The number of inputs that go through the network at once.
        """
        self._streams = Streams.of(batch_size)
        self._parts: dict[str, Any] = {}
        self._lock = Lock()

        def trace(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
            forward, self._scores = scorer(inputs, targets)
            self.task = forward.task
            self.has_probabilities = forward.has_probabilities
            self._inputs, self._targets = inputs, targets
            self._probabilities = forward.probabilities_of(targets)
            self._detected = forward.detected
            self._trace_layer(forward)
            return self._scores

        self._whole = tf.compat.v1.wrap_function(
            trace,
            [
                tf.TensorSpec((None, *input_shape), tf.float32),
                tf.TensorSpec((None, *classes), tf.float32),
            ],
        )

    def _trace_layer(self, forward: ForwardPass) -> None:
        """Adds what else is needed to the graph that is being traced."""

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

    def probabilities(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the probabilities of the targets, or the values of a regression.

        Args:
            inputs: (N, ..., channels) float32.
            targets: (N, classes) float32, the weights of the scores; one-hot for one class.

        Returns:
            (N,) float32; see `gradcam_cli.networks.forward.ForwardPass.probabilities_of`.
        """
        part = self._part("probabilities", [self._inputs, self._targets], self._probabilities)
        probabilities: tf.Tensor = part(inputs, targets)
        return probabilities

    def detections(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds all candidates of a detector; see `gradcam_cli.networks.detection.DetectedBoxes`.

        Args:
            inputs: (N, ..., channels) float32.

        Returns:
            Boxes (N, candidates, 4) float32 in input pixels, and probabilities
            (N, candidates, classes) float32.
        """
        assert self._detected is not None
        fetches = [self._detected.boxes, self._detected.probabilities]
        with errors_for_users():
            boxes, probabilities = self._part("detections", [self._inputs], fetches)(inputs)
        return boxes, probabilities

    def _part(self, name: str, feeds: Any, fetches: Any) -> Any:
        with self._lock:
            if name not in self._parts:
                # Without a signature, TensorFlow first writes all arguments as text into an error
                # that it then catches, at every call. That can take longer than the network.
                any_shape: Any = None
                signature = [tf.TensorSpec(any_shape, one.dtype) for one in tf.nest.flatten(feeds)]
                self._parts[name] = self._whole.prune(
                    feeds, fetches, input_signature=(tuple(signature), {})
                )
            return self._parts[name]
