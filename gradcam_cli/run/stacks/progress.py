"""Reports how far the run over one stack is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

Advance = Callable[[], None]
# Takes what is done ("clip.mp4: frames explained") and the number of steps, None if that isn't
# known. In the block, the function is called when a step is finished.
Following = Callable[[str, int | None], AbstractContextManager[Advance]]


class FrameProgress:
    """Where the run over a stack reports its progress.

    Attributes:
        follow: Shows it; None to show nothing.
    """

    def __init__(self) -> None:
        """Shows nothing yet."""
        self.follow: Following | None = None

    @contextlib.contextmanager
    def of(self, title: str, steps: int | None) -> Iterator[Advance]:
        """Begins and ends to report; see `Following`."""
        if self.follow is None:
            yield lambda: None
            return
        with self.follow(title, steps) as advance:
            yield advance
