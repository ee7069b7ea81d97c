"""Volumes of medicine as stacks of slices: NIfTI files, DICOM series and multi-frame DICOM.

Numbers of slices count from 0 along the sliced axis of the file. Slices are shown as radiologists
show them: in axial and coronal slices the patient's right is on the left, in sagittal ones the
front. The front is on top in axial slices, the head in others.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gradcam_cli.errors import GradcamWarning, ImageError, UsageError
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.medical.slice_pictures import back_on_slice, draw_slice
from gradcam_cli.pictures.medical.windows import Window, doubts_about, full_window, parse_window
from gradcam_cli.pictures.stacks.stack import SLICE, Frame, FrameChoice
from gradcam_cli.pictures.stacks.voxels import (
    AXIAL,
    Arrangement,
    Voxels,
    letters_around,
    plane_across,
    position_of,
    slices_in,
    spacing_of,
    turned_to,
)

# Voxels that are longer by this factor come from slices that were taken across that axis.
_THICK = 2.0


@dataclass(frozen=True)
class VolumeOptions:
    """How a volume becomes pictures.

    Attributes:
        window: As for `parse_window`; None for that of the file, else from its minimum to its
            maximum.
        plane: One of `gradcam_cli.pictures.stacks.voxels.PLANES`; None for the plane in which a
            DICOM series was taken, and axial slices of other files.
        orientation: The axes of `Volume.values`, as `check_orientation` takes them; None for
            those of the file.
    """

    window: str | None = None
    plane: str | None = None
    orientation: str | None = None


class Volume:
    """A volume as a stack of slices (see `gradcam_cli.pictures.stacks.stack.Stack`)."""

    def __init__(self, path: AnyPath, voxels: Voxels, options: VolumeOptions) -> None:
        """Takes what a reader knows about a file.

        Args:
            path: The file, or the folder of a series, as the user would write it.
            voxels: What it holds.
            options: How it becomes pictures.
        """
        self.path = path
        self.voxels = voxels
        self.plane = options.plane or voxels.plane or AXIAL
        self._plane_is_known = (options.plane or voxels.plane) is not None
        self._asked = options.window
        self._slices = slices_in(voxels.affine, self.plane)
        order = self._slices.order
        self._turn = Arrangement((0, 1, 2), (False, False, False))
        if options.orientation is not None:
            self._turn = turned_to(voxels.affine, options.orientation)
        spacing = spacing_of(voxels.affine)
        self._pixel = spacing[order[1]], spacing[order[2]]
        self.window: Window | None = None

    @property
    def noun(self) -> str:
        """What one picture is called."""
        return self.voxels.noun

    @property
    def ending(self) -> str:
        """The extension of its heat."""
        return "nii.gz"

    @property
    def count(self) -> int:
        """The number of slices."""
        return self.voxels.shape[self._slices.order[0]]

    @property
    def title(self) -> str:
        """What is shown, for people, once values were read: "axial slices, window 40,80 (…)"."""
        noun = f"{self.noun}s"
        plane = f"{self.plane} {noun}" if self.voxels.is_oriented else noun
        return plane if self.window is None else f"{plane}, {self.window.title}"

    @property
    def letters(self) -> tuple[str, str, str, str] | None:
        """The directions at the left, right, top and bottom of slices; None if unknown."""
        return letters_around(self.plane) if self.voxels.is_oriented else None

    def position(self, number: int) -> str:
        """Says where the middle of a slice lies: "S 12.5 mm"; "" if that is unknown."""
        voxels = self.voxels
        if not voxels.is_oriented:
            return ""
        return position_of(voxels.affine, voxels.shape, self.plane, number)

    def frames(self, choice: FrameChoice) -> Iterator[Frame]:
        """Reads the chosen slices, in the order of the file; see `Stack.frames`.

        Pixels are square: slices with other spacings are stretched.
        """
        missing = set() if self.plane != self.voxels.plane else set(self.voxels.missing)
        numbers = range(self.count)[choice.numbers or slice(None)][:: choice.every]
        chosen = [number for number in numbers if number not in missing]
        if not chosen:
            raise UsageError(f"{self.path}: has only {self.count} {self.noun}s, numbered from 0")
        values = self.voxels.read()
        window = self._choose_window(values)
        planes = self._slices.apply(values)
        for number in chosen:
            image = draw_slice(planes[number], window, self.voxels.is_inverted, self._pixel)
            yield Frame(number, image, position=self.position(number))

    def values(self) -> np.ndarray:
        """Reads the whole volume for a network that takes all of it.

        Returns:
            float32 in [0, 255], after the window. Its three axes are those of the file, or those
            that `VolumeOptions.orientation` asks for: with "RAS" the first runs to the patient's
            right, the second to the front, the third up. Of colours, a fourth axis has the 3
            channels.

        Raises:
            ImageError: The file can't be read, or has no finite value.
        """
        values = self.voxels.read()
        window = self._choose_window(values)
        values = self._turn.apply(values)
        if values.ndim == 4:
            return np.ascontiguousarray(values, np.float32)
        return np.ascontiguousarray(window.apply(values, self.voxels.is_inverted))

    def as_slices(self, maps: np.ndarray) -> np.ndarray:
        """Arranges what a network says about `values` as slices.

        Args:
            maps: (A, B, C), on the axes of `values`, with as many or fewer cells.

        Returns:
            A view of it as (slices, rows, columns): in the order of the slices, rows from top to
            bottom and columns from left to right as `frames` shows them.
        """
        return self._slices.apply(self._turn.undo(maps))

    def put(self, heat: np.ndarray, number: int, into: np.ndarray) -> None:
        """Puts the heat of a slice where its voxels are.

        Args:
            heat: (height, width) float32, on the picture that `frames` made.
            number: The slice.
            into: The shape of the volume, float32, on the axes of the file.
        """
        plane = self._slices.apply(into)[number]
        plane[:] = back_on_slice(heat, (plane.shape[0], plane.shape[1]))

    def _choose_window(self, values: np.ndarray) -> Window:
        """Chooses the window of the whole volume, once."""
        if self.window is not None:
            return self.window
        self._warn_of_plane()
        asked = parse_window(self._asked)
        window = asked or self.voxels.window
        if values.ndim == 4:
            window = Window(0, 255, "colours")
            if asked is not None:
                self._warn(f"--window {self._asked} doesn't change colours")
        else:
            if values.dtype.kind == "f" and not np.isfinite(values).any():
                raise ImageError(f"{self.path}: none of its values is a finite number")
            window = window or full_window(values)
            for doubt in doubts_about(window, self._asked, values, self.voxels.modality):
                self._warn(doubt)
        self.window = window
        return window

    def _warn_of_plane(self) -> None:
        voxels = self.voxels
        if not voxels.is_oriented and voxels.noun == SLICE:
            self._warn(
                "doesn't say how the patient lies; its last axis is taken as that from the feet to "
                "the head, and the sides may be swapped"
            )
        spacing = spacing_of(voxels.affine)
        coarsest = spacing.index(max(spacing))
        taken = plane_across(voxels.affine, coarsest)
        is_thick = spacing[coarsest] > _THICK * sorted(spacing)[1]
        if is_thick and voxels.is_oriented and not self._plane_is_known and taken != self.plane:
            self._warn(
                f"its voxels are {spacing[coarsest]:.1f} mm long across the {taken} plane, so that "
                f"{self.plane} slices are coarse; --plane {taken} shows them as they were taken"
            )

    def _warn(self, text: str) -> None:
        warnings.warn(f"{self.path}: {text}", GradcamWarning, stacklevel=3)
