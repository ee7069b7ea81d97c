"""Finds the maps of a batch that show nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from gradcam_cli.api.model_inputs import Arrangement
from gradcam_cli.cam.blank_maps import EVEN


@dataclass(frozen=True)
class BlankMaps:
    """The first map of a batch that shows nothing.

    Attributes:
        number: The number of such maps in the batch.
        inputs: Its input, (1, ..., channels) float32.
        targets: Its targets, (1, ...) float32.
        rows: How its targets are arranged.
        was_finite: Whether it isn't NaN or infinite.
        is_constant: Whether it is the same everywhere, but not zero.
    """

    number: int
    inputs: tf.Tensor
    targets: tf.Tensor
    rows: Arrangement
    was_finite: bool
    is_constant: bool


def find_blanks(
    maps: tf.Tensor, inputs: tf.Tensor, targets: tf.Tensor, rows: Arrangement
) -> BlankMaps | None:
    """Finds the maps of a batch that show nothing; None if all of them show something."""
    cells = tf.reshape(maps, (tf.shape(maps)[0], -1)).numpy()
    are_finite = np.asarray(np.isfinite(cells).all(axis=1))
    highest = np.asarray(cells.max(axis=1))
    are_even = ~are_finite | (highest - cells.min(axis=1) <= EVEN * highest)
    if not are_even.any():
        return None
    row = int(are_even.argmax())
    return BlankMaps(
        int(are_even.sum()),
        inputs[row : row + 1],
        targets[row : row + 1],
        rows,
        bool(are_finite[row]),
        bool(are_finite[row] and highest[row] > 0),
    )
