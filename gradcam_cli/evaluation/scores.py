"""Scores of changed inputs: what every measurement of an explanation asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.models.classifier import Classifier
from gradcam_cli.networks.internals import with_constants
from gradcam_cli.pictures.fitting import mean_color

BATCH_SIZE = 32
_COLOR_RANGE = 255.0
# Fewer runs than this don't pay for folding the variables.
_RUNS_WORTH_FOLDING = 200
_KEPT = 4


class TargetScores:
    """The score of one class for each input, in batches, as fast as the network goes.

    Attributes:
        baseline: What "nothing there" looks like, broadcastable to an input.
        value_range: The distance of the largest and the smallest value of an input.
    """

    def __init__(self, model: Any, batch_size: int = BATCH_SIZE) -> None:
        """Takes a model.

        Args:
            model: A `Classifier`: inputs are in [0, 255], scores are probabilities, and
                nothing there is the mean colour of ImageNet, which normalisation makes 0.
                Or a Keras model or any other function from (N, height, width, channels)
                float32, as it wants them, to (N, classes): scores are its outputs, and
                nothing there is 0.
            batch_size: How many inputs go through the network at once.
        """
        self._batch_size = batch_size
        self._model = model
        self._runs = 0
        self._functions: dict[tuple[int | None, ...], Callable[..., Any]] = {}
        self._folded: set[tuple[int | None, ...]] = set()
        self.baseline: np.ndarray = np.zeros(1, np.float32)
        self.value_range = 1.0
        if isinstance(model, Classifier):
            self.baseline = np.array(mean_color(model.channels), np.float32)
            self.value_range = _COLOR_RANGE

    def __call__(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Computes scores.

        Args:
            inputs: (N, height, width, channels), uint8 or float.
            targets: (N,) int, the class of each input.

        Returns:
            (N,) float64.
        """
        inputs = np.asarray(inputs)
        function = self._function(inputs.shape[1:], len(inputs))
        scores = []
        for start in range(0, len(inputs), self._batch_size):
            batch = tf.cast(inputs[start : start + self._batch_size], tf.float32)
            chosen = tf.constant(targets[start : start + self._batch_size], tf.int32)
            result = function(batch, chosen)
            scores.append((result[0] if isinstance(result, list) else result).numpy())
        return np.concatenate(scores).astype(np.float64)

    def _function(self, shape: tuple[int, ...], runs: int) -> Callable[..., Any]:
        self._runs += runs
        key: tuple[int | None, ...] = shape
        if isinstance(self._model, Classifier):
            key = self._model.input_shape
        if key not in self._functions:
            self._functions[key] = tf.function(self._score, autograph=False).get_concrete_function(
                tf.TensorSpec((None, *key), tf.float32), tf.TensorSpec((None,), tf.int32)
            )
        if self._runs >= _RUNS_WORTH_FOLDING and key not in self._folded:
            # With constants for variables, batch normalization disappears into the
            # convolutions.
            self._functions[key] = with_constants(self._functions[key]) or self._functions[key]
            self._folded.add(key)
        return self._functions[key]

    def _score(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        if isinstance(self._model, Classifier):
            outputs = self._model.trace(inputs).probabilities
        else:
            outputs = tf.cast(self._model(inputs), tf.float32)
        scores: tf.Tensor = tf.gather(outputs, targets, batch_dims=1)
        return scores


def scores_of(model: Any) -> TargetScores:
    """Makes the score function of a model, or finds the one that was made last time.

    Args:
        model: As for `TargetScores`, or one of these.
    """
    return model if isinstance(model, TargetScores) else _cached_scores(model)


@lru_cache(maxsize=_KEPT)
def _cached_scores(model: Any) -> TargetScores:
    return TargetScores(model)


def class_indices(targets: np.ndarray) -> np.ndarray:
    """Takes classes as indices (N,) or one-hot (N, classes); returns indices."""
    targets = np.asarray(targets)
    return targets.argmax(axis=1) if targets.ndim == 2 else targets.astype(np.int64)
