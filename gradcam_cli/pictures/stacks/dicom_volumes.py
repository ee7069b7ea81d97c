"""Makes volumes of DICOM: of the frames of one file, and of a series of files with a slice each.

Places in the patient follow DICOM PS3.3, C.7.6.2 (image plane).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.errors import GradcamWarning, ImageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.medical.dicom import (
    decoded_frames,
    frame_count,
    is_inverted,
    item_of,
    numbers_of,
    read_dataset,
    window_in,
)
from gradcam_cli.pictures.medical.opened_files import MOST_VOXELS
from gradcam_cli.pictures.stacks.slice_places import place_slices
from gradcam_cli.pictures.stacks.stack import FRAME, SLICE
from gradcam_cli.pictures.stacks.voxels import AXIAL, Voxels, is_usable, plane_across
from gradcam_cli.runtime.extras import import_extra

if TYPE_CHECKING:
    from pydicom import Dataset

# The axis of a volume that counts its slices.
_SLICES = 2
_MOST_NUMBERS = 8


def open_frames(dataset: Dataset, path: AnyPath, downloads: Downloads | None = None) -> Voxels:
    """Makes a volume of the frames of one DICOM file.

    Args:
        dataset: What `read_dataset` returned, with or without pixels.
        path: The file as the user would write it.
        downloads: Downloads it from a URL; None for the default limits.

    Returns:
        The volume. Frames without places, such as those of a film, keep their order.

    Raises:
        ImageError: Some frames lie at the same place, or in different directions.
    """
    count = frame_count(dataset)

    def read(numbers: Sequence[int], total: int) -> np.ndarray:
        whole = read_dataset(path, downloads)
        return _filled(decoded_frames(whole, path), numbers, total)

    return _volume_of(path, [(dataset, number) for number in range(count)], read)


def open_series(
    path: AnyPath, files: Sequence[AnyPath], downloads: Downloads | None = None
) -> Voxels:
    """Makes a volume of DICOM files with a slice each.

    Args:
        path: What the user would call the series, for messages.
        files: The files, in any order.
        downloads: Downloads them from URLs; None for the default limits.

    Raises:
        ImageError: A file can't be read, or the files don't form a volume.
        StorageError: A store can't be reached, or a file exceeds a download limit.
    """
    files, slices = _without_copies(
        path, files, [(read_dataset(file, downloads, with_pixels=False), 0) for file in files]
    )
    for file, (dataset, _) in zip(files, slices, strict=True):
        if frame_count(dataset) > 1 or _size(dataset) != _size(slices[0][0]):
            raise ImageError(f"{path}: is not one series, {file.name} has another shape")

    def read(numbers: Sequence[int], total: int) -> np.ndarray:
        decoded = (next(decoded_frames(read_dataset(file, downloads), file)) for file in files)
        return _filled(decoded, numbers, total)

    return _volume_of(path, slices, read)


def _without_copies(
    path: AnyPath, files: Sequence[AnyPath], slices: Sequence[tuple[Dataset, int]]
) -> tuple[list[AnyPath], list[tuple[Dataset, int]]]:
    """Leaves out files with the number and the place of one before them."""
    kept: dict[tuple[object, ...], tuple[AnyPath, tuple[Dataset, int]]] = {}
    for index, (file, one) in enumerate(zip(files, slices, strict=True)):
        number = str(one[0].get("SOPInstanceUID") or f"without a number {index}")
        kept.setdefault((number, *(_position(*one) or [index])), (file, one))
    copies = len(files) - len(kept)
    if copies:
        warnings.warn(
            f"{path}: {copies} of its {len(files)} files are copies of others, and left out",
            GradcamWarning,
            stacklevel=3,
        )
    return [file for file, _ in kept.values()], [one for _, one in kept.values()]


def has_place(dataset: Dataset) -> bool:
    """Returns whether a file with one picture says where in the patient that lies."""
    return _position(dataset, 0) is not None and _orientation(dataset, 0) is not None


def _volume_of(
    path: AnyPath,
    slices: Sequence[tuple[Dataset, int]],
    read: Callable[[Sequence[int], int], np.ndarray],
) -> Voxels:
    """Makes a volume.

    Args:
        path: The file or series, for messages.
        slices: For each slice its file, and its number in that.
        read: Reads the values, when it is told the place of each slice, and how many there are.
    """
    import_extra("nibabel", "medical", str(path))
    dataset, number = slices[0]
    measures = item_of(dataset, number, "PixelMeasuresSequence")
    spacing = numbers_of(measures, "PixelSpacing", 2)
    is_spaced = spacing is not None
    spacing = spacing or [1.0, 1.0]
    thickness = (numbers_of(measures, "SliceThickness", 1) or [1.0])[0] or 1.0
    positions = [found for one in slices if (found := _position(*one))]
    orientations = [found for one in slices if (found := _orientation(*one))]
    numbers, count, missing = list(range(len(slices))), len(slices), list[int]()
    affine = np.diag([-spacing[1], -spacing[0], thickness, 1.0])
    is_oriented = len(positions) == len(orientations) == len(slices)
    if len(slices) > 1 and slices[0][0] is slices[1][0] and positions[1:] == positions[:-1]:
        # What the file says about all its frames, such as those of a film.
        is_oriented = False
    if is_oriented:
        try:
            places = place_slices(positions, orientations, (spacing[0], spacing[1]), thickness)
        except ValueError as error:
            raise ImageError(f"{path}: {error}; it isn't one volume") from None
        numbers, count, missing = places.numbers, places.count, places.missing
        affine = places.affine
    shape = (*_size(dataset), count)
    if shape[0] * shape[1] * count > MOST_VOXELS:
        text = "×".join(map(str, shape))
        raise ImageError(f"{path}: refused, it has {text} voxels; make it smaller first")
    if not is_usable(affine):
        raise ImageError(f"{path}: damaged, its pixels have no valid spacing")
    if is_oriented and not is_spaced:
        warnings.warn(
            f"{path}: doesn't say how far its pixels are apart (PixelSpacing), and 1 mm is taken; "
            f"if that is wrong, its slices are distorted and its heat lies in another place",
            GradcamWarning,
            stacklevel=3,
        )
    if missing:
        warnings.warn(
            f"{path}: lacks {len(missing)} of {count} slices ({_first(missing)})",
            GradcamWarning,
            stacklevel=3,
        )
    middle = slices[numbers.index(min(numbers, key=lambda place: abs(place - count // 2)))]
    return Voxels(
        shape,
        affine,
        lambda: read(numbers, count),
        is_oriented=is_oriented,
        plane=plane_across(affine, _SLICES) if is_oriented else AXIAL,
        window=window_in(item_of(*middle, "FrameVOILUTSequence")),
        is_inverted=is_inverted(dataset),
        modality=str(dataset.get("Modality") or ""),
        missing=missing,
        noun=SLICE if is_oriented else FRAME,
    )


def _filled(slices: Iterable[np.ndarray], numbers: Sequence[int], count: int) -> np.ndarray:
    """Puts slices where they belong: (columns, rows, count), and 3 colours if they have these."""
    values: np.ndarray | None = None
    for plane, number in zip(slices, numbers, strict=False):
        turned = plane.swapaxes(0, 1)
        if values is None:
            shape = (*turned.shape[:2], count, *turned.shape[2:])
            values = np.zeros(shape, plane.dtype, order="F")
            # What is missing is as dark as the darkest.
            values[...] = plane.min()
        values[:, :, number] = turned
    assert values is not None
    return values


def _size(dataset: Dataset) -> tuple[int, int]:
    return int(dataset.Columns), int(dataset.Rows)


def _position(dataset: Dataset, number: int) -> list[float] | None:
    item = item_of(dataset, number, "PlanePositionSequence")
    return numbers_of(item, "ImagePositionPatient", 3)


def _orientation(dataset: Dataset, number: int) -> list[float] | None:
    item = item_of(dataset, number, "PlaneOrientationSequence")
    return numbers_of(item, "ImageOrientationPatient", 6)


def _first(numbers: Sequence[int]) -> str:
    text = ", ".join(map(str, numbers[:_MOST_NUMBERS]))
    return text if len(numbers) <= _MOST_NUMBERS else f"{text}, …"
