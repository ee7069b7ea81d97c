"""Runs pictures through the network in batches that fit the machine."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.errors import GradcamError, OutOfMemoryError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.run.records import LoadedPicture
from gradcam_cli.runtime.cores import Parallelism

# A picture's explanations by each explainer, of a batch, and its row in that batch.
Outcome: TypeAlias = tuple[list[Explanation], int] | GradcamError
Batch: TypeAlias = Sequence[tuple[InputPicture, LoadedPicture]]

_FIRST = 2
# One stream works with all cores; of several, each has what stays in the cache of a core.
_LARGEST_OF_ONE_STREAM = 16
_LARGEST_OF_MANY_STREAMS = 4
_LARGEST_ON_GPU = 64


class BatchSize:
    """Grows at first, and shrinks for good when memory doesn't last.

    Attributes:
        now: The size of the next batch.
        largest: What it never exceeds.
        is_fixed: Whether the user chose it.
    """

    def __init__(self, largest: int, fixed: int | None = None) -> None:
        """Starts modestly.

        Args:
            largest: What it grows to, if memory allows.
            fixed: What the user asked for; less, if the network runs out of memory.
        """
        self.is_fixed = fixed is not None
        self.largest = fixed or largest
        self.now = min(self.largest, fixed or _FIRST)

    def grow(self) -> None:
        """Doubles the size, up to the largest."""
        self.now = min(2 * self.now, self.largest)

    def shrink(self, failed: int) -> None:
        """Takes half of what was too much, from now on.

        Args:
            failed: How many pictures the network had no memory for.
        """
        self.largest = max(1, failed // 2)
        self.now = min(self.now, self.largest)


class NetworkRunner:
    """Runs the network on one batch at a time on each GPU, or in each stream of the processor.

    Where there are as many streams as threads for the pictures, these threads run the batches
    too: with others beside them, cores would change between both all the time.

    Attributes:
        batch_size: How many pictures are best given to it at once.
        streams: How many batches go through it side by side.
    """

    def __init__(
        self,
        explainers: Sequence[Explainer],
        pool: ThreadPoolExecutor,
        parallelism: Parallelism,
        batch_size: int | None = None,
    ) -> None:
        """Looks for GPUs.

        Args:
            explainers: What explains each picture; of one classifier.
            pool: The threads that decode and draw, first come, first served.
            parallelism: How many they are, and how many batches are computed side by side
                where there is no GPU.
            batch_size: What the user asked for.
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
        self._own = threading.local()
        if gpus or self.streams < parallelism.workers:
            pool = ThreadPoolExecutor(self.streams, initializer=self._take_place)
        self._pool = pool

    def submit(self, batch: Batch) -> Future[list[Outcome]]:
        """Has a batch explained.

        Args:
            batch: Pictures of one input shape, with as many classes to explain each.

        Returns:
            What will come of each picture, in their order.
        """
        return self._pool.submit(self._explain, batch)

    def interrupt(self) -> None:
        """Ends methods that run the network many times before they are done."""
        for explainer in self._explainers:
            explainer.interrupt()

    def close(self) -> None:
        """Forgets what hasn't begun, and waits for what has."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take_place(self) -> None:
        self._own.place = self._places.get()

    def _explain(self, batch: Batch) -> list[Outcome]:
        place = getattr(self._own, "place", None)
        with contextlib.nullcontext() if place is None else tf.device(place):
            return self._explain_parts(batch)

    def _explain_parts(self, batch: Batch) -> list[Outcome]:
        """Explains pictures in parts, if they are too many for the memory."""
        most = self.batch_size.largest
        if len(batch) > most:
            parts = [batch[first : first + most] for first in range(0, len(batch), most)]
            return [outcome for part in parts for outcome in self._explain_parts(part)]
        inputs = np.stack([loaded.prepared.inputs for _, loaded in batch])
        targets = np.array([loaded.targets for _, loaded in batch], np.int32)
        try:
            explanations = [explainer.explain(inputs, targets) for explainer in self._explainers]
        except tf.errors.ResourceExhaustedError:
            # Each takes them, not the first that can.
            if sum(explainer.take_smaller_steps() for explainer in self._explainers):
                return self._explain_parts(batch)
            if len(batch) > 1:
                self.batch_size.shrink(len(batch))
                return self._explain_parts(batch)
            ((picture, _),) = batch
            return [
                OutOfMemoryError(
                    f"{picture.path}: not enough memory for the network; choose a smaller --size, "
                    f"another --model, or fewer --workers"
                )
            ]
        return [(explanations, row) for row in range(len(batch))]


def as_own_error(picture: InputPicture, error: BaseException) -> GradcamError:
    """Gives an error of one picture the form in which it is told."""
    if isinstance(error, GradcamError):
        return error
    own = GradcamError(f"{picture.path}: {error or type(error).__name__}")
    own.__cause__ = error
    return own
