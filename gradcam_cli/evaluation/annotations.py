"""The annotated objects of pictures, fitted to the pictures: Pascal VOC, ImageNet, COCO, masks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradcam_cli.errors import AnnotationError, GradcamWarning, UnknownClassError
from gradcam_cli.evaluation.annotated_shapes import Box
from gradcam_cli.evaluation.class_kinds import find_kinds
from gradcam_cli.evaluation.coco import CocoFile, find_coco_file
from gradcam_cli.evaluation.drawn_objects import DrawnObject, DrawnPicture
from gradcam_cli.evaluation.voc import has_voc_layout, read_mask, read_voc, read_xml
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import check_is_there
from gradcam_cli.models.labels import Labels

_MASK_NAMES = ("{}.png", "{}_mask.png", "{}_segmentation.png")
_LARGEST_DIFFERENCE = 0.02
# More would take minutes and gigabytes; COCO has at most 100 in a picture.
_MOST_OBJECTS = 1000
_MOST_MASK_PIXELS = 500_000_000


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """An annotated object: its location and its class.

    Attributes:
        box: The box around the object.
        class_name: The name in the annotation; None for a mask.
        class_index: The model's class of that name; None if the model has none.
        mask: (height, width) bool, the object's pixels, from the pixel `corner` on; None if only
            the box is known.
        corner: (row, column) of the mask's first pixel in the picture.
        kinds: The model's classes that are kinds of that name, such as the breeds of a dog; empty
            if the model has a class of that name itself.
    """

    box: Box
    class_name: str | None = None
    class_index: int | None = None
    mask: np.ndarray | None = None
    corner: tuple[int, int] = (0, 0)
    kinds: tuple[int, ...] = ()

    @property
    def classes(self) -> tuple[int, ...]:
        """The model's classes that the object may have; empty if the model has none of them."""
        return self.kinds if self.class_index is None else (self.class_index,)

    def cover(self, size: tuple[int, int]) -> np.ndarray:
        """Marks the object's pixels: those of the mask, or those whose centre is in the box.

        Args:
            size: (height, width) of the picture.

        Returns:
            (height, width) bool.
        """
        if self.mask is not None:
            whole = np.zeros(size, bool)
            row, column = self.corner
            height, width = self.mask.shape
            whole[row : row + height, column : column + width] = self.mask
            return whole
        rows, columns = (np.arange(length) + 0.5 for length in size)
        left, top, right, bottom = self.box
        return np.outer((rows >= top) & (rows < bottom), (columns >= left) & (columns < right))

    def distance(self, x: float, y: float) -> float:
        """Returns the distance of a point from the object in pixels; 0 for a point on it."""
        if self.mask is not None:
            rows, columns = np.nonzero(self.mask)
            beyond = np.hypot(
                np.maximum(np.abs(columns + self.corner[1] + 0.5 - x) - 0.5, 0),
                np.maximum(np.abs(rows + self.corner[0] + 0.5 - y) - 0.5, 0),
            )
            return float(beyond.min(initial=np.inf))
        left, top, right, bottom = self.box
        return float(np.hypot(max(left - x, 0, x - right), max(top - y, 0, y - bottom)))


@dataclass(frozen=True, eq=False)
class PictureAnnotation:
    """The annotation of a picture.

    Attributes:
        objects: The objects to find, at least one.
        ignored: Places where heat counts neither for nor against a map: crowds, objects marked
            as difficult, and the outlines in Pascal VOC's masks.
    """

    objects: list[AnnotatedObject]
    ignored: list[AnnotatedObject]


