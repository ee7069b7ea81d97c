"""Brings pictures of one input shape together, whatever lies between them in a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from gradcam_cli.run.batching import BatchSize

# So many pixels are held at a time, in pictures that are decoded, explained or encoded.
_MOST_PIXELS = 48_000_000
# What a picture is taken for before any was decoded: one of a common camera.
_EXPECTED_PIXELS = 12_000_000
_REMEMBERED = 8
_BATCHES_AHEAD = 16


class LookAhead:
    """Decides which pictures are decoded in advance, and which go through the network next.

    Pictures are known by their places in the run: 0, 1, 2 and so on. A batch is run when it is
    full, when its oldest picture has waited for half of the window, or when nothing else is left
    to do. So pictures of common shapes fill their batches, and those of rare ones hold up
    nobody.

    Attributes:
        window: How many pictures there are at most from the oldest unfinished to the newest.
    """

    def __init__(self, batch_size: BatchSize, streams: int, workers: int) -> None:
        """Begins with nothing.

        Args:
            batch_size: How many pictures make a full batch, at any time.
            streams: How many batches go through the network side by side.
            workers: How many threads decode.
        """
        self._batch_size = batch_size
        self._streams = streams
        self._readers = 2 * workers
        self.window = _BATCHES_AHEAD * batch_size.largest * streams
        self._reading = 0
        self._running = 0
        self._pixels: dict[int, int] = {}
        self._held_pixels = 0
        self._recent = deque([_EXPECTED_PIXELS], maxlen=_REMEMBERED)
        # Places by shape, in their order.
        self._waiting: dict[Hashable, list[int]] = {}

    def may_read(self, held: int) -> bool:
        """Says whether another picture should be decoded now.

        Args:
            held: How many pictures are on their way, from the oldest unfinished to the newest.
        """
        full = sum(len(places) // self._batch_size.now for places in self._waiting.values())
        return self._reading < self._readers and full < self._streams and self._has_room(held)

    def begin(self) -> None:
        """Notes that a picture is being decoded."""
        self._reading += 1

    def fail(self) -> None:
        """Notes that a picture couldn't be decoded."""
        self._reading -= 1

    def add(self, place: int, shape: Hashable, pixels: int) -> None:
        """Takes a picture that is decoded.

        Args:
            place: Its place in the run.
            shape: What pictures that go through the network together have in common.
            pixels: How many it has, before it was fitted to the network.
        """
        self._reading -= 1
        self._recent.append(pixels)
        self._pixels[place] = pixels
        self._held_pixels += pixels
        places = self._waiting.setdefault(shape, [])
        places.append(place)
        places.sort()

    def release(self, place: int) -> None:
        """Notes that a picture is in memory no more; it need not have been decoded.

        Args:
            place: Its place in the run.
        """
        self._held_pixels -= self._pixels.pop(place, 0)

    def next_batch(self, held: int, is_last: bool) -> list[int]:
        """Gives the pictures that go through the network next, and counts them as running.

        Args:
            held: As for `may_read`.
            is_last: No more pictures will be read but those that are being read.

        Returns:
            The places of pictures of one shape; empty if it is better to wait.
        """
        shape = self._choose(held, is_last)
        if shape is None:
            return []
        places = self._waiting.pop(shape)
        batch, rest = places[: self._batch_size.now], places[self._batch_size.now :]
        if rest:
            self._waiting[shape] = rest
        self._running += 1
        return batch

    def finish_batch(self) -> None:
        """Notes that the network has returned one of the batches."""
        self._running -= 1

    def _choose(self, held: int, is_last: bool) -> Hashable | None:
        if not self._waiting:
            return None
        by_age = sorted(self._waiting, key=lambda shape: self._waiting[shape][0])
        none_comes = self._reading == 0 and (is_last or not self._has_room(held))
        # While each stream computes a batch, the next one is ready.
        if self._running < 2 * self._streams:
            if held > self.window // 2 or (none_comes and is_last):
                return by_age[0]
            for shape in by_age:
                if len(self._waiting[shape]) >= self._batch_size.now:
                    return shape
        return by_age[0] if none_comes and self._running < self._streams else None

    def _has_room(self, held: int) -> bool:
        if self._batch_size.is_fixed and held < self._batch_size.now:
            return True
        pixels = self._held_pixels + (self._reading + 1) * max(self._recent)
        return held == 0 or (held < self.window and pixels <= _MOST_PIXELS)
