"""The one way from a picture to what a network is given."""

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
        image: Upright, mode "RGB".
        fit: How it lies in the network's input.
        inputs: (height, width, channels) uint8, what the network is given.
    """

    image: Image.Image
    fit: Fit
    inputs: np.ndarray


@dataclass(frozen=True)
class InputShape:
    """How pictures become inputs of a network.

    Attributes:
        fit: One of `gradcam_cli.pictures.fitting.FITS`.
        size: (width, height) of the input in pixels; for the fit "keep" its area, in the
            shape of each picture.
        stride: Of what the sides of the shapes that "keep" chooses are multiples.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and opacity).
    """

    fit: str = "keep"
    size: tuple[int, int] = (256, 256)
    stride: int = 32
    channels: int = 3

    def read(self, path: str | AnyPath, downloads: Downloads | None = None) -> PreparedPicture:
        """Reads a picture and prepares it.

        Args:
            path: A picture file or its URL.
            downloads: What fetches it from a URL; None for the usual limits.

        Raises:
            ImageError: It can't be read; see `gradcam_cli.pictures.reading.read_picture`.
            StorageError: The store that it is in can't be reached, or sends too much or too
                slowly.
        """
        return self.prepare(read_picture(path, downloads))

    def prepare(self, image: Image.Image) -> PreparedPicture:
        """Prepares a picture that is in memory.

        Args:
            image: As `gradcam_cli.pictures.reading.read_picture` returns it.
        """
        fit = fit_picture(image.size, self.fit, self.size, self.stride)
        return PreparedPicture(image, fit, fit.apply(to_channels(image, self.channels)))
