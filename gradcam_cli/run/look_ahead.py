"""Groups pictures of one input shape into batches, whatever their order in a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from gradcam_cli.run.batching import BatchSize

# The maximum number of pixels in pictures that are being decoded, explained or encoded, and the
# maximum from the oldest picture that waits for others of its shape to the newest.
_MOST_PIXELS = 40_000_000
_MOST_WAITING = 20_000_000
# Assumed for a picture before any was decoded: the size of a common camera's.
_EXPECTED_PIXELS = 12_000_000
_REMEMBERED = 8
_BATCHES_AHEAD = 16


class LookAhead:
    """Decides how many pictures are decoded in advance, and which share a batch.

    Pictures are identified by their places in the run: 0, 1, 2 and so on. They are added to
    batches in this order. A batch is complete when it is full, or when half a window of pictures
    or 20 million pixels have come since its oldest picture. So pictures of common shapes fill
    their batches, and those of rare shapes don't delay the others. The rounding of a network
    depends on the size of the batch, so which pictures share a batch never depends on timing.

    Attributes:
        window: The maximum number of pictures from the oldest unfinished to the newest.
    """

    def __init__(self, batch_size: BatchSize, streams: int, workers: int) -> None:
        """Starts without pictures.

        Args:
            batch_size: The number of pictures in a full batch. It grows with each batch.
            streams: The number of batches that go through the network in parallel.
            workers: The number of threads that decode.
        """
        self._batch_size = batch_size
        self._streams = streams
        self._readers = 2 * workers
        self.window = _BATCHES_AHEAD * batch_size.largest * streams
        self._reading = 0
        self._running = 0
        # Pictures that were decoded before one that was started earlier.
        self._early: dict[int, Hashable] = {}
        self._next_place = 0
        # Places by shape, in order.
        self._waiting: dict[Hashable, list[int]] = {}
        self._ready: deque[list[int]] = deque()
        self._pixels: dict[int, int] = {}
        self._held_pixels = self._total_pixels = 0
        # For each waiting picture, the pixels of all pictures before it.
        self._pixels_before: dict[int, int] = {}
        self._recent = deque([_EXPECTED_PIXELS], maxlen=_REMEMBERED)

    def may_read(self, held: int, drawing: int) -> bool:
        """Returns whether to start decoding another picture now.

        Args:
            held: The number of pictures from the oldest unfinished to the newest.
            drawing: The number of those that are being drawn.
        """
        if self._reading >= self._readers or len(self._ready) >= self._streams:
            return False
        if not (self._reading or self._running or self._ready or drawing):
            # Nothing else is going on, so the next picture is needed, however large it is.
            return True
        if self._batch_size.is_fixed and held < self._batch_size.now:
            return True
        pixels = self._held_pixels + (self._reading + 1) * max(self._recent)
        return held < self.window and pixels <= _MOST_PIXELS

    def begin(self) -> None:
        """Records that the decoding of the next picture has started."""
        self._reading += 1

    def add(self, place: int, shape: Hashable | None, pixels: int = 0) -> None:
        """Records a picture that is decoded.

        Args:
            place: Its place in the run.
            shape: Pictures with equal values can share a batch; None for a picture that couldn't
                be decoded.
            pixels: The number of its pixels, before it was fitted to the network.
        """
        self._reading -= 1
        self._pixels[place] = pixels
        self._held_pixels += pixels
        self._early[place] = shape
        while self._next_place in self._early:
            self._place(self._next_place, self._early.pop(self._next_place))
            self._next_place += 1

    def release(self, place: int) -> int:
        """Records that a picture is no longer in memory.

        Args:
            place: Its place in the run.

        Returns:
            The number of its pixels.
        """
        pixels = self._pixels.pop(place)
        self._held_pixels -= pixels
        return pixels

    def next_batch(self, is_last: bool) -> list[int]:
        """Returns the pictures of the next batch, and counts the batch as running.

        Args:
            is_last: Whether the run has no pictures beyond those that are already being decoded.

        Returns:
            The places of pictures of one shape; empty if it is better to wait.
        """
        if is_last and self._reading == 0 and self._waiting and not self._ready:
            self._complete(self._oldest())
        # Each stream has one batch running and one queued.
        if not self._ready or self._running >= 2 * self._streams:
            return []
        self._running += 1
        return self._ready.popleft()

    def finish_batch(self) -> None:
        """Records that the network has finished a batch."""
        self._running -= 1

    def _place(self, place: int, shape: Hashable | None) -> None:
        if shape is None:
            return
        self._recent.append(self._pixels[place])
        self._pixels_before[place] = self._total_pixels
        self._total_pixels += self._pixels[place]
        self._waiting.setdefault(shape, []).append(place)
        if len(self._waiting[shape]) >= self._batch_size.now:
            self._complete(shape)
        while self._waiting:
            oldest = self._oldest()
            first = self._waiting[oldest][0]
            is_due = first <= place - self.window // 2
            if not is_due and not self._is_too_much(first, place):
                break
            self._complete(oldest)

    def _is_too_much(self, first: int, last: int) -> bool:
        is_many = not self._batch_size.is_fixed or last - first >= self._batch_size.now
        return is_many and self._total_pixels - self._pixels_before[first] > _MOST_WAITING

    def _complete(self, shape: Hashable) -> None:
        places = self._waiting.pop(shape)
        for place in places:
            del self._pixels_before[place]
        self._ready.append(places)
        self._batch_size.grow()

    def _oldest(self) -> Hashable:
        return min(self._waiting, key=lambda shape: self._waiting[shape][0])
