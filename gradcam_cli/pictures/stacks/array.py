"""Arrays in .npy files as volumes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from gradcam_cli.errors import ImageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.arrays import read_numbers, show_bands
from gradcam_cli.pictures.stacks.stack import SLICE, Frame, FrameChoice, none_chosen


class ArrayStack:
    """A volume in a .npy file (see `gradcam_cli.pictures.stacks.stack.VolumeStack`)."""

    noun = SLICE
    ending = "tif"

    def __init__(self, path: AnyPath, array: np.ndarray, channels: int) -> None:
        """Takes what is in a file.

        Args:
            path: The file.
            array: (depth, rows, columns) or (depth, rows, columns, channels).
            channels: The number of channels that the network takes.

        Raises:
            ImageError: The array has another shape.
        """
        if array.ndim == 3:
            array = array[..., None]
        if array.ndim != 4 or array.shape[-1] != channels:
            raise ImageError(
                f"{path}: has the shape {array.shape}, but the model takes clips or volumes, "
                f"(time or depth, rows, columns, {channels} channels)"
            )
        self.path = path
        self._values = array
        self._shown: np.ndarray | None = None

    @property
    def count(self) -> int:
        """The number of slices."""
        return len(self._values)

    def frames(self, choice: FrameChoice) -> Iterator[Frame]:
        """Makes the pictures of the chosen slices; see `Stack.frames`."""
        numbers = range(self.count)[choice.numbers or slice(None)][:: choice.every]
        if not numbers:
            raise none_chosen(self.path, self.noun, self.count)
        if self._shown is None:
            # All with one scale, so that what is brighter is drawn brighter.
            depth, rows, columns, channels = self._values.shape
            flat = show_bands(self._values.reshape(depth * rows, columns, channels))
            self._shown = np.asarray(flat).reshape(depth, rows, columns, -1)
        for number in numbers:
            yield Frame(number, Image.fromarray(self._shown[number]))

    def values(self) -> np.ndarray:
        """Returns the values of the file, (depth, rows, columns, channels)."""
        return self._values

    def as_slices(self, maps: np.ndarray) -> np.ndarray:
        """Returns maps as they are: slices are the first axis."""
        return maps


def open_array(path: AnyPath, channels: int, downloads: Downloads | None = None) -> ArrayStack:
    """Opens a .npy file as a volume.

    Args:
        path: The file.
        channels: The number of channels that the network takes.
        downloads: Downloads it from a store; None for the default limits.

    Raises:
        ImageError: It can't be read, or has another shape.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    return ArrayStack(path, read_numbers(path, downloads), channels)
