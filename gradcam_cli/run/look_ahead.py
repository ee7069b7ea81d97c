"""Brings pictures of one input shape together, whatever lies between them in a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from gradcam_cli.run.batching import BatchSize

# So many pixels are held at a time, in pictures that are decoded, explained or encoded, and so
# many from the oldest picture that waits for others of its shape to the newest.
_MOST_PIXELS = 40_000_000
_MOST_WAITING = 20_000_000
# What a picture is taken for before any was decoded: one of a common camera.
_EXPECTED_PIXELS = 12_000_000
_REMEMBERED = 8
_BATCHES_AHEAD = 16


class LookAhead:
    """Decides which pictures are decoded in advance, and which go through the network together.

    Pictures are known by their places in the run: 0, 1, 2 and so on. They come into batches in
    this order. A batch is complete when it is full, or when its oldest picture has waited for as
    many others as half of the window holds: so pictures of common shapes fill their batches, and
    those of rare shapes hold up nobody. Networks round differently in batches of another size, so
    which pictures share a batch never depends on how long anything takes.

    Attributes:
        window: How many pictures there are at most from the oldest unfinished to the newest.
    """

    def __init__(self, batch_size: BatchSize, streams: int, workers: int) -> None:
        """Begins with nothing.

        Args:
            batch_size: How many pictures make a full batch; grows with each batch.
            streams: How many batches go through the network side by side.
            workers: How many threads decode.
        """
        self._batch_size = batch_size
        self._streams = streams
        self._readers = 2 * workers
        self.window = _BATCHES_AHEAD * batch_size.largest * streams
        self._reading = 0
        self._running = 0
        # Decoded before one that was begun earlier.
        self._early: dict[int, Hashable] = {}
        self._next_place = 0
        # Places by shape, in their order.
        self._waiting: dict[Hashable, list[int]] = {}
        self._ready: deque[list[int]] = deque()
        self._pixels: dict[int, int] = {}
        self._held_pixels = self._total_pixels = 0
        # Of all pictures before one that waits.
        self._pixels_before: dict[int, int] = {}
        self._recent = deque([_EXPECTED_PIXELS], maxlen=_REMEMBERED)

    def may_read(self, held: int, drawing: int) -> bool:
        """Says whether another picture should be decoded now.

        Args:
            held: How many pictures are on their way, from the oldest unfinished to the newest.
            drawing: How many of them are being drawn.
        """
        if self._reading >= self._readers or len(self._ready) >= self._streams:
            return False
        if not (self._reading or self._running or self._ready or drawing):
            # However large it is, nothing else would ever happen.
            return True
        if self._batch_size.is_fixed and held < self._batch_size.now:
            return True
        pixels = self._held_pixels + (self._reading + 1) * max(self._recent)
        return held < self.window and pixels <= _MOST_PIXELS

    def begin(self) -> None:
        """Notes that the next picture is being decoded."""
        self._reading += 1

    def add(self, place: int, shape: Hashable | None, pixels: int = 0) -> None:
        """Takes a picture that is decoded.

        Args:
            place: Its place in the run.
            shape: What pictures that go through the network together have in common; None for a
                picture that couldn't be decoded.
            pixels: How many it has, before it was fitted to the network.
        """
        self._reading -= 1
        self._pixels[place] = pixels
        self._held_pixels += pixels
        self._early[place] = shape
        while self._next_place in self._early:
            self._place(self._next_place, self._early.pop(self._next_place))
            self._next_place += 1

    def release(self, place: int) -> int:
        """Notes that a picture is in memory no more.

        Args:
            place: Its place in the run.

        Returns:
            How many pixels it had.
        """
        pixels = self._pixels.pop(place)
        self._held_pixels -= pixels
        return pixels

    def next_batch(self, is_last: bool) -> list[int]:
        """Gives the pictures that go through the network next, and counts them as running.

        Args:
            is_last: No more pictures will be read but those that are being read.

        Returns:
            The places of pictures of one shape; empty if it is better to wait.
        """
        if is_last and self._reading == 0 and self._waiting and not self._ready:
            self._complete(self._oldest())
        # While each stream computes a batch, the next one is ready.
        if not self._ready or self._running >= 2 * self._streams:
            return []
        self._running += 1
        return self._ready.popleft()

    def finish_batch(self) -> None:
        """Notes that the network has returned one of the batches."""
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
