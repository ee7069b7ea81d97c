"""Computes the scores of changed inputs, which most metrics need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UsageError
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.networks.internals import with_constants
from gradcam_cli.networks.streams import Streams
from gradcam_cli.networks.traced_function import TracedFunction
from gradcam_cli.pictures.fitting import mean_color

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]
BATCH_SIZE = 32
_COLOR_RANGE = 255.0
# For fewer runs, folding the variables takes longer than it saves.
_RUNS_WORTH_FOLDING = 200
_KEPT = 4


class TargetScores:
    """Computes the score of one class for each input, in batches.

    Attributes:
        baseline: The value that stands for "nothing", broadcastable to an input.
        value_range: The difference between the largest and the smallest input value.
    """

    def __init__(self, model: Any, batch_size: int = BATCH_SIZE) -> None:
        """Takes a model.

        Args:
            model: A `Classifier`, or a Keras model or any other function from
                (N, height, width, channels) float32 to (N, classes). For a `Classifier`,
                inputs are in [0, 255], scores are probabilities, and the baseline is the mean
                colour of ImageNet, which normalization maps to 0. Otherwise the inputs are
                passed on unchanged, the scores are the outputs, and the baseline is 0.
            batch_size: The number of inputs that go through the network at once.

        Raises:
            UsageError: The model takes more than pictures.
        """
        _check_takes_pictures_alone(model)
        self._streams = Streams.of(batch_size)
        self._model = model
        self._runs = 0
        self._functions: dict[tuple[int | None, ...], Run] = {}
        # Traced functions whose variables have not been folded yet.
        self._traced: dict[tuple[int | None, ...], Any] = {}
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
        return self.of_changed(lambda some: inputs[some], inputs.shape[1:], targets)

    def of_changed(
        self, change: Callable[[slice], np.ndarray], input_shape: Sequence[int], targets: np.ndarray
    ) -> np.ndarray:
        """Computes scores of inputs that are made only when the network is ready for them.

        Args:
            change: Makes the inputs of a slice, (n, height, width, channels). It is called from
                several threads.
            input_shape: (height, width, channels).
            targets: (N,) int, the class of each input.

        Returns:
            (N,) float64.
        """
        targets = np.asarray(targets, np.int32)
        function = self._function(tuple(input_shape), len(targets))

        def score(some: slice) -> np.ndarray:
            return function(np.asarray(change(some), np.float32), targets[some])

        parts = self._streams.run(score, self._streams.cut(len(targets)))
        return np.concatenate(list(parts)).astype(np.float64)

    def _function(self, shape: tuple[int, ...], runs: int) -> Run:
        self._runs += runs
        is_classifier = isinstance(self._model, Classifier)
        key: tuple[int | None, ...] = self._model.input_shape if is_classifier else shape
        if key not in self._functions:
            self._functions[key] = self._trace(key)
        elif self._runs >= _RUNS_WORTH_FOLDING and key in self._traced:
            # With constants in place of variables, TensorFlow folds batch normalization
            # into the convolutions.
            folded = with_constants(self._traced.pop(key))
            if folded is not None:
                self._functions[key] = _on_arrays(folded)
        return self._functions[key]

    def _trace(self, shape: tuple[int | None, ...]) -> Run:
        signature = tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int32)
        if isinstance(self._model, Classifier) and self._model.network.is_constant:
            run = TracedFunction(lambda *t: [self._score(*t)], signature, is_constant=True)
            return lambda inputs, targets: run(inputs, targets)[0]
        traced = tf.function(self._score, autograph=False).get_concrete_function(*signature)
        self._traced[shape] = traced
        return _on_arrays(traced)

    def _score(self, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        if isinstance(self._model, Classifier):
            outputs = self._model.trace(inputs).probabilities
        else:
            outputs = tf.cast(self._model(inputs), tf.float32)
        scores: tf.Tensor = tf.gather(outputs, targets, batch_dims=1)
        return scores


def _check_takes_pictures_alone(model: Any) -> None:
    if isinstance(model, Classifier) and model.others:
        names = ", ".join(other.name for other in model.others)
        raise UsageError(
            f"{model.name} also takes {names}, and metrics change the picture alone; give the "
            f"others fixed values with classifier.bound(values)"
        )
    number = 0 if isinstance(model, Classifier) else len(getattr(model, "inputs", None) or [])
    if number > 1:
        raise UsageError(
            f"{model.name} takes {number} inputs, and metrics change the picture alone; give a "
            f"function of the pictures: lambda pictures: model([pictures, others])"
        )


def _on_arrays(function: Callable[..., Any]) -> Run:
    def run(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        result = function(tf.constant(inputs), tf.constant(targets))
        scores: np.ndarray = (result[0] if isinstance(result, list) else result).numpy()
        return scores

    return run


def scores_of(model: Any) -> TargetScores:
    """Makes the score function of a model, or returns the cached one.

    Args:
        model: As for `TargetScores`, or a `TargetScores`, which is returned unchanged.
    """
    return model if isinstance(model, TargetScores) else _cached_scores(model)


@lru_cache(maxsize=_KEPT)
def _cached_scores(model: Any) -> TargetScores:
    return TargetScores(model)
