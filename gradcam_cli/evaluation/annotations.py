"""Reads object annotations: Pascal VOC and ImageNet XML, COCO JSON, and masks."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from gradcam_cli.errors import AnnotationError, UnknownClassError, UsageError, reason
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import check_is_there
from gradcam_cli.files.text import read_small_file, read_small_text
from gradcam_cli.models.labels import Labels

# (left, top, right, bottom) in pixels of the picture; the first pixel spans 0 to 1.
Box = tuple[float, float, float, float]

_MASK_NAMES = ("{}.png", "{}_mask.png", "{}_segmentation.png")
# The outline of an object in Pascal VOC's masks: neither object nor background.
_VOID = 255
_LARGEST_DIFFERENCE = 0.02
# COCO's largest own file has 450 MB.
_COCO_MEGABYTES = 1000
_XML_MEGABYTES = 16
_LONGEST_SIDE = 1_000_000


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """An annotated object: its location and its class.

    Attributes:
        box: The box around the object.
        class_name: The name in the annotation; None for a mask.
        class_index: The model's class of that name; None if the model has none.
        mask: (height, width) bool, the object's pixels; None if only the box is known.
    """

    box: Box
    class_name: str | None = None
    class_index: int | None = None
    mask: np.ndarray | None = None

    def cover(self, size: tuple[int, int]) -> np.ndarray:
        """Marks the object's pixels: those of the mask, or those whose centre is in the box.

        Args:
            size: (height, width) of the picture.

        Returns:
            (height, width) bool.
        """
        if self.mask is not None:
            return self.mask
        rows, columns = (np.arange(length) + 0.5 for length in size)
        left, top, right, bottom = self.box
        return np.outer((rows >= top) & (rows < bottom), (columns >= left) & (columns < right))

    def distance(self, x: float, y: float) -> float:
        """Returns the distance of a point from the object in pixels; 0 for a point on it."""
        if self.mask is not None:
            rows, columns = np.nonzero(self.mask)
            beyond = np.hypot(
                np.maximum(np.abs(columns + 0.5 - x) - 0.5, 0),
                np.maximum(np.abs(rows + 0.5 - y) - 0.5, 0),
            )
            return float(beyond.min(initial=np.inf))
        left, top, right, bottom = self.box
        return float(np.hypot(max(left - x, 0, x - right), max(top - y, 0, y - bottom)))


class Annotations:
    """The objects in pictures, read from one COCO file or from a folder with one file each."""

    def __init__(self, path: Path, labels: Labels) -> None:
        """Opens the annotations and reads a COCO file completely.

        Args:
            path: A COCO .json file, or a folder. In a folder, the annotation of ``cat.jpg``
                is ``cat.xml`` (Pascal VOC or ImageNet) or a mask named ``cat.png``,
                ``cat_mask.png`` or ``cat_segmentation.png``. The files may be in the same
                subfolders as the pictures or directly in the folder. In a mask, 0 is
                background and every other value is object. In a mask with a palette, 255
                is the outline, as in Pascal VOC, and is ignored.
            labels: The model's classes. The annotations' names are matched to them by
                WordNet id or by the whole name.

        Raises:
            UsageError: The path doesn't exist, or the file isn't in COCO format.
        """
        self._path = path
        self._labels = labels
        self._indices: dict[str, int | None] = {}
        self._coco: dict[str, tuple[tuple[int, int], list[tuple[str, Box]]]] | None = None
        check_is_there("--annotations", path)
        if not path.is_dir():
            self._coco = _read_coco(path)

    def of(self, picture: InputPicture, size: tuple[int, int]) -> list[AnnotatedObject]:
        """Finds the objects of a picture.

        Args:
            picture: The picture.
            size: (width, height) of the picture in pixels. Boxes that were drawn in a larger
                or smaller copy are scaled to it.

        Returns:
            The objects, without those marked as difficult or as a crowd.

        Raises:
            AnnotationError: The picture has no annotation, or the annotation's aspect ratio
                doesn't fit the picture.
        """
        if self._coco is not None:
            keys = ((picture.folder / picture.path.name).as_posix(), picture.path.name)
            entry = next((self._coco[key] for key in keys if key in self._coco), None)
            if entry is None:
                raise AnnotationError(f"{picture.path}: not listed in {self._path}")
            return self._scale(picture, *entry, size)
        stem = picture.path.stem
        for folder in (self._path / picture.folder, self._path):
            path = folder / f"{stem}.xml"
            if path.is_file():
                return self._scale(picture, *_read_xml(path), size)
            for name in _MASK_NAMES:
                path = folder / name.format(stem)
                if path.is_file() and path.resolve() != picture.path.resolve():
                    return [_read_mask(path, size)]
        raise AnnotationError(
            f"{picture.path}: no {stem}.xml and no mask {stem}.png or {stem}_mask.png in "
            f"{self._path}"
        )

    def _scale(
        self,
        picture: InputPicture,
        drawn_in: tuple[int, int],
        boxes: list[tuple[str, Box]],
        size: tuple[int, int],
    ) -> list[AnnotatedObject]:
        horizontal = size[0] / drawn_in[0] if drawn_in[0] else 1.0
        vertical = size[1] / drawn_in[1] if drawn_in[1] else 1.0
        if abs(horizontal / vertical - 1) > _LARGEST_DIFFERENCE:
            raise AnnotationError(
                f"{picture.path}: is {size[0]}×{size[1]} px, but its annotation was made for "
                f"{drawn_in[0]}×{drawn_in[1]} px; rotate the picture's pixels upright first"
            )
        factors = np.array([horizontal, vertical, horizontal, vertical])
        objects = []
        for name, box in boxes:
            left, top, right, bottom = (float(value) for value in np.array(box) * factors)
            objects.append(
                AnnotatedObject((left, top, right, bottom), name, self._class_index(name))
            )
        if not objects:
            raise AnnotationError(f"{picture.path}: its annotation contains no object")
        return objects

    def _class_index(self, name: str) -> int | None:
        if name not in self._indices:
            try:
                # `find` would read a number as an index, but annotations contain names only.
                index = None if name.strip().isdigit() else self._labels.find(name, by_part=False)
            except UnknownClassError:
                index = None
            self._indices[name] = index
        return self._indices[name]


def _read_xml(path: Path) -> tuple[tuple[int, int], list[tuple[str, Box]]]:
    try:
        # Python's parser loads no external entities and limits their expansion.
        root = ET.fromstring(read_small_file(path, _XML_MEGABYTES))  # noqa: S314
        size = _size(root.findtext("size/width", "0"), root.findtext("size/height", "0"))
        boxes = []
        for element in root.iter("object"):
            if element.findtext("difficult", "0").strip() == "1":
                continue
            left, top, right, bottom = _numbers(
                element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")
            )
            # Both formats count pixels from 1, and the box includes the last pixel.
            boxes.append((element.findtext("name", ""), (left - 1, top - 1, right, bottom)))
    # An encoding that Python doesn't know raises a LookupError.
    except (OSError, ET.ParseError, ValueError, LookupError) as error:
        raise AnnotationError(f"{path}: not a Pascal VOC annotation ({reason(error)})") from error
    return size, boxes


def _size(width: Any, height: Any) -> tuple[int, int]:
    """Parses the size of the annotated picture; (0, 0) if the annotation doesn't give it."""
    size = int(width), int(height)
    if not all(0 <= side <= _LONGEST_SIDE for side in size):
        raise ValueError("the picture size is out of range")
    return size