class Annotations:
    """The objects in pictures, read from one COCO file or from a folder with one file each."""

    def __init__(self, path: Path, labels: Labels) -> None:
        """Opens the annotations and reads a COCO file completely.

        Args:
            path: A COCO .json file, or a folder. A folder may have the layout of COCO
                (``annotations/instances_NAME.json``) or of Pascal VOC (``Annotations``,
                ``SegmentationObject``, ``SegmentationClass``). In any other folder, the
                annotation of ``cat.jpg`` is ``cat.xml`` (Pascal VOC or ImageNet) or a mask
                named ``cat.png``, ``cat_mask.png`` or ``cat_segmentation.png``. The files may be
                in the same subfolders as the pictures or directly in the folder. In a mask, 0 is
                background and every other value is object. In a mask with a palette, 255
                is the outline, as in Pascal VOC, and is ignored.
            labels: The model's classes. The annotations' names are matched to them by
                WordNet id or by the whole name. For the classes of ImageNet, the names of COCO
                and Pascal VOC stand for all their kinds: "dog" for each breed.

        Raises:
            UsageError: The path doesn't exist, or the file isn't in COCO format.
        """
        self._path = path
        self._labels = labels
        self._classes: dict[str, tuple[int | None, tuple[int, ...]]] = {}
        self._has_warned = False
        check_is_there("--annotations", path)
        self._is_voc = path.is_dir() and has_voc_layout(path)
        file: Path | None = path
        if path.is_dir():
            file = None if self._is_voc else find_coco_file(path)
        self._coco = None if file is None else CocoFile(file)

    def of(self, picture: InputPicture, size: tuple[int, int]) -> list[AnnotatedObject]:
        """Finds the objects of a picture.

        Args:
            picture: The picture.
            size: (width, height) of the picture in pixels. Boxes and masks that were drawn in a
                larger or smaller copy are scaled to it.

        Returns:
            The objects, without those marked as difficult or as a crowd.

        Raises:
            AnnotationError: The picture has no annotation, or the annotation's aspect ratio
                doesn't fit the picture.
        """
        return self.read(picture, size).objects

    def read(self, picture: InputPicture, size: tuple[int, int]) -> PictureAnnotation:
        """Finds the objects of a picture, and where heat doesn't count.

        Args:
            picture: As for `of`.
            size: As for `of`.

        Raises:
            AnnotationError: As for `of`.
        """
        drawn = self._find(picture)
        if drawn.fault:
            raise AnnotationError(
                f"{picture.path}: its annotation in {self._path} is damaged ({drawn.fault})"
            )
        factors = _factors(picture, drawn.size, size)
        if len(drawn.objects) > _MOST_OBJECTS:
            raise AnnotationError(
                f"{picture.path}: has {len(drawn.objects):,} annotated objects; at most "
                f"{_MOST_OBJECTS:,} are read"
            )
        objects: list[AnnotatedObject] = []
        ignored: list[AnnotatedObject] = []
        pixels = 0
        for known in drawn.objects:
            try:
                fitted = self._fit(known, size, factors)
            except ValueError as error:
                raise AnnotationError(
                    f"{picture.path}: its annotation in {self._path} is damaged ({error})"
                ) from error
            if fitted is None:
                continue
            pixels += 0 if fitted.mask is None else fitted.mask.size
            if pixels > _MOST_MASK_PIXELS:
                raise AnnotationError(
                    f"{picture.path}: the masks of its objects are too large together; make the "
                    f"picture smaller"
                )
            (ignored if known.is_ignored else objects).append(fitted)
        if not objects:
            raise AnnotationError(f"{picture.path}: its annotation contains no object")
        self._warn_of_unknown(picture, objects)
        return PictureAnnotation(objects, ignored)

    def _find(self, picture: InputPicture) -> DrawnPicture:
        stem = picture.path.stem
        if self._coco is not None:
            try:
                found = self._coco.find((picture.folder / picture.path.name).as_posix())
            except ValueError as error:
                raise AnnotationError(f"{picture.path}: {self._coco.path}: {error}") from error
            if found is None:
                raise AnnotationError(f"{picture.path}: not listed in {self._coco.path}")
            return found
        if self._is_voc:
            found = read_voc(self._path, stem)
            if found is None:
                raise AnnotationError(
                    f"{picture.path}: neither Annotations/{stem}.xml nor a mask {stem}.png in "
                    f"{self._path}"
                )
            return found
        for folder in (self._path / picture.folder, self._path):
            path = folder / f"{stem}.xml"
            if path.is_file():
                return read_xml(path)
            for name in _MASK_NAMES:
                path = folder / name.format(stem)
                if path.is_file() and path.resolve() != picture.path.resolve():
                    return read_mask(path)
        raise AnnotationError(
            f"{picture.path}: no {stem}.xml and no mask {stem}.png or {stem}_mask.png in "
            f"{self._path}"
        )

    def _fit(
        self, known: DrawnObject, size: tuple[int, int], factors: tuple[float, float]
    ) -> AnnotatedObject | None:
        """Scales an object to the picture; None if nothing of it is left.

        Raises:
            ValueError: Its outline would take too long to fill.
        """
        pixels = None if known.shape is None else known.shape.draw(size, factors)
        if known.box is not None:
            left, top, right, bottom = (
                float(value) for value in np.array(known.box) * (factors * 2)
            )
            box = (left, top, right, bottom)
        elif pixels is not None:
            box = pixels.box
        else:
            return None
        index, kinds = (None, ()) if known.name is None else self._find_classes(known.name)
        if pixels is None:
            # An outline between the centres of pixels leaves the box.
            return AnnotatedObject(box, known.name, index, kinds=kinds)
        return AnnotatedObject(box, known.name, index, pixels.mask, pixels.corner, kinds)

    def _find_classes(self, name: str) -> tuple[int | None, tuple[int, ...]]:
        """Finds the class of a name, or those that are kinds of it."""
        if name not in self._classes:
            kinds = find_kinds(name, self._labels)
            index = None
            if kinds is None:
                try:
                    # `find` would read a number as an index, but annotations contain names only.
                    is_number = name.strip().isdigit()
                    index = None if is_number else self._labels.find(name, by_part=False)
                except UnknownClassError:
                    index = None
            self._classes[name] = index, kinds or ()
        return self._classes[name]

    def _warn_of_unknown(self, picture: InputPicture, objects: Sequence[AnnotatedObject]) -> None:
        """Says once that the model has none of the annotated classes of a picture."""
        names = sorted({known.class_name for known in objects if known.class_name})
        if self._has_warned or not names or any(known.classes for known in objects):
            return
        self._has_warned = True
        listed = " or ".join(repr(name) for name in names[:3])
        warnings.warn(
            f"--annotations {self._path}: the model has no class {listed} ({picture.path}); where "
            f"it knows no annotated class, the map of the explained class is compared with all "
            f"objects",
            GradcamWarning,
            stacklevel=2,
        )


def _factors(
    picture: InputPicture, drawn_in: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float]:
    horizontal = size[0] / drawn_in[0] if drawn_in[0] else 1.0
    vertical = size[1] / drawn_in[1] if drawn_in[1] else 1.0
    if abs(horizontal / vertical - 1) > _LARGEST_DIFFERENCE:
        raise AnnotationError(
            f"{picture.path}: is {size[0]}×{size[1]} px, but its annotation was made for "
            f"{drawn_in[0]}×{drawn_in[1]} px; rotate the picture's pixels upright first"
        )
    return horizontal, vertical
