"""A volume as its file describes it: its values, and where they lie in the patient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradcam_cli.errors import UsageError
from gradcam_cli.pictures.medical.windows import Window
from gradcam_cli.pictures.stacks.stack import SLICE

AXIAL, CORONAL, SAGITTAL = "axial", "coronal", "sagittal"
PLANES = (AXIAL, CORONAL, SAGITTAL)
# The axes of the world point to the right, to the front (anterior) and up (superior).
_POSITIVE, _NEGATIVE = "RAS", "LPI"
# The world axis across the slices of each plane, that along their columns, and that down their
# rows. Radiologists look from the feet, from the front, and from the left: the patient's right is
# on the left, the nose on top or on the left.
_AXES = {AXIAL: (2, 0, 1), CORONAL: (1, 0, 2), SAGITTAL: (0, 1, 2)}


@dataclass(frozen=True, eq=False)
class Voxels:
    """What a reader knows about a volume.

    Attributes:
        shape: The number of voxels along the three axes of the file. A series of DICOM files has
            the axes (columns, rows, slices), with the slices in the direction across them: from
            the feet up, from the front to the back, or from left to right.
        affine: (4, 4) float64, from the numbers of a voxel to its centre in mm, where x grows to
            the patient's right, y to the front and z up.
        read: Reads the values: of `shape`, any real type, in the unit of the file; or colours,
            `shape` and 3 channels, uint8.
        is_oriented: Whether the file says how the patient lies. If not, `affine` has only the
            spacing.
        plane: The plane of the slices as they were taken; None if the file doesn't say.
        window: The window that the file names; None without one.
        is_inverted: Whether low values are white.
        modality: The kind of machine in DICOM's words ("CT"); "" if unknown.
        missing: The numbers of slices that a series of DICOM files lacks.
        noun: What one picture of it is called.
        nifti: The fields of the file's NIfTI header that say where it lies, to be repeated; None
            if the file isn't NIfTI.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    read: Callable[[], np.ndarray]
    is_oriented: bool = True
    plane: str | None = None
    window: Window | None = None
    is_inverted: bool = False
    modality: str = ""
    missing: Sequence[int] = ()
    noun: str = SLICE
    nifti: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Arrangement:
    """How the axes of an array come from those of another: a permutation, then flips.

    Attributes:
        order: For each new axis, the old one.
        flips: For each new axis, whether it runs backwards.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Arranges an array.

        Args:
            values: Three axes, and any further ones, which stay.

        Returns:
            A view of it.
        """
        rest = range(3, values.ndim)
        return values.transpose(*self.order, *rest)[self._steps()]

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Arranges an array as it was before `apply`; returns a view of it."""
        places = [self.order.index(axis) for axis in range(3)]
        return values[self._steps()].transpose(*places, *range(3, values.ndim))

    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)


def closest_axes(affine: np.ndarray) -> tuple[list[int], list[bool]]:
    """Finds the axes of a volume that are closest to those of the world.

    Args:
        affine: As of `Voxels`.

    Returns:
        For each axis of the world, the axis of the volume, and whether that runs against it.
    """
    from nibabel.orientations import io_orientation

    found = io_orientation(affine)
    axes, against = [0, 0, 0], [False, False, False]
    for axis, (world, direction) in enumerate(found):
        axes[int(world)], against[int(world)] = axis, direction < 0
    return axes, against


def plane_across(affine: np.ndarray, axis: int) -> str:
    """Returns the plane of the slices across an axis of a volume: one of `PLANES`."""
    world = closest_axes(affine)[0].index(axis)
    return next(plane for plane, (across, *_) in _AXES.items() if across == world)


def slices_in(affine: np.ndarray, plane: str) -> Arrangement:
    """Says how a volume becomes slices as radiologists show them.

    Args:
        affine: As of `Voxels`.
        plane: One of `PLANES`.

    Returns:
        The way to (slices, rows, columns). The slices keep the order of the file.
    """
    axes, against = closest_axes(affine)
    across, along, down = _AXES[plane]
    return Arrangement(
        (axes[across], axes[down], axes[along]), (False, not against[down], not against[along])
    )


def turned_to(affine: np.ndarray, orientation: str) -> Arrangement:
    """Says how a volume gets the axes that a network takes.

    Args:
        affine: As of `Voxels`.
        orientation: The directions in which the new axes run, as `check_orientation` returns
            them.
    """
    axes, against = closest_axes(affine)
    order, flips = [], []
    for letter in orientation:
        world = _POSITIVE.find(letter)
        backwards = world < 0
        world = _NEGATIVE.index(letter) if backwards else world
        order.append(axes[world])
        flips.append(against[world] != backwards)
    return Arrangement((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))


def check_orientation(text: str) -> str:
    """Reads an orientation as a user writes it.

    Args:
        text: Three letters, one of R and L, one of A and P, one of S and I, in any order: the
            directions in which the axes run. "RAS" runs to the right, to the front and up.

    Returns:
        The same in capitals.

    Raises:
        UsageError: It is something else.
    """
    letters = text.strip().upper()
    pairs = list(zip(_POSITIVE, _NEGATIVE, strict=True))
    if len(letters) != 3 or not all(any(one in letters for one in pair) for pair in pairs):
        raise UsageError(
            f"--orientation {text}: give three letters such as RAS, one of R and L, one of A and "
            f"P, one of S and I: the directions in which the axes of the network's input run"
        )
    return letters


def letters_around(plane: str) -> tuple[str, str, str, str]:
    """Returns the directions at the left, right, top and bottom of slices in a plane."""
    _across, along, down = _AXES[plane]
    return _POSITIVE[along], _NEGATIVE[along], _POSITIVE[down], _NEGATIVE[down]


def position_of(affine: np.ndarray, shape: tuple[int, int, int], plane: str, number: int) -> str:
    """Says where a slice lies, by its middle: "S 12.5 mm" is 12.5 mm above the origin.

    Args:
        affine: As of `Voxels`.
        shape: As of `Voxels`.
        plane: One of `PLANES`.
        number: The slice, from 0.
    """
    across = _AXES[plane][0]
    voxel = [(length - 1) / 2 for length in shape]
    voxel[closest_axes(affine)[0][across]] = number
    place = round(float((affine @ [*voxel, 1.0])[across]), 1)
    letter = (_NEGATIVE if place < 0 else _POSITIVE)[across]
    return f"{letter} {abs(place):.1f} mm"


def spacing_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Returns the distance between voxels along each axis, in mm."""
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return float(lengths[0]), float(lengths[1]), float(lengths[2])


def is_usable(affine: np.ndarray) -> bool:
    """Returns whether an affine gives each voxel its own finite place."""
    if not np.isfinite(affine).all():
        return False
    spacing = spacing_of(affine)
    if min(spacing) <= 0:
        return False
    volume = abs(float(np.linalg.det(affine[:3, :3] / np.asarray(spacing))))
    return math.isfinite(volume) and volume > 1e-6
