"""How many pictures go through the network at once."""

from __future__ import annotations

import tensorflow as tf

_FIRST = 4
# More gains nothing: a processor is busy with these, a GPU's larger steps cost memory alone.
_LARGEST_ON_CPU = 16
_LARGEST_ON_GPU = 64
# A batch may hold this many pixels; at a time, one is decoded, one explained, one encoded.
_PIXELS_IN_FLIGHT = 32_000_000


class BatchSize:
    """Grows as long as memory allows, and shrinks for good when it doesn't.

    Attributes:
        now: The size of the next batch.
    """

    def __init__(self, fixed: int | None = None) -> None:
        """Starts modestly.

        Args:
            fixed: What the user asked for; it shrinks only if the network runs out of
                memory.
        """
        self._is_fixed = fixed is not None
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        self._largest = fixed or (_LARGEST_ON_GPU if on_gpu else _LARGEST_ON_CPU)
        self.now = fixed or _FIRST

    def grow(self, pixels: int) -> None:
        """Doubles the size, as long as pictures of this size leave room in memory.

        Args:
            pixels: How many the largest picture of the last batch has.
        """
        if not self._is_fixed:
            self.now = max(1, min(2 * self.now, self._largest, _PIXELS_IN_FLIGHT // max(pixels, 1)))

    def shrink(self, failed: int) -> None:
        """Takes half of what was too much, from now on.

        Args:
            failed: How many pictures the network had no memory for.
        """
        self._largest = max(1, failed // 2)
        self.now = min(self.now, self._largest)
