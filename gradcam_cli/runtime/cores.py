"""Divides the cores of a machine between the network and the pictures around it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

# Each stream needs the memory of a batch; with more cores each gets several of them.
MOST_STREAMS = 8


@dataclass(frozen=True)
class Parallelism:
    """How many things are done at once.

    Several small batches side by side, each on a core of its own, keep all cores busy and
    their caches warm; within one batch, cores wait for each other at every layer.

    Attributes:
        workers: Threads that decode and draw.
        streams: Batches that go through the network side by side, where it runs on the
            processor. (Each GPU takes one.)
        cores_per_stream: Threads that work on one batch.
    """

    workers: int = 1
    streams: int = 1
    cores_per_stream: int = 1

    def limit(self, threading: Any) -> None:
        """Has TensorFlow use so many threads.

        Args:
            threading: ``tf.config.threading``. After the first operation nothing changes
                any more: a second command in one process runs with the threads of the first.
        """
        with contextlib.suppress(RuntimeError):
            threading.set_intra_op_parallelism_threads(self.cores_per_stream)
            threading.set_inter_op_parallelism_threads(self.streams)


def usable_cores() -> int:
    """Counts the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def divide_cores(
    pictures: int, workers: int | None = None, one_by_one: bool = False
) -> Parallelism:
    """Chooses how many things are done at once.

    Args:
        pictures: How many there are.
        workers: What the user asked for; None for one a core.
        one_by_one: The method fills the machine with a single picture.
    """
    workers = workers or usable_cores()
    streams = 1 if one_by_one else min(pictures, workers, MOST_STREAMS)
    return Parallelism(workers, streams, max(1, workers // streams))
