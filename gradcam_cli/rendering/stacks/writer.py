"""Writes the drawings of a stack as a file of the same kind.

To add a kind, write the function that starts it and add a row to `_WRITERS`.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from PIL import Image

from gradcam_cli.files.marks import Mark
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.files.writing import written_whole
from gradcam_cli.pictures.stacks.stack import Frame, Stack


class StackWriter(Protocol):
    """Writes the drawings of a stack, one after the other, with few of them in memory."""

    def add(self, frame: Frame, overlay: Image.Image, heat: np.ndarray) -> None:
        """Writes the drawing of a picture.

        Args:
            frame: The picture, in the order of the file.
            overlay: Its overlay, mode "RGB", of the picture's size.
            heat: Its map, (height, width) float32 in [0, 1].
        """

    def close(self) -> None:
        """Completes the file. It has at least one picture."""

    def abandon(self) -> None:
        """Gives the file up while it is still open; most writers have nothing to do."""
        return  # Without it, mypy takes the method as one that each writer must have.


# The function that starts a writer, as "module:name", by the extension of the file. It takes the
# stack, a file that is open for writing and can seek, and the mark of the result.
_ANIMATION = "gradcam_cli.rendering.stacks.animation"
_VIDEO = "gradcam_cli.rendering.stacks.video:VideoWriter"
_WRITERS = {
    "avi": _VIDEO,
    "gif": f"{_ANIMATION}:GifWriter",
    "mkv": _VIDEO,
    "mov": _VIDEO,
    "nii.gz": "gradcam_cli.rendering.stacks.heat_volume:HeatVolumeWriter",
    "mp4": _VIDEO,
    "png": f"{_ANIMATION}:PngWriter",
    "tif": f"{_ANIMATION}:TiffWriter",
    "webm": _VIDEO,
    "webp": f"{_ANIMATION}:WebPWriter",
}


@contextlib.contextmanager
def written_stack(stack: Stack, path: AnyPath, mark: Mark) -> Iterator[StackWriter]:
    """Opens a file for the drawings of a stack; it appears under its name only when complete.

    If the block ends by an error, there is no file. To keep the drawings before an error of the
    stack, catch the error inside the block.

    Args:
        stack: What is drawn. It decides the format: that of ``stack.ending``.
        path: The file.
        mark: The mark that says where the drawings come from.

    Raises:
        OutputError: The file or its folder can't be written, or the format can't hold it.
    """
    module, _, name = _WRITERS[stack.ending].partition(":")
    start = getattr(importlib.import_module(module), name)
    with written_whole(path) as file:
        writer: StackWriter = start(stack, file, mark)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        writer.close()
