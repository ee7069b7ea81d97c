"""Runs pictures through the network in batches that fit the machine."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.detection import ObjectExplainer
from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.cam.region_values import region_values
from gradcam_cli.errors import GradcamError, OutOfMemoryError, PredictionError, reason
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.pictures.boxes import DetectionChoice
from gradcam_cli.run.records import LoadedPicture
from gradcam_cli.runtime.cores import Parallelism

# The explanations of a whole batch, one by each explainer, and the picture's row in the batch.
Outcome: TypeAlias = tuple[list[Explanation], int] | GradcamError
# The explained inputs of a batch, and a row of conditions for each; None if there are none.
BatchInputs: TypeAlias = tuple[np.ndarray, np.ndarray | None]
Batch: TypeAlias = Sequence[tuple[InputPicture, LoadedPicture]]

_FIRST = 2
# A single stream uses all cores. Each of several gets a batch that fits the cache of a core.
_LARGEST_OF_ONE_STREAM = 16
_LARGEST_OF_MANY_STREAMS = 4
_LARGEST_ON_GPU = 64


class BatchSize:
    """The number of pictures in a batch, which grows at first and shrinks if memory runs out.

    Attributes:
        now: The size of the next batch.
        largest: The maximum size.
        is_fixed: Whether the user chose it.
    """

    def __init__(self, largest: int, fixed: int | None = None) -> None:
        """Starts with a small size, unless it is fixed.

        Args:
            largest: The size up to which it grows.
            fixed: The size that the user chose; None for an automatic size. It still shrinks if the
                network runs out of memory.
        """
        self.is_fixed = fixed is not None
        self.largest = fixed or largest
        self.now = min(self.largest, fixed or _FIRST)

    def grow(self) -> None:
        """Doubles the size, up to the largest."""
        self.now = min(2 * self.now, self.largest)

    def shrink(self, failed: int) -> None:
        """Limits the size to half of that of a batch that was too large.

        Args:
            failed: The number of pictures for which memory ran out.
        """
        self.largest = max(1, failed // 2)
        self.now = min(self.now, self.largest)


class NetworkRunner:
    """Runs the network on one batch at a time per GPU, or per stream of the processor.

    If there are as many streams as threads for the pictures, these threads also run the batches.
    With additional threads, the cores would constantly switch between the two.

    Attributes:
        batch_size: The number of pictures to submit at once.
        streams: The number of batches that run in parallel.
    """

    def __init__(
        self,
        explainers: Sequence[Explainer],
        pool: ThreadPoolExecutor,
        parallelism: Parallelism,
        batch_size: int | None = None,
        detection: DetectionChoice | None = None,
    ) -> None:
        """Finds the GPUs and prepares the threads.

        Args:
            explainers: The explainers of each picture, all of one classifier.
            pool: The threads that decode and draw, in the order of submission.
            parallelism: The number of these threads, and the number of batches in parallel if
                there is no GPU.
            batch_size: The size that the user chose; None for an automatic size.
            detection: For a detector, the objects to explain; None for other networks.
        """
        self._explainers = explainers
        gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
        if gpus:
            largest = _LARGEST_ON_GPU
        else:
            is_one = parallelism.streams == 1
            largest = _LARGEST_OF_ONE_STREAM if is_one else _LARGEST_OF_MANY_STREAMS
        self.batch_size = BatchSize(largest, batch_size)
        places: list[str | None] = [*gpus] or [None] * parallelism.streams
        if any(explainer.runs_many_times for explainer in explainers):
            places = places[:1]
        self.streams = len(places)
        self._places: SimpleQueue[str | None] = SimpleQueue()
        for place in places:
            self._places.put(place)
        self._detection = detection
        self._objects = None if detection is None else ObjectExplainer(explainers)
        self._own = threading.local()
        if gpus or self.streams < parallelism.workers:
            pool = ThreadPoolExecutor(self.streams, initializer=self._take_place)
        self._pool = pool

    def submit(self, batch: Batch) -> Future[list[Outcome]]:
        """Submits a batch to be explained.

        Args:
            batch: Pictures of one input shape, each with the same number of classes to explain.

        Returns:
            A future with the outcome of each picture, in the order of the batch.
        """
        return self._pool.submit(self._explain, batch)

    def interrupt(self) -> None:
        """Stops the methods that run the network many times."""
        for explainer in self._explainers:
            explainer.interrupt()

    def close(self) -> None:
        """Cancels the batches that haven't started, and waits for the others."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take_place(self) -> None:
        self._own.place = self._places.get()

    def _explain(self, batch: Batch) -> list[Outcome]:
        place = getattr(self._own, "place", None)
        with contextlib.nullcontext() if place is None else tf.device(place):
            return self._explain_parts(batch)

    def _explain_parts(self, batch: Batch) -> list[Outcome]:
        """Explains a batch, in parts if it is too large for the memory."""
        most = self.batch_size.largest
        if len(batch) > most:
            parts = [batch[first : first + most] for first in range(0, len(batch), most)]
            return [outcome for part in parts for outcome in self._explain_parts(part)]
        try:
            if self._detection is not None:
                return [self._explain_objects(self._detection, *one) for one in batch]
            explanations = self._explain_together([loaded for _, loaded in batch])
        except tf.errors.ResourceExhaustedError:
            # The sum asks every explainer; any() would stop at the first that can.
            if sum(explainer.take_smaller_steps() for explainer in self._explainers):
                return self._explain_parts(batch)
            if len(batch) > 1:
                self.batch_size.shrink(len(batch))
                return self._explain_parts(batch)
            ((picture, _),) = batch
            return [
                OutOfMemoryError(
                    f"{picture.name}: not enough memory for the network; choose a smaller --size, "
                    f"another --model, or fewer --workers"
                )
            ]
        return [
            (explanations, row)
            if np.isfinite(explanations[0].probabilities[row]).all()
            else self._refuse(picture, loaded)
            for row, (picture, loaded) in enumerate(batch)
        ]

    def _explain_objects(
        self, choice: DetectionChoice, picture: InputPicture, loaded: LoadedPicture
    ) -> Outcome:
        assert self._objects is not None
        # Negative targets stand for any class.
        classes = tuple(index for index in loaded.targets if index >= 0)
        explanations = self._objects.explain(loaded.prepared, replace(choice, classes=classes))
        return self._refuse(picture, loaded) if explanations is None else (explanations, 0)

    def _refuse(self, picture: InputPicture, loaded: LoadedPicture) -> PredictionError:
        inputs, conditions = inputs_of([loaded], self._explainers[0].classifier)
        return self._explainers[0].refuse_prediction(picture.name, inputs, conditions)

    def _explain_together(self, batch: Sequence[LoadedPicture]) -> list[Explanation]:
        targets = np.array([loaded.targets for loaded in batch], np.int32)
        explanations: list[Explanation] = []
        found: dict[str, BatchInputs] = {}
        for explainer in self._explainers:
            explained = explainer.classifier.explained
            if explained not in found:
                found[explained] = inputs_of(batch, explainer.classifier)
                if explanations:
                    # Rounding differs between the graphs of two inputs, but the classes mustn't.
                    targets = explanations[0].targets
            inputs, conditions = found[explained]
            explanation = explainer.explain(inputs, targets, conditions)
            explanations.append(explainer.find_blanks(inputs, explanation, conditions))
        return explanations


