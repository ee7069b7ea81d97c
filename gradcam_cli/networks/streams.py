"""Runs a network on several small batches side by side: TensorFlow alone leaves cores idle."""

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
# More inputs than this leave the cache of a core, and gain nothing.
_LARGEST = 16


@dataclass(frozen=True)
class Streams:
    """How inputs are divided among threads that each run the network.

    Attributes:
        number: How many batches go through the network side by side.
        batch_size: How many inputs each has at most.
    """

    number: int
    batch_size: int

    @classmethod
    def of(cls, batch_size: int) -> Streams:
        """Divides what may go through the network at once.

        Args:
            batch_size: How many inputs that is. On a GPU all go as one batch.
        """
        if tf.config.list_logical_devices("GPU"):
            return cls(1, batch_size)
        number = min(usable_cores(), MOST_STREAMS, batch_size)
        return cls(number, max(1, min(batch_size // number, _LARGEST)))

    def cut(self, total: int) -> Iterator[slice]:
        """Cuts a number of inputs into batches, as even as can be.

        Args:
            total: The number.
        """
        size = max(1, min(self.batch_size, -(-total // self.number)))
        for start in range(0, total, size):
            yield slice(start, min(start + size, total))

    def run(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item]
    ) -> Iterator[_Result]:
        """Calls a function for one item after the other, in as many threads as there are streams.

        Args:
            function: What is called, from several threads at once.
            items: What it is given; few are taken in advance.

        Yields:
            What it returns, in the order of the items.
        """
        if self.number == 1:
            yield from map(function, items)
            return
        running: deque[Future[_Result]] = deque()
        with ThreadPoolExecutor(self.number) as threads:
            try:
                for item in items:
                    running.append(threads.submit(function, item))
                    # While one is computed in each stream, the next is waiting.
                    if len(running) > 2 * self.number:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                for future in running:
                    future.cancel()
