"""Reads the annotation of one picture: XML of Pascal VOC and ImageNet, and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from gradcam_cli.errors import AnnotationError, reason
from gradcam_cli.evaluation.annotated_shapes import NumberedMask, finite_numbers, overlap
from gradcam_cli.evaluation.drawn_objects import DrawnObject, DrawnPicture, read_size
from gradcam_cli.files.text import read_small_file

_XML_MEGABYTES = 16
_OBJECTS = "SegmentationObject"
_CLASSES = "SegmentationClass"
# The outline of an object in Pascal VOC's masks: neither object nor background.
_VOID = 255
# A mask is that of an object in the XML if their boxes overlap by this fraction.
_SAME_BOX = 0.5
# Pascal VOC's classes in the order of their colours in the masks, from 1.
_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


def read_xml(path: Path) -> DrawnPicture:
    """Reads the boxes of an XML file of Pascal VOC or ImageNet.

    Raises:
        AnnotationError: It can't be read, or isn't such a file.
    """
    try:
        # Python's parser loads no external entities and limits their expansion.
        root = ET.fromstring(read_small_file(path, _XML_MEGABYTES))  # noqa: S314
        size = read_size(root.findtext("size/width", "0"), root.findtext("size/height", "0"))
        objects = []
        for element in root.iter("object"):
            left, top, right, bottom = finite_numbers(
                element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")
            )
            # Both formats count pixels from 1, and the box includes the last pixel.
            box = (left - 1, top - 1, right, bottom)
            is_difficult = element.findtext("difficult", "0").strip() == "1"
            name = element.findtext("name", "").strip()
            objects.append(DrawnObject(name, box, is_ignored=is_difficult))
    # An encoding that Python doesn't know raises a LookupError.
    except (OSError, ET.ParseError, ValueError, LookupError) as error:
        raise AnnotationError(f"{path}: not a Pascal VOC annotation ({reason(error)})") from error
    return DrawnPicture(size, objects)


def read_mask(path: Path) -> DrawnPicture:
    """Reads a mask in which all that isn't background is one object.

    Args:
        path: A PNG file. 0 is background. In a mask with a palette, 255 is the outline of
            objects, as in Pascal VOC, which belongs to none.

    Raises:
        AnnotationError: It can't be read, or is empty.
    """
    values, has_palette = _read_values(path)
    left_out = (_VOID,) if has_palette else ()
    whole = DrawnObject(None, None, NumberedMask(values, left_out=left_out))
    if not np.setdiff1d(values, (0, *left_out)).size:
        raise AnnotationError(f"{path}: the mask is empty")
    return DrawnPicture(_size(values), [whole, *_outline(values, has_palette)])


def has_voc_layout(folder: Path) -> bool:
    """Returns whether a folder has the subfolders of Pascal VOC."""
    return any((folder / name).is_dir() for name in ("Annotations", _OBJECTS, _CLASSES))


def read_voc(folder: Path, stem: str) -> DrawnPicture | None:
    """Reads what Pascal VOC's folders say of a picture.

    Names, boxes and difficult objects are those of the XML file. The mask of objects adds their
    pixels. Without the XML, the objects are those of the mask, and the mask of classes names them.

    Args:
        folder: The folder with the subfolders ``Annotations``, ``SegmentationObject`` and
            ``SegmentationClass``, or some of them.
        stem: The name of the picture without its suffix.

    Returns:
        The objects; None if no subfolder has the picture.

    Raises:
        AnnotationError: A file can't be read, or two of them have different sizes.
    """
    xml = folder / "Annotations" / f"{stem}.xml"
    masks = [folder / name / f"{stem}.png" for name in (_OBJECTS, _CLASSES)]
    drawn = read_xml(xml) if xml.is_file() else None
    of_objects, of_classes = (_read_numbers(path) if path.is_file() else None for path in masks)
    if drawn is None and of_objects is None and of_classes is None:
        return None
    objects: Sequence[DrawnObject] = []
    sizes = [
        (path, _size(values))
        for path, values in zip(masks, (of_objects, of_classes), strict=True)
        if values is not None
    ]
    if drawn is not None and any(drawn.size):
        sizes.insert(0, (xml, drawn.size))
    for path, size in sizes[1:]:
        if size != sizes[0][1]:
            raise AnnotationError(
                f"{path}: is {size[0]}×{size[1]} px, but {sizes[0][0]} has "
                f"{sizes[0][1][0]}×{sizes[0][1][1]} px"
            )
    if drawn is not None:
        objects = drawn.objects if of_objects is None else _add_masks(drawn.objects, of_objects)
    elif of_objects is not None:
        objects = _named(of_objects, of_classes, folder)
    elif of_classes is not None:
        objects = _named(of_classes, of_classes, folder)
    values = of_classes if of_objects is None else of_objects
    outline = [] if values is None else _outline(values, has_palette=True)
    return DrawnPicture(sizes[0][1] if sizes else (0, 0), [*objects, *outline])


def _read_values(path: Path) -> tuple[np.ndarray, bool]:
    """Reads a mask: its values, and whether they are numbers of a palette."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            # The palette indices are the classes; the palette's colours have no meaning.
            plain = image if image.mode in ("P", "L", "I;16", "I") else image.convert("L")
            return np.array(plain), plain.mode == "P"
    # Pillow's decoders raise many kinds of errors for broken files.
    except Exception as error:
        raise AnnotationError(f"{path}: can't be read as a mask ({reason(error)})") from error


def _read_numbers(path: Path) -> np.ndarray:
    values, has_palette = _read_values(path)
    if not has_palette:
        raise AnnotationError(f"{path}: has no palette, so it isn't a mask of Pascal VOC")
    return values


def _size(values: np.ndarray) -> tuple[int, int]:
    return values.shape[1], values.shape[0]


def _numbers(values: np.ndarray) -> list[int]:
    return [int(number) for number in np.unique(values) if number not in (0, _VOID)]


def _outline(values: np.ndarray, has_palette: bool) -> list[DrawnObject]:
    if not has_palette or not (values == _VOID).any():
        return []
    return [DrawnObject(None, None, NumberedMask(values, _VOID), is_ignored=True)]


def _add_masks(objects: Sequence[DrawnObject], values: np.ndarray) -> list[DrawnObject]:
    """Adds to each object the mask whose box fits its own."""
    free = {number: NumberedMask(values, number) for number in _numbers(values)}
    boxes = {number: mask.box for number, mask in free.items()}
    found = []
    for known in objects:
        fits = {
            number: overlap(known.box, box)
            for number, box in boxes.items()
            if number in free and known.box is not None and box is not None
        }
        best = max(fits, key=fits.__getitem__, default=None)
        if best is None or fits[best] < _SAME_BOX:
            found.append(known)
        else:
            found.append(replace(known, shape=free.pop(best)))
    return found


def _named(values: np.ndarray, classes: np.ndarray | None, folder: Path) -> list[DrawnObject]:
    """Names objects by the class that most of their pixels have."""
    # Tools that write masks of other classes put one of these beside them.
    is_voc = not any((folder / name).exists() for name in ("class_names.txt", "labelmap.txt"))
    objects = []
    for number in _numbers(values):
        name = None
        if classes is not None and is_voc:
            of_pixels = classes[values == number]
            most = int(np.bincount(of_pixels).argmax())
            name = _NAMES[most - 1] if 1 <= most <= len(_NAMES) else None
        objects.append(DrawnObject(name, None, NumberedMask(values, number)))
    return objects
