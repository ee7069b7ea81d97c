"""Reads a picture of any common kind as upright RGB."""

from __future__ import annotations

import logging
import warnings
from contextlib import nullcontext

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
from gradcam_cli.runtime.stderr import without_library_messages

# Pillow knows a format once its plugin is imported; several JPEGs in a file count as one.
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
_WHITE = (255, 255, 255, 255)

# Without a handler Python would print what Pillow logs of files that it refuses.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_picture(path: str | AnyPath, downloads: Downloads | None = None) -> Image.Image:
    """Reads a picture, turned upright and converted to RGB.

    Its pixels before transparency is laid on white are kept in ``info["rgba"]``, for
    networks that see opacity too.

    The first frame of an animation or of a multi-page TIFF is taken; transparent pixels
    are laid on white; 16-bit grey is scaled to 8 bits; integer and floating-point
    pictures are scaled from their minimum to their maximum.

    Args:
        path: A JPEG, PNG, WebP, BMP, TIFF or GIF file, or its URL.
        downloads: What fetches it from a URL; None for the usual limits.

    Returns:
        An upright picture of mode "RGB", fully loaded, with its ICC profile (if any, and
        if the file was RGB) in ``info["icc_profile"]``.

    Raises:
        ImageError: The file can't be read, is no such picture, is cut short, or has more
            pixels than Pillow holds to be safe (``2 * PIL.Image.MAX_IMAGE_PIXELS``).
        StorageError: The store that it is in can't be reached, or sends too much or too slowly.
    """
    path = to_path(path)
    if is_pipe_or_device(path):
        raise ImageError(f"{path}: is a pipe or a device, not a picture")
    try:
        with warnings.catch_warnings():
            # Pillow warns of oddities in metadata, and of large pictures well before the
            # limit where it refuses them.
            warnings.simplefilter("ignore")
            with Image.open(readable(path, downloads), formats=_FORMATS) as image:
                # libtiff tells of what is damaged, and so do the errors below.
                is_tiff = image.format == "TIFF"
                with without_library_messages() if is_tiff else nullcontext():
                    image.load()
                is_rgb = image.mode in ("RGB", "RGBA", "P", "PA")
                profile = image.info.get("icc_profile") if is_rgb else None
                ImageOps.exif_transpose(image, in_place=True)
                picture = _to_rgb(image)
                rgba = image.convert("RGBA") if image.has_transparency_data else None
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: is a folder, not a picture") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{path}: not a picture that can be read (JPEG, PNG, WebP, BMP, TIFF, GIF)"
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise ImageError(
            f"{path}: refused, it has more than {limit:.0f} million pixels; make it smaller first"
        ) from None
    except StorageError:
        raise
    # Broken files make Pillow's decoders fail in many ways.
    except Exception as error:
        raise ImageError(f"{path}: damaged or cut short ({error})") from error
    picture.info = {} if profile is None else {"icc_profile": profile}
    if rgba is not None:
        picture.info["rgba"] = rgba
    return picture


def to_channels(picture: Image.Image, channels: int) -> Image.Image:
    """Converts a picture to what a network sees.

    Args:
        picture: As `read_picture` returns it.
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
