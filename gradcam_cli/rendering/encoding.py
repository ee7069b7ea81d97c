"""Encodes what is drawn in the format that the user wants."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from gradcam_cli.files.marks import Mark
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.rendering.png import encode_png

# "png" keeps every pixel; the others take a tenth of its room.
PICTURE_FORMATS = ("png", "jpg", "webp")
DEFAULT_FORMAT = "png"
_OTHER_ENDINGS = {".jpg": "jpg", ".jpeg": "jpg", ".webp": "webp"}
_PILLOW_NAMES = {"jpg": "JPEG", "webp": "WEBP"}
_QUALITY = 90
# From 0 to 6; files get hardly smaller from here on, but take three times as long.
_WEBP_EFFORT = 2


def encode_picture(
    image: Image.Image,
    format_: str = DEFAULT_FORMAT,
    mark: Mark | None = None,
    icc_profile: bytes | None = None,
) -> bytes:
    """Encodes an overlay or another drawing on a photograph.

    Args:
        image: Mode "RGB".
        format_: One of `PICTURE_FORMATS`.
        mark: Where it comes from.
        icc_profile: The colour profile of the photograph.

    Returns:
        The file.

    Raises:
        OSError: The format holds no picture of this size.
        ValueError: Likewise.
    """
    if format_ == "png":
        texts = [] if mark is None else mark.png.chunks
        return encode_png(image, [chunk[:2] for chunk in texts], icc_profile)
    options: dict[str, Any] = {"quality": _QUALITY, "exif": b"" if mark is None else mark.exif}
    if format_ == "webp":
        options["method"] = _WEBP_EFFORT
    buffer = io.BytesIO()
    image.save(buffer, _PILLOW_NAMES[format_], icc_profile=icc_profile, **options)
    return buffer.getvalue()


def format_for(path: AnyPath) -> str:
    """Chooses a format by the ending of a file's name: PNG unless it says otherwise."""
    return _OTHER_ENDINGS.get(path.suffix.lower(), DEFAULT_FORMAT)