def _numbers(values: Iterable[Any]) -> list[float]:
    numbers = [float("" if value is None else value) for value in values]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a box has a side that is not finite")
    return numbers


def _read_coco(path: Path) -> dict[str, tuple[tuple[int, int], list[tuple[str, Box]]]]:
    try:
        content = json.loads(read_small_text(path, _COCO_MEGABYTES, f"--annotations {path}"))
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        boxes: dict[int, list[tuple[str, Box]]] = defaultdict(list)
        for annotation in content["annotations"]:
            if annotation.get("iscrowd"):
                continue
            left, top, width, height = _numbers(annotation["bbox"])
            box = (left, top, left + width, top + height)
            boxes[annotation["image_id"]].append((names[annotation["category_id"]], box))
        return {
            Path(image["file_name"]).as_posix(): (
                _size(image.get("width", 0), image.get("height", 0)),
                boxes[image["id"]],
            )
            for image in content["images"]
        }
    # A file in another format fails in many ways, such as a list in place of an object.
    except Exception as error:
        raise UsageError(
            f"--annotations {path}: not in COCO format ({type(error).__name__}: {reason(error)})"
        ) from error


def _read_mask(path: Path, size: tuple[int, int]) -> AnnotatedObject:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            # The palette indices are the classes; the palette's colours have no meaning.
            plain = image if image.mode in ("P", "L", "1", "I;16", "I") else image.convert("L")
            plain = plain.convert("L") if plain.mode == "1" else plain
            values = np.asarray(plain.resize(size, Image.Resampling.NEAREST))
    # Pillow's decoders raise many kinds of errors for broken files.
    except Exception as error:
        raise AnnotationError(f"{path}: can't be read as a mask ({reason(error)})") from error
    mask = values > 0
    if plain.mode == "P":
        mask &= values != _VOID
    if not mask.any():
        raise AnnotationError(f"{path}: the mask is empty")
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    return AnnotatedObject(box, mask=mask)
