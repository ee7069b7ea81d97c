"""Maps of methods that run the network many times, with progress and interruption."""

from __future__ import annotations

from concurrent.futures import CancelledError
from threading import Lock

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.cam.map_function import MapFunction
from gradcam_cli.cam.methods.base import Progress
from gradcam_cli.cam.traced_maps import TracedFacts, TracedMaps, with_conditions


class RepeatedRuns:
    """Computes maps outside the traced function, run by run."""

    def __init__(self, maps: TracedMaps, facts: TracedFacts, batch_size: int) -> None:
        """Prepares the runs; nothing is traced yet.

        Args:
            maps: The classifier, its layers and the method.
            facts: The facts about these layers.
            batch_size: The number of changed inputs that go through the network at once.
        """
        self._maps = maps
        self._facts = facts
        self._batch_size = batch_size
        self._is_interrupted = False
        self._lock = Lock()
        # By the path of the layer.
        self._functions: dict[str, MapFunction] = {}

    def __call__(
        self,
        inputs: tf.Tensor,
        targets: np.ndarray,
        progress: Progress,
        copies: int = 1,
        conditions: np.ndarray | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, dict[tuple[int, int], BlankMap]]:
        """Computes the maps of a batch.

        Args:
            inputs: (N, height, width, channels) float32.
            targets: (N, M) int32, class indices.
            progress: Called with the number of runs since the last call and the number of
                runs for all classes, layers and copies.
            copies: The number of batches of this size that the reported total includes.
            conditions: (N, values) float32, what the network takes beside the pictures; None if
                it takes nothing else.

        Returns:
            Maps, (N, M, rows, columns) float32 in [0, 1] or, if they are signed, in [-1, 1]; their
            peaks, (N, M) float32, see `gradcam_cli.cam.traced_maps.TracedMaps.combine`; and what
            the method says about them, by input and class.

        Raises:
            CancelledError: `interrupt` was called.
        """
        facts = self._facts
        rows = None if conditions is None else tf.constant(conditions)
        calls = len(facts.paths) * targets.shape[1] * copies

        def count(done: int, total: int) -> None:
            if self._is_interrupted:
                raise CancelledError
            progress(done, total * calls)

        maps, peaks = [], []
        notes: dict[tuple[int, int], BlankMap] = {}
        for number in range(targets.shape[1]):
            one_hot = tf.one_hot(targets[:, number], facts.classes)
            complete = with_conditions(self._maps.weights.weigh(one_hot), rows)
            of_layers = [self._function(path)(inputs, complete, count) for path in facts.paths]
            for observed in of_layers:
                notes |= {(row, number): note for row, note in observed.notes.items()}
            combined, peak = self._maps.combine([one.maps for one in of_layers], inputs, facts)
            maps.append(combined)
            peaks.append(peak)
        return tf.stack(maps, axis=1), tf.stack(peaks, axis=1), notes

    def interrupt(self) -> None:
        """Stops all calls for good, after the current run of each."""
        self._is_interrupted = True

    def take_smaller_steps(self) -> bool:
        """Halves the number of changed inputs that go through the network at once.

        Returns:
            Whether the number was greater than 1.
        """
        with self._lock:
            if self._batch_size == 1:
                return False
            self._batch_size //= 2
            self._functions.clear()
            return True

    def _function(self, path: str) -> MapFunction:
        with self._lock:
            if path not in self._functions:
                further = self._maps.classifier.conditions.length
                self._functions[path] = MapFunction(
                    self._maps.method,
                    self._maps.score,
                    path,
                    self._maps.classifier.input_shape,
                    (None if further is None else self._facts.classes + further,),
                    self._batch_size,
                )
            return self._functions[path]
