"""The regions that ``--region`` names: boxes and mask pictures, for networks that segment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np

from gradcam_cli.errors import ImageError, UsageError
from gradcam_cli.files.finding import SUFFIXES, InputPicture
from gradcam_cli.files.storage import file_name, is_elsewhere
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.reading import read_mask
from gradcam_cli.pictures.regions import PixelBox

_BOX = re.compile(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*")
# The column of a table for --from-file with a region for each picture.
COLUMN = "region"
# A pixel is in the region of a score if the region covers half of it.
COVERED = 0.5
_FORMS = "a mask picture, a folder of masks, or LEFT,TOP,RIGHT,BOTTOM in pixels of the picture"


class ScoreRegion:
    """A region over which the scores of a class are summed, in every picture of a run."""

    def __init__(self, text: str) -> None:
        """Reads what the user wrote.

        Args:
            text: A mask file, a folder of masks, or LEFT,TOP,RIGHT,BOTTOM.

        Raises:
            UsageError: It is none of these.
        """
        self.text = text
        self.box = _box_in(text)
        if self.box is not None:
            return
        if is_elsewhere(text):
            raise UsageError(f"--region {text}: is not on this machine; copy the masks here")
        if not os.path.exists(text):
            raise UsageError(f"--region {text}: there is no such file; give {_FORMS}")

    @property
    def is_file(self) -> bool:
        """Whether it is read from files."""
        return self.box is None

    @property
    def identity(self) -> str:
        """A text that differs for different regions."""
        return os.path.abspath(self.text) if self.box is None else repr(self.box)

    @property
    def word(self) -> str:
        """A short form for file names."""
        if self.box is None:
            return f"region-{PurePath(os.path.abspath(self.text)).stem}"
        return "region" + "-".join(map(str, self.box))

    def weights(self, picture: InputPicture, prepared: PreparedPicture) -> np.ndarray:
        """Computes how much of each pixel of the network's input the region covers.

        Args:
            picture: The picture.
            prepared: The picture as an input.

        Returns:
            (height, width) float32 in [0, 1].

        Raises:
            ImageError: The picture has no such region, or its mask can't be read.
        """
        try:
            return weights_of(self._mask(picture, prepared.image.size), prepared)
        except ImageError as error:
            raise ImageError(f"{picture.path}: --region {self.text}: {error}") from error

    def _mask(self, picture: InputPicture, size: tuple[int, int]) -> np.ndarray:
        """Returns the region in the picture, (height, width) bool."""
        width, height = size
        if self.box is not None:
            left, top, right, bottom = self.box
            if left < 0 or top < 0 or right > width or bottom > height:
                raise ImageError(
                    f"reaches beyond the picture, which has {width}×{height} pixels (width×height)"
                )
            mask = np.zeros((height, width), bool)
            mask[top:bottom, left:right] = True
            return mask
        return read_mask(self._file_of(picture))

    def _file_of(self, picture: InputPicture) -> Path:
        path = Path(self.text)
        if not path.is_dir():
            return path
        stem = PurePath(file_name(picture.path)).stem
        for key in (picture.folder / stem, Path(stem)):
            found = self._masks.get(key, [])
            if len(found) > 1:
                names = ", ".join(mask.name for mask in found)
                raise ImageError(f"contains several masks of its name ({names})")
            if found:
                return found[0]
        raise ImageError(f"contains no mask of its name ({stem}.png)")

    @cached_property
    def _masks(self) -> Mapping[Path, list[Path]]:
        """The masks in the folder, by their paths in it without the extension."""
        found: dict[Path, list[Path]] = {}
        root = Path(self.text)
        for folder, _, names in os.walk(root):
            for name in sorted(names):
                path = Path(folder, name)
                if path.suffix.lower() in SUFFIXES:
                    found.setdefault(path.relative_to(root).with_suffix(""), []).append(path)
        return found


def weights_of(mask: np.ndarray, prepared: PreparedPicture) -> np.ndarray:
    """Computes how much of each pixel of a network's input a mask covers.

    Args:
        mask: (height, width) bool, of the picture's size.
        prepared: The picture as an input.

    Returns:
        (height, width) float32 in [0, 1].

    Raises:
        ImageError: The mask has another size, is empty, or lies outside what the network sees.
    """
    width, height = prepared.image.size
    if mask.shape != (height, width):
        found = "×".join(map(str, mask.shape[::-1]))
        raise ImageError(
            f"the mask has {found} pixels, but the picture has {width}×{height} (width×height); "
            f"make a mask of the same size"
        )
    if not mask.any():
        raise ImageError("the mask is empty: all its pixels are zero")
    weights = prepared.fit.apply_mask(mask)
    if not weights.any():
        raise ImageError(
            "lies outside the part of the picture that the network sees; choose --fit squash or pad"
        )
    return weights


def _box_in(text: str) -> PixelBox | None:
    """Reads LEFT,TOP,RIGHT,BOTTOM; None if a text isn't of this form."""
    match = _BOX.fullmatch(text)
    if match is None or os.path.exists(text):
        return None
    left, top, right, bottom = map(int, match.groups())
    if right <= left or bottom <= top:
        raise UsageError(
            f"--region {text}: is empty; give LEFT,TOP,RIGHT,BOTTOM with RIGHT beyond LEFT and "
            f"BOTTOM beyond TOP"
        )
    return left, top, right, bottom
