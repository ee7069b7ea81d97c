"""Reads files of annotations in COCO's form."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from gradcam_cli.errors import UsageError, reason
from gradcam_cli.evaluation.annotated_shapes import Runs, finite_numbers, read_segmentation
from gradcam_cli.evaluation.drawn_objects import DrawnObject, DrawnPicture, read_size
from gradcam_cli.files.text import read_small_text

# COCO's largest own file has 450 MB.
_MEGABYTES = 1000


class CocoFile:
    """The annotated pictures of a file, found by their names."""

    def __init__(self, path: Path) -> None:
        """Reads the file completely.

        Raises:
            UsageError: It isn't in COCO's form. Damage to the annotations of one picture is
                told only when that picture is looked up.
        """
        self.path = path
        try:
            content = json.loads(read_small_text(path, _MEGABYTES, f"--annotations {path}"))
            names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
            entries = defaultdict(list)
            for entry in content["annotations"]:
                entries[entry["image_id"]].append(entry)
            self._pictures: dict[str, DrawnPicture] = {}
            self._by_name: dict[str, list[str]] = defaultdict(list)
            for image in content["images"]:
                place = Path(str(image["file_name"]).replace("\\", "/")).as_posix()
                drawn = _read_picture(image, entries[image["id"]], names)
                if place in self._pictures:
                    drawn = _join(place, self._pictures[place], drawn)
                else:
                    self._by_name[place.rpartition("/")[2]].append(place)
                self._pictures[place] = drawn
        # A file in another format fails in many ways, such as a list in place of an object.
        except Exception as error:
            raise UsageError(
                f"--annotations {path}: not in COCO format "
                f"({type(error).__name__}: {reason(error)})"
            ) from error

    def find(self, place: str) -> DrawnPicture | None:
        """Finds the annotations of a picture.

        Args:
            place: The path of the picture relative to the folder that the user named. It may
                begin with folders that the file leaves out, or the other way round.

        Returns:
            The annotations; None if the picture isn't listed.

        Raises:
            ValueError: Several listed pictures may be meant.
        """
        if place in self._pictures:
            return self._pictures[place]
        listed = [
            other
            for other in self._by_name.get(place.rpartition("/")[2], [])
            if f"/{other}".endswith(f"/{place}") or f"/{place}".endswith(f"/{other}")
        ]
        if len(listed) > 1:
            raise ValueError(f"it lists several of this name: {listed[0]}, {listed[1]}")
        return self._pictures[listed[0]] if listed else None


def find_coco_file(folder: Path) -> Path | None:
    """Finds the file of annotations in a folder with COCO's layout.

    Args:
        folder: The folder, which holds ``instances_NAME.json`` (COCO) or
            ``NAME.coco.json`` itself or in its subfolder ``annotations``.

    Returns:
        The file; None if there is none.

    Raises:
        UsageError: There are several.
    """
    found = [
        path
        for place in (folder, folder / "annotations")
        for pattern in ("instances*.json", "*.coco.json")
        for path in sorted(place.glob(pattern))
    ]
    if len(found) > 1:
        raise UsageError(
            f"--annotations {folder}: there are {len(found)} files of annotations; name one of "
            f"them, such as {found[0]}"
        )
    return found[0] if found else None


def _read_picture(
    image: dict[str, Any], entries: list[dict[str, Any]], names: dict[Any, str]
) -> DrawnPicture:
    try:
        size = read_size(image.get("width", 0), image.get("height", 0))
        objects = [_read_object(entry, names, size) for entry in entries]
        if not any(size):
            masks = (known.shape for known in objects)
            size = next((mask.size for mask in masks if isinstance(mask, Runs)), size)
        return DrawnPicture(size, objects)
    except Exception as error:
        return DrawnPicture((0, 0), fault=f"{type(error).__name__}: {reason(error)}")


def _read_object(
    entry: dict[str, Any], names: dict[Any, str], size: tuple[int, int]
) -> DrawnObject:
    box = None
    if entry.get("bbox"):
        left, top, width, height = finite_numbers(entry["bbox"])
        box = (left, top, left + width, top + height)
    shape = read_segmentation(entry.get("segmentation"), size)
    if box is None and shape is None:
        raise ValueError("an annotation has neither a box nor a segmentation")
    name = names[entry["category_id"]]
    return DrawnObject(name, box, shape, is_ignored=bool(entry.get("iscrowd")))


def _join(place: str, one: DrawnPicture, other: DrawnPicture) -> DrawnPicture:
    if one.size != other.size:
        raise ValueError(f"{place} is listed twice, with different sizes")
    return DrawnPicture(one.size, one.objects + other.objects, one.fault or other.fault)
