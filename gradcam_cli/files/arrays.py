"""Reads arrays of numbers from .npy and .json files, within bounds."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import IO, Any

import numpy as np

from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath, is_pipe_or_device, readable
from gradcam_cli.files.text import read_small_file

ARRAY_SUFFIXES = (".npy", ".json")
_MOST_JSON = 8
_LONGEST_HEADER = 4096
_NUMBERS = "biuf"


def read_array(path: AnyPath, most: int, downloads: Downloads | None = None) -> np.ndarray:
    """Reads an array of numbers.

    Args:
        path: A .npy file, or a .json file with one number, or a list of numbers or of equally
            long lists.
        most: The largest number of elements. A larger .npy file isn't read.
        downloads: Downloads it from a store; None for the default limits.

    Returns:
        The array, of any numeric or Boolean dtype.

    Raises:
        ValueError: The file contains something else, or too much.
        OSError: It can't be read.
        StorageError: Its store can't be reached.
    """
    if is_pipe_or_device(path):
        raise ValueError("it is a pipe or a device")
    content = readable(path, downloads)
    if path.suffix.lower() == ".json":
        return _from_json(content)
    if isinstance(content, Path):
        with open(content, "rb") as file:
            return _from_npy(file, most)
    return _from_npy(content, most)


def _from_npy(file: IO[bytes], most: int) -> np.ndarray:
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        raise ValueError("it is no .npy file") from None
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError("it is not an array of numbers")
    shape, _, dtype = read_header(file, max_header_size=_LONGEST_HEADER)
    if dtype.kind not in _NUMBERS:
        raise ValueError("it contains something other than numbers")
    if math.prod(shape) > most:
        raise ValueError(f"it has the shape {shape}")
    file.seek(0)
    array: np.ndarray = np.lib.format.read_array(
        file, allow_pickle=False, max_header_size=_LONGEST_HEADER
    )
    return array


def _from_json(content: Path | io.BytesIO) -> np.ndarray:
    if isinstance(content, Path):
        encoded = read_small_file(content, _MOST_JSON)
    else:
        encoded = content.getvalue()
    try:
        value: Any = json.loads(encoded.decode("utf-8-sig"))
        array = np.array(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if array.dtype.kind not in _NUMBERS:
        raise ValueError("it contains something other than numbers")
    return array
