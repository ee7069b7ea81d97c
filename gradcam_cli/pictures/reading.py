"""Reads pictures of any common format as upright RGB."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from enum import Enum
from itertools import count, islice
from pathlib import Path

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

from gradcam_cli.errors import DarkPictureWarning, FirstPictureWarning, GradcamError, ImageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import VOLUME_SUFFIXES, ending_of
from gradcam_cli.files.storage import AnyPath, is_pipe_or_device, readable, to_path
from gradcam_cli.files.text import LFS_POINTER, is_lfs_pointer, starts_as_lfs_pointer
from gradcam_cli.files.video_containers import VIDEO_SUFFIXES
from gradcam_cli.pictures.medical.dicom import (
    frame_count,
    is_dicom,
    read_dataset,
    read_dicom_picture,
)
from gradcam_cli.runtime.library_warnings import library_warnings_hidden
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
# Cameras and scanners of 12 bits often store their values as they are.
_MAXIMUM_12_BIT = 4095
_HALF = 127
_WHITE = (255, 255, 255, 255)
# TIFF 6.0, section 8: the tag that says what a page is, and two of its bits.
_NEW_SUBFILE_TYPE = 254
_SMALLER_COPY, _MASK = 1, 4
# Of TIFF and of BigTIFF, in both orders of bytes.
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Section 19: the tag that says what kind of number a sample is, and the kind with signs.
_SAMPLE_FORMAT, _SIGNED = 339, 2

# Without a handler, Python would print Pillow's log messages about files that it refuses.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class SeveralPicturesError(ImageError):
    """A file holds several pictures, but only one was asked for."""


class IfSeveral(Enum):
    """What to do with a file that holds several pictures."""

    TAKE_FIRST = "take the first"
    WARN = "take the first, and warn"
    REFUSE = "refuse"


def read_picture(
    path: str | AnyPath,
    downloads: Downloads | None = None,
    *,
    several: IfSeveral = IfSeveral.WARN,
    window: str | None = None,
) -> Image.Image:
    """Reads a picture, rotates it upright and converts it to RGB.

    Of an animation or a multi-page TIFF, the first picture is read. Transparent pixels are
    composited onto white; the original pixels are kept in ``info["rgba"]``, for networks that
    also take opacity. 16-bit grey is scaled to 8 bits. Integer and floating-point pictures are
    scaled from their minimum to their maximum, of which NaN and infinity are no part.

    Args:
        path: A JPEG, PNG, WebP, BMP, TIFF, GIF or DICOM file, or its URL.
        downloads: Downloads it from a URL; None for the default limits.
        several: What to do with a file of several pictures (see `holds_several`).
        window: Which values of a DICOM file are black and white; see
            `gradcam_cli.pictures.medical.windows.parse_window`.

    Returns:
        An upright picture of mode "RGB", fully loaded. ``info["icc_profile"]`` has its ICC
        profile, if there is one and the file was RGB.

    Raises:
        ImageError: The file can't be read, isn't such a picture, is truncated, or has more
            pixels than Pillow considers safe (``2 * PIL.Image.MAX_IMAGE_PIXELS``).
        MissingExtraError: It is a DICOM file, and pydicom isn't installed.
        SeveralPicturesError: It holds several pictures, which is refused.
        StorageError: Its store can't be reached, or it exceeds a download limit.

    Warns:
        FirstPictureWarning: It holds several pictures, of which the first is read.
        DarkPictureWarning: It has 16 bits and uses only the lowest 12 of them.
    """
    path = to_path(path)
    if is_dicom(path):
        dataset = read_dataset(path, downloads)
        _check_one(path, frame_count(dataset) > 1, several)
        return read_dicom_picture(dataset, path, window)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise ImageError(
            f"{path}: is a video, where pictures are expected; 'gradcam {path}' explains its frames"
        )
    if ending_of(path) in VOLUME_SUFFIXES:
        raise ImageError(
            f"{path}: is a volume, where pictures are expected; 'gradcam {path}' explains its "
            f"slices"
        )
    with (
        reading_errors(path),
        open_picture(path, content_of(path, downloads)) as image,
        messages_hidden(image),
    ):
        holds_more = several is not IfSeveral.TAKE_FIRST and holds_several(image)
        if several is IfSeveral.REFUSE:
            _check_one(path, holds_more, several)
        image.load()
        check_page(path, image)
        brightest = brightest_of(image)
        picture = to_picture(image)
    # Warnings are hidden while the file is open, because Pillow has many.
    _check_one(path, holds_more, several)
    warn_of_darkness(path, brightest)
    return picture


def _check_one(path: AnyPath, holds_more: bool, several: IfSeveral) -> None:
    """Refuses a file of several pictures or warns of it, as asked."""
    if not holds_more or several is IfSeveral.TAKE_FIRST:
        return
    if several is IfSeveral.REFUSE:
        raise SeveralPicturesError(f"{path}: holds several pictures, not one")
    warnings.warn(
        f"{path}: holds several pictures, of which only the first is used, as of all such files "
        f"here; 'gradcam {path}' explains all",
        FirstPictureWarning,
        stacklevel=3,
    )


def holds_several(image: Image.Image) -> bool:
    """Returns whether a file holds several pictures: frames of an animation, or pages.

    It hardly reads more of the file than opening it does. Smaller copies of a page and masks in a
    TIFF don't count, nor do the further pictures of a JPEG.

    Args:
        image: An open file, of which nothing has been loaded yet.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return False
    if isinstance(image, PngImagePlugin.PngImageFile) and image.default_image:
        # A picture for viewers that can't show the animation comes before it.
        return int(image.n_frames) > 2
    if image.format == "TIFF":
        has_several = len(list(islice(pages_of(image), 2))) > 1
        image.seek(0)
        return has_several
    return True


