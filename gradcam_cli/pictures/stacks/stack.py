"""The interface of a file of several pictures, whatever its format."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from gradcam_cli.errors import ImageError, UsageError
from gradcam_cli.files.storage import AnyPath

# What one picture of a stack is called.
FRAME, PAGE, SLICE = "frame", "page", "slice"
# Stands for a number of pictures that isn't known.
UNKNOWN = sys.maxsize


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

    @property
    def needs_count(self) -> bool:
        """Whether pictures are counted from the end of the file."""
        ends = () if self.numbers is None else (self.numbers.start, self.numbers.stop)
        return any(end is not None and end < 0 for end in ends)

    def among(self, count: int) -> range:
        """Returns the chosen numbers.

        Args:
            count: The number of pictures in the file, or `UNKNOWN` if numbers aren't counted
                from the end.
        """
        return range(*(self.numbers or slice(None)).indices(count))[:: self.every]


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


def none_chosen(path: AnyPath, noun: str, count: int) -> UsageError | ImageError:
    """Makes the error for a choice that leaves nothing of a file, or for a file without pictures.

    Args:
        path: The file.
        noun: What one picture is called.
        count: The number of pictures that it has.
    """
    if count == 0:
        return ImageError(f"{path}: has no {noun}s")
    have = f"{count:,} {noun}s" if count != 1 else f"one {noun}"
    return UsageError(f"{path}: has {have} (numbered from 0), and none of them was chosen")


def unreadable_after(path: AnyPath, noun: str, number: int, why: str) -> ImageError:
    """Makes the error for a file that can't be read on.

    Args:
        path: The file.
        noun: What one picture is called.
        number: The number of the first picture that can't be read, from 0.
        why: The reason.
    """
    last = f" after {noun} {number - 1}" if number else ""
    return ImageError(f"{path}: damaged or truncated{last} ({why})")


@runtime_checkable
class VolumeStack(Stack, Protocol):
    """A stack whose pictures are the slices of a volume."""

    def values(self) -> np.ndarray:
        """Reads the whole volume, (A, B, C) or (A, B, C, channels)."""

    def as_slices(self, maps: np.ndarray) -> np.ndarray:
        """Arranges (A, B, C), on the axes of `values`, as (slices, rows, columns)."""
