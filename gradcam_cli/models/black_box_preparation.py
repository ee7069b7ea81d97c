"""Finds the preprocessing of models that other libraries run: what their files say about it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_cli.errors import ModelFileError
from gradcam_cli.models.containers import read_json
from gradcam_cli.models.hub import StoredPreparation
from gradcam_cli.models.input_start import Arithmetic
from gradcam_cli.models.preprocessing import OF_BANDS, Preprocessing, family_preprocessing
from gradcam_cli.networks.inputs import PICTURE_CHANNELS

_SET_IT = "set it with --preprocess"
# As ``Preprocessing`` names what a network takes, with the lowest and the highest value. Those of
# "torch" are (0 - mean) / deviation and (1 - mean) / deviation of ImageNet's channels.
_RANGES = {"0-1": (0.0, 1.0), "-1-1": (-1.0, 1.0), "torch": (-2.12, 2.64), "none": (0.0, 255.0)}
# How far a range may be from these, as a part of its length: it is measured on some pictures.
_TOLERANCE = 0.15
# ImageNet's means in the order blue, green, red.
_CAFFE = np.array([103.939, 116.779, 123.68])
_SMALL = 0.1
_HALF = 0.5
_PIXEL = 2.0
# Values from 0 to 1 move the outputs of a trained first layer by 1 and more. If the network gets
# pixels and divides by 255, converters merge this into the weights.
_LEAST_REACH = 0.2
_PROCESSOR, _CONFIG = "preprocessor_config.json", "config.json"
_PIXELS = 255.0
# What Ultralytics makes networks for that take the whole picture with borders.
_LETTERBOXED = ("detect", "segment", "pose", "obb")
_SIZE = re.compile(r"\[(\d{1,4}), (\d{1,4})\]")
_LONGEST = 10_000_000
_AZURE_RANGES = {
    "NominalRange_0_255": "none",
    "Normalized_0_1": "0-1",
    "Normalized_1_1": "-1-1",
}


@dataclass(frozen=True)
class FoundPreparation:
    """What was found out about the inputs of a model.

    Attributes:
        stored: The preprocessing.
        is_reversed: Whether its channels are blue, green, red.
        names: The names of the classes; empty if the file has none.
    """

    stored: StoredPreparation
    is_reversed: bool = False
    names: tuple[str, ...] = ()


def find_preparation(
    path: Path,
    *,
    channels: int | None,
    channels_first: bool,
    arithmetic: Arithmetic | None = None,
    quantized: tuple[float, float] | None = None,
    takes_pixels: bool = False,
    metadata: Mapping[str, str] | None = None,
    names: Iterable[str] = (),
    reach: float | None = None,
) -> FoundPreparation:
    """Finds the preprocessing of a model; if nothing says it, a guess.

    Args:
        path: The model's file. A preprocessor of the library transformers beside it is read.
        channels: The number of channels of its input.
        channels_first: Whether these come before the rows and columns, as in PyTorch.
        arithmetic: What it computes first.
        quantized: The (lowest, highest) value that its quantized input can hold.
        takes_pixels: Whether its input holds whole numbers that aren't quantized.
        metadata: What the program that exported it wrote into it.
        names: Parts of the names of its operations.
        reach: How far values from 0 to 1 can move the outputs of its first layer; None if unknown.
    """
    metadata = metadata or {}
    of_classes = _class_names(metadata.get("names", ""))
    beside = _read_beside(path)
    is_reversed = metadata.get("Image.BitmapPixelFormat", "").startswith("Bgr")
    if arithmetic is not None:
        is_reversed = is_reversed or _is_caffe(arithmetic)
    preparation = beside.stored if beside is not None else None
    if preparation is None:
        mode, reason = (
            _by_metadata(metadata)
            or _by_arithmetic(arithmetic)
            or (("none", "its input takes whole numbers") if takes_pixels else None)
            or _by_range(quantized)
            or _by_reach(reach)
            or _by_names(names, channels)
            or _guess(channels, channels_first)
        )
        fit = "pad" if metadata.get("task") in _LETTERBOXED or _is_yolov5(metadata) else "squash"
        preparation = StoredPreparation(
            _size_in(metadata.get("imgsz", "")), fit, Preprocessing(mode, reason)
        )
    return FoundPreparation(
        preparation, is_reversed, of_classes or (beside.names if beside is not None else ())
    )


def _by_metadata(metadata: Mapping[str, str]) -> tuple[str, str] | None:
    if "ultralytics" in metadata.get("author", "").casefold():
        return "0-1", "as Ultralytics exports models"
    if _is_yolov5(metadata):
        return "0-1", "as YOLOv5 exports models"
    mode = _AZURE_RANGES.get(metadata.get("Image.NominalPixelRange", ""))
    return None if mode is None else (mode, "its metadata says so")


def _is_yolov5(metadata: Mapping[str, str]) -> bool:
    return {"stride", "names"} <= metadata.keys() and "task" not in metadata


def _size_in(text: str) -> tuple[int, int] | None:
    """Reads the (height, width) of inputs as Ultralytics writes it: "[640, 640]"."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    height, width = (int(side) for side in found.groups())
    return (height, width) if min(height, width) > 0 else None


