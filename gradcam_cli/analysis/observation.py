"""What an analysis keeps of each picture: little, and in the same form for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gradcam_cli.models.labels import Prediction

# Maps and pictures are compared and averaged on a grid of this many rows and columns.
GRID = 32


@dataclass(frozen=True, eq=False)
class Observation:
    """What the network said of one picture, and where it looked.

    Attributes:
        path: The file, as the user would write it.
        size: (width, height) of the picture in pixels.
        predictions: The most probable classes, in descending order.
        truth: The true class with its probability; None if it isn't known.
        maps: For each explainer the maps by class index, each (`GRID`, `GRID`) float32 in [0, 1]:
            what speaks for the class, in the whole picture, squeezed into a square. The first
            class is the most probable one; the true class is there too if it is known.
        picture: (`GRID`, `GRID`, 3) uint8, the whole picture squeezed into the same square.
        fingerprint: Eight bytes of a perceptual hash, which are similar for similar pictures.
        on_object: The fraction of the heat of the first map on annotated objects, in [0, 1]; None
            if they aren't known.
    """

    path: str
    size: tuple[int, int]
    predictions: Sequence[Prediction]
    truth: Prediction | None
    maps: Sequence[Mapping[int, np.ndarray]]
    picture: np.ndarray
    fingerprint: bytes
    on_object: float | None = None

    @property
    def predicted(self) -> Prediction:
        """The most probable class."""
        return self.predictions[0]

    @property
    def predicted_map(self) -> np.ndarray:
        """The first explainer's map of the most probable class."""
        return self.maps[0][self.predicted.index]

    @property
    def is_right(self) -> bool | None:
        """Whether the most probable class is the true one; None if that isn't known."""
        return None if self.truth is None else self.truth.index == self.predicted.index


def mean_picture(observations: Sequence[Observation]) -> np.ndarray:
    """Averages pictures, at least one.

    Returns:
        (`GRID`, `GRID`, 3) uint8.
    """
    total = np.zeros((GRID, GRID, 3))
    for one in observations:
        total += one.picture
    return np.rint(total / len(observations)).astype(np.uint8)


def to_grid(heat: np.ndarray) -> np.ndarray:
    """Averages a map over the cells of the grid.

    Args:
        heat: (height, width) float32, at the size of the picture.

    Returns:
        (`GRID`, `GRID`) float32.
    """
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), np.float32)
