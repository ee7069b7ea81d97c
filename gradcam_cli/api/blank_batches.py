"""Finds the maps of a batch that show nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from gradcam_cli.api.model_inputs import Arrangement
from gradcam_cli.cam.blank_maps import EVEN, BlankMap


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
        known: Why it shows nothing, if the method itself knows.
    """

    number: int
    inputs: tf.Tensor
    targets: tf.Tensor
    rows: Arrangement
    was_finite: bool
    is_constant: bool
    known: BlankMap | None = None


def find_blanks(
    maps: tf.Tensor,
    inputs: tf.Tensor,
    targets: tf.Tensor,
    rows: Arrangement,
    notes: Mapping[int, BlankMap],
) -> BlankMaps | None:
    """Finds the maps of a batch that show nothing.

    Args:
        maps: (N, ...) float32.
        inputs: The inputs, (N, ..., channels) float32.
        targets: Their targets, (N, ...) float32.
        rows: How the targets are arranged.
        notes: What the method says about maps, by the number of the input.

    Returns:
        The first one, and how many there are; None if all maps show something.
    """
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
        notes[row] if row in notes and notes[row].is_blank else None,
    )
