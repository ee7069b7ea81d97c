"""Divides a machine's cores between the network and the processing of pictures."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

# Each stream needs the memory of a batch. With more cores, each stream gets several.
MOST_STREAMS = 8


@dataclass(frozen=True)
class Parallelism:
    """The numbers of threads for each kind of work.

    Several small batches in parallel, each on its own core, keep all cores busy and their
    caches warm. Within one batch, cores wait for each other at every layer.

    Attributes:
        workers: The number of threads that decode and draw.
        streams: The number of batches that go through the network in parallel on a CPU.
            (Each GPU takes one.)
        cores_per_stream: The number of threads that work on one batch.
    """

    workers: int = 1
    streams: int = 1
    cores_per_stream: int = 1

    def limit(self, threading: Any) -> None:
        """Limits TensorFlow's threads to these numbers.

        Args:
            threading: ``tf.config.threading``. It can't be changed after the first operation,
                so a second command in one process runs with the threads of the first.
        """
        with contextlib.suppress(RuntimeError):
            threading.set_intra_op_parallelism_threads(self.cores_per_stream)
            threading.set_inter_op_parallelism_threads(self.streams)


def usable_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def divide_cores(
    pictures: int, workers: int | None = None, one_by_one: bool = False
) -> Parallelism:
    """Chooses the numbers of threads for a run.

    Args:
        pictures: The number of pictures.
        workers: The number of workers that the user asked for; None for one per core.
        one_by_one: Whether the method keeps the machine busy with a single picture.
    """
    workers = workers or usable_cores()
    streams = 1 if one_by_one else min(pictures, workers, MOST_STREAMS)
    return Parallelism(workers, streams, max(1, workers // streams))
