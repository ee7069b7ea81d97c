"""Computes maps with any method at one layer of any network."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from threading import Lock

import tensorflow as tf

from gradcam_cli.cam.methods.base import (
    BlackBoxMethod,
    InGraphMethod,
    Method,
    ObservedMaps,
    Progress,
    ignore_progress,
    tapped_pass,
)
from gradcam_cli.networks.forward import Scorer
from gradcam_cli.networks.opened import OpenedNetwork
from gradcam_cli.networks.scored import ScoredNetwork


class MapFunction:
    """A function from inputs and targets to maps."""

    def __init__(
        self,
        method: Method,
        scorer: Scorer,
        layer: str,
        input_shape: Sequence[int | None],
        target_shape: Sequence[int | None],
        batch_size: int,
        layers: Sequence[str] = (),
    ) -> None:
        """Traces the network at the first call.

        Args:
            method: The method.
            scorer: Runs the network inside a graph.
            layer: The path of the explained layer; "" for a method that needs none.
            input_shape: The shape of one input.
            target_shape: The shape of one input's targets.
            batch_size: The number of changed inputs that go through the network at once, for
                methods that run it many times.
            layers: The layers that the method fuses, if it fuses any; empty for its own choice.
        """
        self._method = method
        self._scorer = scorer
        self._layer = layer
        self._layers = layers
        self._input_shape = input_shape
        self._target_shape = target_shape
        self._batch_size = batch_size
        self._lock = Lock()
        self._opened: OpenedNetwork | None = None
        self._scored: ScoredNetwork | None = None
        self._is_ready = False
        self._function = tf.function(
            self._trace,
            input_signature=[
                tf.TensorSpec((None, *input_shape), tf.float32),
                tf.TensorSpec((None, *target_shape), tf.float32),
            ],
            autograph=False,
        )

    def __call__(
        self, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress = ignore_progress
    ) -> ObservedMaps:
        """Computes the maps of a batch.

        Args:
            inputs: (N, ..., channels) float32.
            targets: (N, classes) float32, the weights of the scores; one-hot for one class.
            progress: Called with the progress of methods that run the network many times.

        Returns:
            The maps, (N, ...) float32 without a channel axis. Negative values speak against the
            class.
        """
        if isinstance(self._method, InGraphMethod):
            # Otherwise all threads would trace and optimize it, and each would take the memory.
            with contextlib.nullcontext() if self._is_ready else self._lock:
                maps = ObservedMaps(self._function(inputs, targets))
                self._is_ready = True
                return maps
        if isinstance(self._method, BlackBoxMethod):
            with self._lock:
                if self._scored is None:
                    self._scored = ScoredNetwork(
                        self._scorer, self._input_shape, self._target_shape, self._batch_size
                    )
            found = self._method.explain(self._scored, inputs, targets, progress)
            return found if isinstance(found, ObservedMaps) else ObservedMaps(found)
        with self._lock:
            if self._opened is None:
                self._opened = OpenedNetwork(
                    self._scorer,
                    self._layer,
                    self._input_shape,
                    self._target_shape,
                    self._batch_size,
                    with_gradients=self._method.needs_gradients,
                )
        return ObservedMaps(self._method.explain(self._opened, inputs, targets, progress))

    def _trace(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        assert isinstance(self._method, InGraphMethod)
        forward, scores = self._scorer(inputs, targets)
        return self._method.maps(
            tapped_pass(inputs, targets, forward, scores, self._layer, self._scorer, self._layers)
        )
