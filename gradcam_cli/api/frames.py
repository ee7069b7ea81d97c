"""Explains the frames of a video or another file of several pictures, for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from gradcam_cli.api.image import ImageExplanation, explain_image
from gradcam_cli.errors import ImageError, UsageError
from gradcam_cli.files.storage import AnyPath, to_path
from gradcam_cli.pictures.medical.windows import parse_window
from gradcam_cli.pictures.stacks.opening import open_stack
from gradcam_cli.pictures.stacks.stack import FrameChoice
from gradcam_cli.pictures.stacks.volumes import VolumeOptions
from gradcam_cli.pictures.stacks.voxels import PLANES


def explain_frames(
    path: str | AnyPath,
    target: int | str | Sequence[int | str] | None = None,
    *,
    frames: slice | None = None,
    every: int = 1,
    window: str | None = None,
    plane: str | None = None,
    **options: Any,
) -> Iterator[ImageExplanation]:
    """Explains the pictures of a video, an animation, a TIFF file of pages or a volume, one by one.

    Each is explained as a picture of its own: for its own most probable class unless there is a
    target, with a map that is scaled by its own maximum. The command line draws all maps of a file
    for one class and with one scale.

    Args:
        path: The file or its URL, or a folder with the DICOM files of one scan.
        target: The class to explain, as for `explain_image`.
        frames: Which pictures to explain, as a slice of their numbers from 0; None for all.
        every: Of these, explain one in this many.
        window: The values of a volume that are spread over all greys, as for ``--window``:
            "40,80" or "brain"; None for the window of the file, else all values.
        plane: The slices of a volume: "axial", "coronal" or "sagittal"; None for axial ones, of
            DICOM for those that were taken.
        **options: Further options of `explain_image`.

    Yields:
        The explanation of each picture, with its `number` and, if it has a time, its `seconds`.
        Only few of the pictures are in memory.

    Raises:
        GradcamError: As for `explain_image`; an `ImageError` if the file holds a single picture or
            can't be read on, a `UsageError` if it has none of the chosen pictures.

    Warns:
        UserWarning: A map shows nothing; the message says why.
    """
    source = to_path(path)
    if plane is not None and plane not in PLANES:
        raise UsageError(f"plane {plane!r}: choose one of {', '.join(PLANES)}")
    parse_window(window)
    stack = open_stack(source, volume=VolumeOptions(window, plane))
    if stack is None:
        raise ImageError(f"{source}: holds a single picture; explain it with explain_image")
    for frame in stack.frames(FrameChoice(frames, every)):
        explained = explain_image(frame.image, target, **options)
        yield replace(explained, source=source, number=frame.number, seconds=frame.seconds)
