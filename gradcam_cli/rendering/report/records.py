"""The content of a report for one picture."""

from __future__ import annotations

import base64
import io
import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.fitting import Box, Placement

# Enough for the large view on common screens.
PREVIEW_SIDE = 960
_PREVIEW_QUALITY = 80
# Larger profiles belong to printers and scanners; a photograph's own is far smaller.
_LARGEST_PROFILE = 8192
_MAXIMUM_16_BIT = 32767


@dataclass(frozen=True)
class ReportMap:
    """A bare map, which the page colours and lays over the picture.

    Attributes:
        target: The explained class.
        method: The display name of the method.
        arguments: The arguments, besides the class, of the command that reproduces this map,
            quoted for a shell ("--method gradcam", "--layer conv").
        cells: (rows, columns) float32 in [0, 1], or in [-1, 1] if the maps are signed, before
            upsampling.
        placement: Its position on the preview.
        note: Why it shows nothing, a sentence; "" if it shows something.
        has_class: Whether the command that reproduces it needs the class.
        number: For an object of a detector, its number among the predictions of the picture; None
            for a class.
    """

    target: Prediction
    method: str
    arguments: Sequence[str]
    cells: np.ndarray
    placement: Placement
    note: str = ""
    has_class: bool = True
    number: int | None = None


@dataclass(frozen=True)
class ReportPicture:
    """The content of a report for one picture.

    Attributes:
        path: The file, as the user would write it.
        preview: The result of `make_preview`; None if the picture couldn't be explained.
        predictions: The most probable classes, or the objects of a detector. The page groups
            pictures by the first, or by all objects.
        maps: One for each class and method; the first is shown first.
        truth: The name of the true class; None if unknown.
        correct: Whether the first prediction is right; None if unknown.
        error: Why the picture couldn't be explained; None if it could.
        shown: The file of another input's picture, if that is shown; None for the same file.
        boxes: For a detector, the box of each prediction: left, top, right and bottom in pixels of
            the preview; empty for other networks.
        note: Why there is nothing to explain in it; empty if there is something.
    """

    path: str
    preview: Preview | None = None
    predictions: Sequence[Prediction] = ()
    maps: Sequence[ReportMap] = ()
    truth: str | None = None
    correct: bool | None = None
    error: str | None = None
    shown: str | None = None
    boxes: Sequence[Box] = ()
    note: str = ""


@dataclass(frozen=True)
class Preview:
    """A picture reduced to screen size.

    Attributes:
        data: A WebP file.
        size: (width, height) in pixels.
    """

    data: bytes = field(repr=False)
    size: tuple[int, int]


def make_preview(picture: Image.Image, side: int = PREVIEW_SIDE) -> Preview:
    """Reduces a picture to screen size and encodes it.

    Args:
        picture: Mode "RGB".
        side: The length of the longer side after reduction, in pixels.
    """
    scale = min(1.0, side / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    profile = picture.info.get("icc_profile")
    if profile is not None and len(profile) > _LARGEST_PROFILE:
        profile = None
    reduced = picture if scale == 1 else picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    reduced.save(buffer, "WEBP", quality=_PREVIEW_QUALITY, method=3, icc_profile=profile)
    return Preview(buffer.getvalue(), size)


def picture_record(picture: ReportPicture) -> dict[str, Any]:
    """Converts a picture to the record that the page's script reads, without its preview."""
    record: dict[str, Any] = {
        "path": picture.shown or picture.path,
        "argument": _quote(_as_path(picture.path)),
    }
    if picture.error is not None:
        return record | {"error": picture.error}
    if picture.note:
        return record | {"note": picture.note}
    assert picture.preview is not None
    record["size"] = picture.preview.size
    record["predictions"] = [class_record(prediction) for prediction in picture.predictions]
    for number, box in enumerate(picture.boxes):
        record["predictions"][number] |= {
            "object": number,
            "box": [round(edge, 1) for edge in box],
        }
    record["maps"] = [_map_record(entry) for entry in picture.maps]
    if picture.truth is not None:
        record["truth"] = picture.truth
    if picture.correct is not None:
        record["correct"] = picture.correct
    return record


def _as_path(path: str) -> str:
    """Prefixes a file name with a leading dash, so that no command reads it as an option."""
    return f"./{path}" if path.startswith("-") else path


def _quote(path: str) -> str:
    """Quotes a file name so that pasting it into a terminal is safe."""
    if path.isprintable():
        return shlex.quote(path)
    # Bash and zsh decode these escapes. A raw control character could end the paste and run
    # what follows.
    return "$'" + "".join(map(_escape, path)) + "'"


def _escape(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    byte = os.fsencode(character) if "\udc80" <= character <= "\udcff" else b""
    return f"\\x{byte.hex()}" if byte else f"\\U{ord(character):08x}"


def class_record(entry: Prediction) -> dict[str, Any]:
    """Converts a class or an output to the record that the scripts of pages read."""
    record: dict[str, Any] = {"name": entry.name, "p": entry.rounded}
    if entry.is_value:
        # JSON has no infinite numbers.
        finite = entry.rounded if math.isfinite(entry.probability) else None
        record |= {"p": finite, "text": entry.text}
    if entry.is_share:
        record["share"] = True
    if entry.joined:
        # Classes that are explained together are none of the predictions.
        return record | {"index": entry.numbers}
    record["index"] = entry.index
    return record if entry.wnid is None else record | {"wnid": entry.wnid}


def _map_record(entry: ReportMap) -> dict[str, Any]:
    target = class_record(entry.target)
    if entry.number is not None:
        target["object"] = entry.number
    return cells_record(entry.cells, entry.placement) | {
        "target": target,
        "classes": (entry.target.joined or [entry.target.index]) if entry.has_class else [],
        "note": entry.note,
        "method": entry.method,
        "arguments": list(entry.arguments),
    }


def cells_record(cells: np.ndarray, placement: Placement) -> dict[str, Any]:
    """Converts a bare map to the record that the scripts of pages draw.

    Args:
        cells: (rows, columns) float32 in [-1, 1].
        placement: Its position on the picture.
    """
    numbers = np.rint(np.clip(cells, -1, 1) * _MAXIMUM_16_BIT).astype("<i2")
    (top, bottom), (left, right) = placement.margins
    return {
        "rows": numbers.shape[0],
        "columns": numbers.shape[1],
        "cells": base64.b64encode(numbers.tobytes()).decode(),
        "position": placement.position,
        "size": placement.size,
        "margins": [top, bottom, left, right],
        "box": placement.box,
    }