def inputs_of(batch: Sequence[LoadedPicture], classifier: Classifier) -> BatchInputs:
    """Returns the explained inputs of a batch, and what the network takes beside them.

    Args:
        batch: Pictures whose inputs have one shape.
        classifier: The network.
    """
    if not classifier.explained:
        inputs = np.stack([loaded.prepared.inputs for loaded in batch])
        if not classifier.segments:
            return inputs, None
        regions = [region_values(loaded.prepared, loaded.region) for loaded in batch]
        return inputs, classifier.conditions.with_regions(None, np.stack(regions), inputs.shape[:3])
    inputs = np.stack([loaded.others.arrays[classifier.explained] for loaded in batch])
    return inputs, np.stack([_values_of(loaded, classifier) for loaded in batch])


def _values_of(loaded: LoadedPicture, classifier: Classifier) -> np.ndarray:
    """Returns what the network takes beside one explained input, (values,) float32."""
    shown = loaded.others.pictures.get(classifier.explained)
    if not classifier.segments or shown is None:
        return classifier.pack_values(loaded.others.arrays)
    return classifier.pack_values(loaded.others.arrays, region_values(shown, loaded.region))


def as_own_error(picture: InputPicture, error: BaseException) -> GradcamError:
    """Returns an error of one picture as a `GradcamError`, with the picture's path if it is new."""
    if isinstance(error, GradcamError):
        return error
    own = GradcamError(f"{picture.name}: {reason(error)}")
    own.__cause__ = error
    return own