def _by_arithmetic(arithmetic: Arithmetic | None) -> tuple[str, str] | None:
    """Finds what a model takes from what it subtracts and divides by itself."""
    if arithmetic is None or not arithmetic.scale.all():
        return None
    centre = float(np.mean(-arithmetic.offset / arithmetic.scale))
    size = float(np.abs(arithmetic.scale).max())
    if arithmetic.by_statistics:
        return _by_statistics(centre, 1 / size)
    if size <= _SMALL or centre >= _PIXEL:
        return "none", "the model rescales its input itself"
    if (
        size >= _HALF
        and -_SMALL <= centre <= 1 + _SMALL
        and not (np.allclose(arithmetic.scale, 1) and np.allclose(arithmetic.offset, 0))
    ):
        return "0-1", "the model normalizes values from 0 to 1 itself"
    return None


def _by_statistics(mean: float, deviation: float) -> tuple[str, str] | None:
    """Finds what a model was trained with, given what its first normalization measured."""
    mode = None
    if mean > _PIXEL:
        mode = "none"
    elif mean > 2 * _SMALL and deviation < _HALF:
        mode = "0-1"
    elif abs(mean) < _HALF and deviation > 0.75:
        mode = "torch"
    if mode is None:
        return None
    return mode, f"a guess: its first normalization measured this range; {_SET_IT}"


def _by_range(quantized: tuple[float, float] | None) -> tuple[str, str] | None:
    if quantized is None:
        return None
    for mode, wanted in _RANGES.items():
        allowed = _TOLERANCE * (wanted[1] - wanted[0])
        if np.abs(np.subtract(quantized, wanted)).max() <= allowed:
            lowest, highest = quantized
            return mode, f"its quantized input holds {lowest:.3g} to {highest:.3g}"
    return None


def _by_reach(reach: float | None) -> tuple[str, str] | None:
    if reach is None or reach >= _LEAST_REACH:
        return None
    return "none", f"a guess: the weights of its first layer suit values up to 255; {_SET_IT}"


def _by_names(names: Iterable[str], channels: int | None) -> tuple[str, str] | None:
    found = family_preprocessing(set(names)) if channels == 3 else None
    return None if found is None else (found.mode, found.reason)


def _guess(channels: int | None, channels_first: bool) -> tuple[str, str]:
    if channels_first and channels == 3:
        return "torch", f"a guess: it has the channels first, as in PyTorch; {_SET_IT}"
    if channels is not None and channels not in PICTURE_CHANNELS:
        return "none", OF_BANDS
    return "0-1", f"a guess: the model gives no hint; {_SET_IT}"


def _is_caffe(arithmetic: Arithmetic) -> bool:
    if arithmetic.offset.size != len(_CAFFE) or not arithmetic.scale.all():
        return False
    return bool(np.abs(-arithmetic.offset / arithmetic.scale - _CAFFE).max() < 1)


def _class_names(text: str) -> tuple[str, ...]:
    """Reads names as Ultralytics writes them: "{0: 'cat', 1: 'dog'}"."""
    if not text.startswith("{") or len(text) > _LONGEST:
        return ()
    try:
        return _in_order(ast.literal_eval(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()


def _in_order(names: Any) -> tuple[str, ...]:
    """Returns the names of a map from indices, which may be texts; empty if one is missing."""
    if not isinstance(names, dict):
        return ()
    try:
        known = {int(index): str(name) for index, name in names.items()}
    except (ValueError, TypeError):
        return ()
    if sorted(known) != list(range(len(names))):
        return ()
    return tuple(known[index] for index in range(len(known)))


def _read_beside(path: Path) -> FoundPreparation | None:
    """Reads the preprocessor that the library transformers writes beside a model, or above it."""
    folders = [path.parent]
    if path.parent.name == "onnx":
        folders.append(path.parent.parent)
    for folder in folders:
        if not (folder / _PROCESSOR).is_file():
            continue
        try:
            config = read_json(folder / _PROCESSOR)
            names: tuple[str, ...] = ()
            if (folder / _CONFIG).is_file():
                model = read_json(folder / _CONFIG)
                names = _in_order(model.get("id2label")) if isinstance(model, dict) else ()
            stored = _of_processor(config)
        except (ModelFileError, ValueError, TypeError, json.JSONDecodeError):
            continue
        return FoundPreparation(stored, names=names)
    return None


def _of_processor(config: Any) -> StoredPreparation:
    """Reads the arithmetic of an image processor.

    Raises:
        ValueError: It isn't one, like the next.
        TypeError: See above.
    """
    if not isinstance(config, dict) or "image_mean" not in config:
        raise ValueError("no image processor")
    factor = float(config.get("rescale_factor", 1 / _PIXELS)) if config.get("do_rescale", 1) else 1
    mean, deviation = np.zeros(1), np.ones(1)
    if config.get("do_normalize", True):
        mean = np.asarray(config["image_mean"], np.float64).reshape(-1)
        deviation = np.asarray(config["image_std"], np.float64).reshape(-1)
    if mean.shape != deviation.shape or not deviation.all() or not np.isfinite(mean).all():
        raise ValueError("no means and deviations")
    scale, offset = factor / deviation, -mean / deviation
    reason = f"as {_PROCESSOR} beside it says"
    return StoredPreparation(
        _size_of(config),
        "squash",
        Preprocessing("scaled", reason, tuple(scale.tolist()), tuple(offset.tolist())),
    )


def _size_of(config: Mapping[str, Any]) -> tuple[int, int] | None:
    size = config.get("crop_size" if config.get("do_center_crop") else "size")
    if isinstance(size, int):
        return size, size
    if isinstance(size, dict) and "height" in size and "width" in size:
        return int(size["height"]), int(size["width"])
    if isinstance(size, dict) and "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    return None
