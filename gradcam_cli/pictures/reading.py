"""Reads pictures of any common format as upright RGB."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from gradcam_cli.errors import ImageError, StorageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath, is_pipe_or_device, readable, to_path
from gradcam_cli.files.text import LFS_POINTER, is_lfs_pointer, starts_as_lfs_pointer
from gradcam_cli.runtime.stderr import without_library_messages

# Importing a plugin makes Pillow support its format. A file of several JPEGs is a JPEG.
_PLUGINS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    BmpImagePlugin.BmpImageFile,
    TiffImagePlugin.TiffImageFile,
    GifImagePlugin.GifImageFile,
)
_FORMATS = tuple(str(plugin.format) for plugin in _PLUGINS)
_MAXIMUM_16_BIT = 65535
_HALF = 127
_T = TypeVar("_T")
_WHITE = (255, 255, 255, 255)

# Without a handler, Python would print Pillow's log messages about files that it refuses.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_picture(path: str | AnyPath, downloads: Downloads | None = None) -> Image.Image:
    """Reads a picture, rotates it upright and converts it to RGB.

    Of an animation or a multi-page TIFF, the first frame is read. Transparent pixels are
    composited onto white; the original pixels are kept in ``info["rgba"]``, for networks that
    also take opacity. 16-bit grey is scaled to 8 bits. Integer and floating-point pictures are
    scaled from their minimum to their maximum.

    Args:
        path: A JPEG, PNG, WebP, BMP, TIFF or GIF file, or its URL.
        downloads: Downloads it from a URL; None for the default limits.

    Returns:
        An upright picture of mode "RGB", fully loaded. ``info["icc_profile"]`` has its ICC
        profile, if there is one and the file was RGB.

    Raises:
        ImageError: The file can't be read, isn't such a picture, is truncated, or has more
            pixels than Pillow considers safe (``2 * PIL.Image.MAX_IMAGE_PIXELS``).
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    profile: bytes | None = None
    rgba: Image.Image | None = None

    def convert(image: Image.Image) -> Image.Image:
        nonlocal profile, rgba
        is_rgb = image.mode in ("RGB", "RGBA", "P", "PA")
        profile = image.info.get("icc_profile") if is_rgb else None
        ImageOps.exif_transpose(image, in_place=True)
        rgba = image.convert("RGBA") if image.has_transparency_data else None
        return _to_rgb(image)

    picture = _read(path, convert, downloads)
    picture.info = {} if profile is None else {"icc_profile": profile}
    if rgba is not None:
        picture.info["rgba"] = rgba
    return picture


def read_mask(path: str | AnyPath) -> np.ndarray:
    """Reads a mask: a picture whose pixels count if they aren't zero.

    Of a palette, the indices count; of colours, any channel. Transparent pixels don't count. In a
    JPEG, which blurs edges, pixels count from half of the maximum on.

    Args:
        path: A picture file.

    Returns:
        (height, width) bool, upright.

    Raises:
        ImageError: As for `read_picture`.
    """

    def convert(image: Image.Image) -> np.ndarray:
        least = _HALF if image.format in ("JPEG", "MPO") else 0
        ImageOps.exif_transpose(image, in_place=True)
        opaque = np.ones(image.size[::-1], bool)
        if image.has_transparency_data:
            opaque = np.asarray(image.convert("RGBA"))[..., -1] > 0
        if image.mode in ("RGBA", "LA", "PA"):
            image = image.convert(image.mode[:-1])
        values = np.asarray(image)
        counts = values > least
        return (counts.any(axis=-1) if counts.ndim > 2 else counts) & opaque

    return _read(path, convert)


def _read(
    path: str | AnyPath, convert: Callable[[Image.Image], _T], downloads: Downloads | None = None
) -> _T:
    """Opens a picture, reads its first frame and converts it; see `read_picture`."""
    path = to_path(path)
    if is_pipe_or_device(path):
        raise ImageError(f"{path}: is a pipe or a device, not a picture")
    content: Path | io.BytesIO = io.BytesIO()
    try:
        content = readable(path, downloads)
        with warnings.catch_warnings():
            # Pillow warns of unusual metadata, and of large pictures well below the limit at
            # which it refuses them.
            warnings.simplefilter("ignore")
            with Image.open(content, formats=_FORMATS) as image:
                # libtiff prints messages about damage, which the errors below report too.
                is_tiff = image.format == "TIFF"
                with without_library_messages() if is_tiff else nullcontext():
                    image.load()
                return convert(image)
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: is a folder, not a picture") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except UnidentifiedImageError:
        if _is_pointer(content):
            raise ImageError(f"{path}: {LFS_POINTER}") from None
        raise ImageError(
            f"{path}: not a supported picture (JPEG, PNG, WebP, BMP, TIFF, GIF)"
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise ImageError(
            f"{path}: refused, it has more than {limit:.0f} million pixels; make it smaller first"
        ) from None
    except StorageError:
        raise
    # Pillow's decoders raise many kinds of errors for broken files.
    except Exception as error:
        raise ImageError(f"{path}: damaged or truncated ({error})") from error


def _is_pointer(content: Path | io.BytesIO) -> bool:
    if isinstance(content, Path):
        return starts_as_lfs_pointer(content)
    return is_lfs_pointer(content.getvalue())


def to_channels(picture: Image.Image, channels: int) -> Image.Image:
    """Converts a picture to the channels that a network takes.

    Args:
        picture: A picture as returned by `read_picture`.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and opacity).

    Returns:
        Mode "L", "RGB" or "RGBA".
    """
    if channels == 4:
        return picture.info.get("rgba") or picture.convert("RGBA")
    return picture.convert("L") if channels == 1 else picture


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey_to_rgb(np.asarray(image, np.float32) / _MAXIMUM_16_BIT)
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, np.float32))
        spread = float(values.max()) - float(values.min())
        return _grey_to_rgb((values - values.min()) / spread if spread else values * 0)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")
