"""Runs a network on several small batches in parallel; TensorFlow alone leaves cores idle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import tensorflow as tf

from gradcam_cli.runtime.cores import MOST_STREAMS, usable_cores

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
# Larger batches don't fit in a core's cache and aren't faster.
_LARGEST = 16


@dataclass(frozen=True)
class Streams:
    """The division of inputs among threads that each run the network.

    Attributes:
        number: The number of batches that go through the network in parallel.
        batch_size: The largest number of inputs in each batch.
    """

    number: int
    batch_size: int

    @classmethod
    def of(cls, batch_size: int) -> Streams:
        """Divides a batch among the cores.

        Args:
            batch_size: The number of inputs in all streams together. A GPU gets one batch.
        """
        if tf.config.list_logical_devices("GPU"):
            return cls(1, batch_size)
        number = min(usable_cores(), MOST_STREAMS, batch_size)
        return cls(number, max(1, min(batch_size // number, _LARGEST)))

    def cut(self, total: int) -> Iterator[slice]:
        """Cuts inputs into batches of about equal size.

        Args:
            total: The number of inputs.
        """
        size = max(1, min(self.batch_size, -(-total // self.number)))
        for start in range(0, total, size):
            yield slice(start, min(start + size, total))

    def run(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item]
    ) -> Iterator[_Result]:
        """Calls a function for each item, in as many threads as there are streams.

        Args:
            function: The function, which is called from several threads at once.
            items: Its arguments; only a few are taken in advance.

        Yields:
            The results, in the order of the items.
        """
        if self.number == 1:
            yield from map(function, items)
            return
        running: deque[Future[_Result]] = deque()
        with ThreadPoolExecutor(self.number) as threads:
            try:
                for item in items:
                    running.append(threads.submit(function, item))
                    # One item is computed in each stream while the next one waits.
                    if len(running) > 2 * self.number:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                for future in running:
                    future.cancel()
