"""Arrays of numbers as pictures: rows, columns and any number of channels."""

from __future__ import annotations

import warnings

import numpy as np
from PIL import Image

from gradcam_cli.errors import GradcamWarning, ImageError, StorageError
from gradcam_cli.files.arrays import read_array
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath

MAXIMUM = 255
# The darkest and the brightest of this part of the values are shown as black and as white.
_SHOWN_PERCENTILES = (2.0, 98.0)
_COLORS = 3
# A gigabyte as float32.
MOST_VALUES = 250_000_000
# More values say no more about percentiles.
_ENOUGH = 1_000_000


def read_numbers(path: AnyPath, downloads: Downloads | None = None) -> np.ndarray:
    """Reads the array of a .npy file.

    Args:
        path: The file.
        downloads: Downloads it from a store; None for the default limits.

    Returns:
        The array, of a numeric dtype or bool, with at least one value and at most `MOST_VALUES`.

    Raises:
        ImageError: The file can't be read, or contains something else.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    try:
        array = read_array(path, MOST_VALUES, downloads)
    except StorageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"{path}: is no array of numbers that can be read: {error}") from error
    if array.size == 0:
        raise ImageError(f"{path}: is an empty array, of the shape {array.shape}")
    return array


def to_bands(path: AnyPath, array: np.ndarray, channels: int) -> np.ndarray:
    """Arranges an array as a picture with the channels that a network takes.

    The channels may be the first axis if their number fits only there. A warning says so.

    Args:
        path: The file, for messages.
        array: (height, width, channels) or (channels, height, width), or without channels.
        channels: The number that the network takes.

    Returns:
        (height, width, channels), a view.

    Raises:
        ImageError: The array has other channels, or isn't a picture.
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise ImageError(
            f"{path}: has the shape {array.shape}, but the model takes pictures, "
            f"(rows, columns, {channels} channels)"
        )
    if array.shape[-1] == channels:
        return array
    if array.shape[0] == channels:
        warnings.warn(
            f"{path}: the first axis of its shape {array.shape} was taken for the {channels} "
            f"channels",
            GradcamWarning,
            stacklevel=2,
        )
        return np.moveaxis(array, 0, -1)
    found = f"{array.shape[-1]} channel{'s' * (array.shape[-1] != 1)}"
    raise ImageError(
        f"{path}: has {found}, but the model takes {channels} (the array has the shape "
        f"{array.shape})"
    )


def check_values(path: AnyPath, values: np.ndarray) -> None:
    """Refuses values that aren't clearly those of a picture, from 0 to 255.

    Args:
        path: The file, for messages.
        values: An array of any numeric dtype.

    Raises:
        ImageError: They are something else, or it isn't clear what.
    """
    if values.dtype == np.uint8:
        return
    low, high = float(values.min()), float(values.max())
    fed = "if the model takes them as they are, add --preprocess none"
    if not (low >= 0 and high <= MAXIMUM):
        raise ImageError(f"{path}: has values from {low:g} to {high:g}, not from 0 to 255; {fed}")
    if high <= 1 and values.dtype.kind != "u":
        raise ImageError(
            f"{path}: has values from {low:g} to {high:g}, and pictures go up to 255; multiply "
            f"them by 255, or {fed}"
        )


def warn_of_gaps(path: AnyPath, values: np.ndarray) -> None:
    """Warns of values that aren't finite: many networks answer to them as if they were evidence.

    Args:
        path: The file, for messages.
        values: An array of any numeric dtype.
    """
    if values.dtype.kind != "f":
        return
    gaps = values.size - int(np.count_nonzero(np.isfinite(values)))
    if gaps:
        warnings.warn(
            f"{path}: {gaps:,} of its {values.size:,} values are NaN or infinite, and the model "
            f"gets them as they are, so that its answer may mean nothing; replace them first",
            GradcamWarning,
            stacklevel=2,
        )


def show_bands(values: np.ndarray) -> Image.Image:
    """Makes a picture for people of an array with any number of channels.

    Bytes with 1, 3 or 4 channels are shown as they are. Otherwise the first three channels become
    red, green and blue, or the first one becomes grey if there are only two. Each is scaled from
    its 2nd to its 98th percentile.

    Args:
        values: (height, width, channels), any numeric dtype.

    Returns:
        Mode "RGB".
    """
    channels = values.shape[-1]
    if values.dtype == np.uint8 and channels in (1, 3, 4):
        shown = values[..., :_COLORS]
    else:
        number = _COLORS if channels >= _COLORS else 1
        shown = np.stack([_scaled(values[..., band]) for band in range(number)], axis=-1)
    return Image.fromarray(
        np.ascontiguousarray(np.broadcast_to(shown, (*shown.shape[:2], _COLORS)))
    )


def _scaled(band: np.ndarray) -> np.ndarray:
    """Scales a channel to bytes."""
    known = band[np.isfinite(band)]
    if not known.size:
        return np.zeros(band.shape, np.uint8)
    some = known[:: max(1, known.size // _ENOUGH)].astype(np.float64)
    low, high = np.percentile(some, _SHOWN_PERCENTILES)
    if high <= low:
        low, high = float(known.min()), float(known.max())
    spread = high - low or 1.0
    finite = np.nan_to_num(band.astype(np.float64), nan=low, posinf=high, neginf=low)
    scaled: np.ndarray = np.rint(((finite - low) / spread).clip(0, 1) * MAXIMUM).astype(np.uint8)
    return scaled
