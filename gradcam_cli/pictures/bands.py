"""Reads pictures whose channels aren't those of ordinary files: .npy and multi-band TIFF."""

from __future__ import annotations

import io
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_cli.errors import ImageError, StorageError, reason
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import ARRAY_SUFFIX
from gradcam_cli.files.storage import AnyPath, is_pipe_or_device, readable, to_path
from gradcam_cli.pictures.arrays import MOST_VALUES, read_numbers
from gradcam_cli.runtime.extras import import_extra

TIFF_SUFFIXES = (".tif", ".tiff")
_MOST_PAGES = 1024
_NUMBERS = "biuf"
# As tifffile names the axes of a page: samples, rows and columns.
_BANDS_FIRST = "SYX"


def read_bands(
    path: str | AnyPath, channels: int, downloads: Downloads | None = None
) -> np.ndarray:
    """Reads the values of a picture with any number of channels.

    A TIFF file has its channels in one page, or one in each of its pages.

    Args:
        path: A .npy or TIFF file.
        channels: The number of channels that the network takes.
        downloads: Downloads it from a store; None for the default limits.

    Returns:
        (height, width, bands), with the values of the file; a .npy file may also have other
        shapes.

    Raises:
        ImageError: The file can't be read, or it is of another kind.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    path = to_path(path)
    suffix = path.suffix.lower()
    if suffix == ARRAY_SUFFIX:
        return read_numbers(path, downloads)
    if suffix not in TIFF_SUFFIXES:
        raise ImageError(
            f"{path}: the model takes {channels} channels, which only .npy and TIFF files have"
        )
    return _read_tiff(path, downloads)


def _read_tiff(path: AnyPath, downloads: Downloads | None) -> np.ndarray:
    tifffile = import_extra("tifffile", "bands", str(path))
    # Damage is reported below, in one line.
    logging.getLogger("tifffile").disabled = True
    if is_pipe_or_device(path):
        raise ImageError(f"{path}: is a pipe or a device, not a picture")
    try:
        content: Path | io.BytesIO = readable(path, downloads)
        # A file may name others as its parts, which nobody asked for.
        with tifffile.TiffFile(content, _multifile=False) as tiff:
            return _values_of(path, tiff)
    except (StorageError, ImageError):
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    # Broken files raise many kinds of errors.
    except Exception as error:
        raise ImageError(f"{path}: damaged, or not a TIFF file ({reason(error)})") from error


def _values_of(path: AnyPath, tiff: Any) -> np.ndarray:
    first = tiff.pages.first
    pages = [first]
    if _bands_of(first) == 1:
        for number, page in enumerate(tiff.pages):
            if number >= _MOST_PAGES:
                raise ImageError(f"{path}: refused, it has more than {_MOST_PAGES} pages")
            # Smaller ones are overviews of the first.
            if number and page.shape == first.shape and page.dtype == first.dtype:
                pages.append(page)
    size = math.prod(first.shape) * len(pages)
    if size > MOST_VALUES:
        raise ImageError(
            f"{path}: refused, it has more than {MOST_VALUES / 1e6:.0f} million values; make it "
            f"smaller first"
        )
    if first.dtype is None or first.dtype.kind not in _NUMBERS:
        raise ImageError(f"{path}: contains something other than numbers")
    found = [page.asarray(maxworkers=1) for page in pages]
    if len(found) > 1:
        return np.stack(found, axis=-1)
    (values,) = found
    return np.moveaxis(values, 0, -1) if first.axes == _BANDS_FIRST else values


def _bands_of(page: Any) -> int:
    """Returns the number of bands in a page."""
    shape: int = page.samplesperpixel
    if len(page.shape) > 3:
        raise ValueError(f"its first page has {len(page.shape)} axes")
    return shape
