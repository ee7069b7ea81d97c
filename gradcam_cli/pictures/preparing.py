"""The preparation of a picture as a network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gradcam_cli.errors import ImageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import ARRAY_SUFFIX
from gradcam_cli.files.storage import AnyPath, to_path
from gradcam_cli.pictures.arrays import check_values, show_bands, to_bands, warn_of_gaps
from gradcam_cli.pictures.bands import read_bands
from gradcam_cli.pictures.fitting import Fit, fit_picture
from gradcam_cli.pictures.reading import (
    IfSeveral,
    most_pixels,
    read_picture,
    to_channels,
    too_many_pixels,
)

# Grey, RGB, RGB and opacity.
_OF_PICTURES = (1, 3, 4)


@dataclass(frozen=True)
class PreparedPicture:
    """A picture in memory, ready for a network.

    Attributes:
        image: The picture, upright, mode "RGB".
        fit: How it fits into the network's input.
        inputs: (height, width, channels), the network's input: uint8, or float32 for values of
            any range.
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
        channels: 1 (grey), 3 (RGB), 4 (RGB and opacity), or any other number of bands.
        window: Which values of a DICOM file are black and white; None for the usual way.
        takes_any_values: Whether the network takes the values of arrays as they are, instead of
            values from 0 to 255.
    """

    fit: str = "keep"
    size: tuple[int, int] = (256, 256)
    stride: int = 32
    channels: int = 3
    window: str | None = None
    takes_any_values: bool = False

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
        path = to_path(path)
        if not self.takes_bands and path.suffix.lower() != ARRAY_SUFFIX:
            return self.prepare(read_picture(path, downloads, several=several, window=self.window))
        return self._prepare_bands(path, read_bands(path, self.channels, downloads))

    @property
    def takes_bands(self) -> bool:
        """Whether the network takes another number of channels than ordinary pictures have."""
        return self.channels not in _OF_PICTURES

    def _prepare_bands(self, path: AnyPath, array: np.ndarray) -> PreparedPicture:
        values = to_bands(path, array, self.channels)
        if self.takes_any_values:
            warn_of_gaps(path, values)
        else:
            check_values(path, values)
        height, width, _ = values.shape
        if height * width > most_pixels():
            raise too_many_pixels(path)
        image = show_bands(values)
        fit = fit_picture((width, height), self.fit, self.size, self.stride)
        if values.dtype == np.uint8 and self.channels in _OF_PICTURES:
            # Exactly like a picture with the same pixels.
            own = Image.fromarray(
                np.ascontiguousarray(values.squeeze(-1) if self.channels == 1 else values)
            )
            return PreparedPicture(image, fit, fit.apply(own))
        return PreparedPicture(image, fit, fit.apply_values(values))

    def prepare(self, image: Image.Image) -> PreparedPicture:
        """Prepares a picture in memory.

        Args:
            image: A picture as returned by `gradcam_cli.pictures.reading.read_picture`.

        Raises:
            ImageError: The network takes bands that a picture doesn't have.
        """
        if self.takes_bands:
            raise ImageError(f"a picture has 3 channels, but the model takes {self.channels}")
        fit = fit_picture(image.size, self.fit, self.size, self.stride)
        return PreparedPicture(image, fit, fit.apply(to_channels(image, self.channels)))
