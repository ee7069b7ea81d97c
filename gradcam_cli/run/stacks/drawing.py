"""Draws the explained pictures of a stack in parallel, and writes them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from PIL import Image

from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.stacks.stack import Frame
from gradcam_cli.run.drawing import draw_map, frame_heat, lay_map
from gradcam_cli.run.options import DrawOptions
from gradcam_cli.run.stacks.frame import FrameExplanation

# The overlay and the map of each class, (height, width) float32.
Drawing = list[tuple[Image.Image, np.ndarray]]
# More than any map has.
_NOWHERE = 2.0
_NO_INPUTS = np.zeros((0, 0, 0), np.uint8)


class StackDrawer:
    """Draws pictures with the maps that belong to them, some ahead of the one that is needed."""

    def __init__(self, options: DrawOptions, limits: np.ndarray | None, workers: int) -> None:
        """Sets how to draw.

        Args:
            options: How to draw each picture.
            limits: (M,) float32, the peak that is drawn as 1 for each class; None to draw the peak
                of each map so.
            workers: The number of threads that draw.
        """
        self._options = options
        self._limits = limits
        self._workers = workers

    def heights(self, explained: FrameExplanation) -> np.ndarray:
        """Returns how high each map reaches on the scale with which it is drawn.

        Args:
            explained: The explanation of one picture.

        Returns:
            (M,) float32 in [0, 1].
        """
        if self._limits is None or explained.peaks is None:
            highest: np.ndarray = np.abs(explained.maps).max(axis=(1, 2))
            return highest
        heights = np.zeros(len(self._limits), np.float32)
        np.divide(explained.peaks, self._limits, out=heights, where=self._limits > 0)
        return heights

    def draw(
        self, frames: Iterable[Frame], explained: Iterable[FrameExplanation]
    ) -> Iterator[tuple[Frame, FrameExplanation, Drawing]]:
        """Draws all pictures.

        Args:
            frames: The pictures, in order.
            explained: Their explanations.

        Yields:
            Each picture with its explanation and its drawings, in order.
        """
        waiting: deque[tuple[Frame, FrameExplanation, Future[Drawing]]] = deque()
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for frame, own in zip(frames, explained, strict=True):
                    waiting.append((frame, own, pool.submit(self._draw, frame, own)))
                    if len(waiting) > 2 * self._workers:
                        yield _finished(waiting.popleft())
                while waiting:
                    yield _finished(waiting.popleft())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _draw(self, frame: Frame, explained: FrameExplanation) -> Drawing:
        prepared = PreparedPicture(frame.image, explained.fit, _NO_INPUTS)
        heights = self.heights(explained)
        drawings = []
        for place, cells in enumerate(explained.maps):
            options = self._options
            if self._limits is not None:
                cells = cells * heights[place]
                options = _with_common_region(options, float(heights[place]))
            scored = None if explained.regions is None else explained.regions[place]
            drawn = lay_map(
                *(prepared, cells, explained.pitch, options, scored),
                explained.region_pitch,
            )
            overlay = draw_map(prepared, drawn, options)
            drawings.append((overlay, frame_heat(prepared, drawn.heat)))
        return drawings


def _with_common_region(options: DrawOptions, height: float) -> DrawOptions:
    """Lets the region of a map begin at a fraction of the common maximum, not of its own."""
    if not options.uses_threshold:
        return options
    if height <= options.region_from:
        return replace(options, contour=False, box=False, threshold=_NOWHERE)
    return replace(options, threshold=options.region_from / height)


_Waiting = tuple[Frame, FrameExplanation, Future[Drawing]]


def _finished(waiting: _Waiting) -> tuple[Frame, FrameExplanation, Drawing]:
    frame, explained, drawing = waiting
    return frame, explained, drawing.result()


def common_limits(explained: Iterable[FrameExplanation]) -> np.ndarray | None:
    """Returns the highest peak of each class in a stack.

    Args:
        explained: The explanations of all its pictures, each for the same M classes.

    Returns:
        (M,) float32; None if maps have no common scale.
    """
    highest: Sequence[np.ndarray] = []
    for one in explained:
        if one.peaks is None:
            return None
        highest = [np.maximum(one.peaks, highest[0]) if highest else one.peaks]
    return highest[0] if highest else None
