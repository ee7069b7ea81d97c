"""The interface of a file of several pictures, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from gradcam_cli.files.storage import AnyPath

# What one picture of a stack is called.
FRAME, PAGE, SLICE = "frame", "page", "slice"


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a stack.

    Attributes:
        number: Its place in the file, from 0.
        image: The picture, as `gradcam_cli.pictures.reading.read_picture` returns one.
        seconds: When it is shown; None where pictures have no time.
        duration: For how many seconds it is shown, until the next chosen picture follows; None
            where pictures have no time.
        caption: What the network says about it, for people; empty until that is known.
        position: Where it lies, for people: "z = -12.5 mm"; empty where pictures have no place.
    """

    number: int
    image: Image.Image
    seconds: float | None = None
    duration: float | None = None
    position: str = ""
    caption: str = ""


@dataclass(frozen=True)
class FrameChoice:
    """Which pictures of a stack are explained.

    Attributes:
        numbers: A slice of their numbers from 0; None for all.
        every: Of these, one in this many, beginning with the first.
    """

    numbers: slice | None = None
    every: int = 1


class Stack(Protocol):
    """A file of several pictures. It can be read several times, each time from the beginning."""

    @property
    def path(self) -> AnyPath:
        """The file as the user would write it."""

    @property
    def noun(self) -> str:
        """What one picture is called: `FRAME`, `PAGE` or `SLICE`."""

    @property
    def count(self) -> int | None:
        """The number of pictures as the file states it; None if only reading them would tell."""

    @property
    def ending(self) -> str:
        """The extension, without a dot, of a result of the same kind: "mp4", "gif", "nii.gz"."""

    def frames(self, choice: FrameChoice) -> Iterator[Frame]:
        """Reads the chosen pictures one after the other, with few of them in memory.

        Raises:
            ImageError: The file can't be read on, after the pictures that were yielded.
            UsageError: The file has none of the chosen pictures.
        """