def pages_of(image: Image.Image) -> Iterator[int]:
    """Yields the numbers of a TIFF file's pages, without smaller copies of pages and masks.

    The file is then at that page. Afterwards it may be at any. A damaged page is the last: what
    follows it can't be found.

    Args:
        image: An open TIFF file.
    """
    for number in count():
        try:
            image.seek(number)
        except EOFError:
            return
        except Exception:
            yield number
            return
        kind = image.tag_v2.get(_NEW_SUBFILE_TYPE, 0)  # type: ignore[attr-defined]
        if number == 0 or not kind & (_SMALLER_COPY | _MASK):
            yield number


def check_page(path: AnyPath, image: Image.Image) -> None:
    """Refuses values that Pillow takes for others.

    Args:
        path: The file, for messages.
        image: A loaded picture, or the loaded page of a TIFF file.

    Raises:
        ImageError: They are bytes with signs, which would be read as those without.
    """
    if image.format == "TIFF" and image.mode == "L":
        kinds = image.tag_v2.get(_SAMPLE_FORMAT, ())  # type: ignore[attr-defined]
        if _SIGNED in kinds:
            raise ImageError(
                f"{path}: has values of 8 bits with signs, which can't be read; save it with "
                f"16 bits, or without signs"
            )


def brightest_of(image: Image.Image) -> int:
    """Returns the highest value of a picture of 16 bits; 0 for other pictures.

    Args:
        image: The loaded picture.
    """
    return int(np.asarray(image).max()) if image.mode.startswith("I;16") else 0


def warn_of_darkness(path: AnyPath, brightest: int) -> None:
    """Warns of a file of 16 bits that uses only the lowest 12 of them.

    Args:
        path: The file.
        brightest: The highest value in it; 0 if it is black or has other values.
    """
    if 0 < brightest <= _MAXIMUM_12_BIT:
        warnings.warn(
            f"{path}: its highest value is {brightest:,} of {_MAXIMUM_16_BIT:,}, so the network "
            f"gets it nearly black; multiply its values first, those of 12 bits by 16",
            DarkPictureWarning,
            stacklevel=3,
        )


def to_picture(image: Image.Image, limits: tuple[float, float] | None = None) -> Image.Image:
    """Converts what Pillow loaded to a picture as `read_picture` returns one.

    Args:
        image: The loaded picture, which is turned upright in place.
        limits: The values of integer and floating-point pictures that become black and white;
            None for the picture's minimum and maximum.
    """
    is_rgb = image.mode in ("RGB", "RGBA", "P", "PA")
    profile = image.info.get("icc_profile") if is_rgb else None
    ImageOps.exif_transpose(image, in_place=True)
    rgba = image.convert("RGBA") if image.has_transparency_data else None
    picture = _to_rgb(image, limits)
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
    path = to_path(path)
    with (
        reading_errors(path),
        open_picture(path, content_of(path)) as image,
        messages_hidden(image),
    ):
        image.load()
        least = _HALF if image.format in ("JPEG", "MPO") else 0
        ImageOps.exif_transpose(image, in_place=True)
        opaque = np.ones(image.size[::-1], bool)
        if image.has_transparency_data:
            opaque = np.asarray(image.convert("RGBA"))[..., -1] > 0
        has_opacity = image.mode in ("RGBA", "LA", "PA")
        values = np.asarray(image.convert(image.mode[:-1]) if has_opacity else image)
        counts = values > least
        return (counts.any(axis=-1) if counts.ndim > 2 else counts) & opaque


