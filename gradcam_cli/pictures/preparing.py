"""The preparation of a picture as a network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.fitting import Fit, fit_picture
from gradcam_cli.pictures.reading import read_picture, to_channels


@dataclass(frozen=True)
class PreparedPicture:
    """A picture in memory, ready for a network.

    Attributes:
        image: The picture, upright, mode "RGB".
        fit: How it fits into the network's input.
        inputs: (height, width, channels) uint8, the network's input.
    """

    image: Image.Image
    fit: Fit
    inputs: np.ndarray


@dataclass(frozen=True)
class InputShape:
    """How pictures become a network's inputs.

    Attributes:
        fit: One of `gradcam_cli.pictures.fitting.FITS`.
        size: (width, height) of the input in pixels. For the fit "keep" only its area counts;
            the shape is that of each picture.
        stride: The sides of the shapes that "keep" chooses are multiples of this.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and opacity).
    """

    fit: str = "keep"
    size: tuple[int, int] = (256, 256)
    stride: int = 32
    channels: int = 3

    def read(
        self, path: str | AnyPath, downloads: Downloads | None = None, *, only_one: bool = False
    ) -> PreparedPicture:
        """Reads a picture and prepares it.

        Args:
            path: A picture file or its URL.
            downloads: Downloads it from a URL; None for the default limits.
            only_one: Whether to refuse files of several pictures.

        Raises:
            ImageError: It can't be read; see `gradcam_cli.pictures.reading.read_picture`.
            SeveralPicturesError: It holds several pictures, and only one was asked for.
            StorageError: Its store can't be reached, or it exceeds a download limit.
        """
        return self.prepare(read_picture(path, downloads, only_one=only_one))

    def prepare(self, image: Image.Image) -> PreparedPicture:
        """Prepares a picture in memory.

        Args:
            image: A picture as returned by `gradcam_cli.pictures.reading.read_picture`.
        """
        fit = fit_picture(image.size, self.fit, self.size, self.stride)
        return PreparedPicture(image, fit, fit.apply(to_channels(image, self.channels)))
