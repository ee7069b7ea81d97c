"""The picture that a caller gives: a file, a Pillow picture or an array."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gradcam_cli.files.storage import AnyPath, to_path
from gradcam_cli.pictures.reading import read_picture


def take_picture(
    given: str | AnyPath | Image.Image | np.ndarray,
) -> tuple[Image.Image, AnyPath | None]:
    """Returns a picture as "RGB", and its file.

    Args:
        given: A picture file or its URL, a Pillow picture, or an array (height, width, 3) uint8.

    Returns:
        The picture, and its file; None for the file of a picture in memory.

    Raises:
        ImageError: The file can't be read.
    """
    if isinstance(given, Image.Image):
        return given.convert("RGB"), None
    if isinstance(given, np.ndarray):
        return Image.fromarray(np.asarray(given, np.uint8)).convert("RGB"), None
    source = to_path(given)
    return read_picture(source), source