def content_of(path: AnyPath, downloads: Downloads | None = None) -> Path | io.BytesIO:
    """Returns a local file as it is, and the content of a file in a store.

    To be called within `reading_errors`.

    Args:
        path: The file.
        downloads: Downloads it from a URL; None for the default limits.

    Raises:
        ImageError: It is a pipe or a device.
        StorageError: As for `read_picture`.
        OSError: There is no such file, or it may not be read.
    """
    if is_pipe_or_device(path):
        raise ImageError(f"{path}: is a pipe or a device, not a picture")
    return readable(path, downloads)


def open_picture(path: AnyPath, content: Path | io.BytesIO) -> Image.Image:
    """Opens a picture file of one of the usual formats; nothing is loaded yet.

    To be called within `reading_errors`.

    Args:
        path: The file, for messages.
        content: What `content_of` returns for it.

    Raises:
        ImageError: It isn't such a file.
        Exception: Other errors of files and of Pillow.
    """
    try:
        return Image.open(content, formats=_FORMATS)
    except UnidentifiedImageError:
        if _is_pointer(content):
            raise ImageError(f"{path}: {LFS_POINTER}") from None
        if _starts_as_tiff(content):
            raise ImageError(
                f"{path}: a TIFF file of a kind that Pillow can't read, such as one of 64-bit "
                f"values; save it with 8 or 16 bits, or with 32 bits and one channel"
            ) from None
        raise ImageError(
            f"{path}: not a supported picture (JPEG, PNG, WebP, BMP, TIFF, GIF, DICOM)"
        ) from None


@contextlib.contextmanager
def reading_errors(path: AnyPath) -> Iterator[None]:
    """Turns all errors of reading a picture into one line, and hides warnings.

    Args:
        path: The file.

    Raises:
        ImageError: The file can't be read, is damaged, or has too many pixels.
        GradcamError: Errors of this package are passed on.
    """
    try:
        # Pillow warns of unusual metadata, and of large pictures well below the limit at which it
        # refuses them.
        with library_warnings_hidden():
            yield
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: is a folder, not a picture") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except Image.DecompressionBombError:
        raise too_many_pixels(path) from None
    except GradcamError:
        raise
    # Pillow's decoders raise many kinds of errors for broken files.
    except Exception as error:
        raise ImageError(f"{path}: damaged or truncated ({error})") from error


def messages_hidden(image: Image.Image) -> contextlib.AbstractContextManager[None]:
    """Hides what libtiff prints about damage, which errors report too.

    Args:
        image: An open file.
    """
    return without_library_messages() if image.format == "TIFF" else nullcontext()


def most_pixels() -> int:
    """Returns how many pixels a picture may have at most, as Pillow limits them."""
    return 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else sys.maxsize


def too_many_pixels(path: AnyPath) -> ImageError:
    """Makes the error for a picture with more pixels than are safe.

    Args:
        path: The file.
    """
    return ImageError(
        f"{path}: refused, it has more than {most_pixels() / 1e6:.0f} million pixels; make it "
        f"smaller first"
    )


def _is_pointer(content: Path | io.BytesIO) -> bool:
    if isinstance(content, Path):
        return starts_as_lfs_pointer(content)
    return is_lfs_pointer(content.getvalue())


def _starts_as_tiff(content: Path | io.BytesIO) -> bool:
    if not isinstance(content, Path):
        return content.getvalue().startswith(_TIFF_STARTS)
    with content.open("rb") as file:
        return file.read(len(_TIFF_STARTS[0])) in _TIFF_STARTS


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


def value_limits(image: Image.Image) -> tuple[float, float] | None:
    """Returns the limits of the values of an integer or floating-point picture; None for others.

    They are the minimum and the maximum of what is finite; without any, infinity and its negative.

    Args:
        image: The loaded picture.
    """
    if image.mode not in ("I", "F"):
        return None
    values = np.asarray(image, np.float32)
    is_known = np.isfinite(values)
    low = values.min(where=is_known, initial=np.inf)
    return float(low), float(values.max(where=is_known, initial=-np.inf))


def _to_rgb(image: Image.Image, limits: tuple[float, float] | None) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey_to_rgb(np.asarray(image, np.float32) / _MAXIMUM_16_BIT)
    if image.mode in ("I", "F"):
        values = np.asarray(image, np.float32)
        low, high = limits or value_limits(image) or (0.0, 0.0)
        if not low < high:
            return _grey_to_rgb(np.zeros(values.shape, np.float32))
        # What isn't known is black.
        values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
        return _grey_to_rgb(((values - low) / (high - low)).clip(0, 1))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image).convert("RGB")
    return image.convert("RGB")


def _grey_to_rgb(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")
