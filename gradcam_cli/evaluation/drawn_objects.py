"""Annotations as their files hold them, before they are fitted to a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradcam_cli.evaluation.annotated_shapes import Box, Shape

_LONGEST_SIDE = 1_000_000


@dataclass(frozen=True)
class DrawnObject:
    """An object in the coordinates of the picture in which it was drawn.

    Attributes:
        name: The name of its class; None if the file doesn't say it.
        box: The box around it; None if only the outline is known.
        shape: The outline; None if only the box is known.
        is_ignored: Whether heat on it counts neither for nor against a map.
    """

    name: str | None
    box: Box | None
    shape: Shape | None = None
    is_ignored: bool = False


@dataclass(frozen=True)
class DrawnPicture:
    """The annotated objects of a picture.

    Attributes:
        size: (width, height) of the picture in which they were drawn; (0, 0) if unknown.
        objects: The objects.
        fault: Why they can't be used; empty if they can.
    """

    size: tuple[int, int]
    objects: list[DrawnObject] = field(default_factory=list)
    fault: str = ""


def read_size(width: Any, height: Any) -> tuple[int, int]:
    """Reads the size of an annotated picture.

    Returns:
        (width, height); (0, 0) if the annotation doesn't give it.

    Raises:
        ValueError: It is out of range.
    """
    size = int(width), int(height)
    if not all(0 <= side <= _LONGEST_SIDE for side in size):
        raise ValueError("the picture size is out of range")
    return size
