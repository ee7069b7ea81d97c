"""The preparation of a picture as a network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.fitting import Fit, fit_picture
from gradcam_cli.pictures.reading import IfSeveral, read_picture, to_channels


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
        window: Which values of a DICOM file are black and white; None for the usual way.
    """

    fit: str = "keep"
    size: tuple[int, int] = (256, 256)
    stride: int = 32
    channels: int = 3
    window: str | None = None

    def read(
        self,
        path: str | AnyPath,
        downloads: Downloads | None = None,
        *,
        several: IfSeveral = IfSeveral.WARN,
    ) -> PreparedPicture:
        """Reads a picture and prepares it.

        Args:
            path: A picture file or its URL.
            downloads: Downloads it from a URL; None for the default limits.
            several: What to do with a file of several pictures.

        Raises:
            ImageError: It can't be read; see `gradcam_cli.pictures.reading.read_picture`.
            SeveralPicturesError: It holds several pictures, which is refused.
            StorageError: Its store can't be reached, or it exceeds a download limit.
        """
        return self.prepare(read_picture(path, downloads, several=several, window=self.window))

    def prepare(self, image: Image.Image) -> PreparedPicture:
        """Prepares a picture in memory.

        Args:
            image: A picture as returned by `gradcam_cli.pictures.reading.read_picture`.
        """
        fit = fit_picture(image.size, self.fit, self.size, self.stride)
        return PreparedPicture(image, fit, fit.apply(to_channels(image, self.channels)))
