"""Converts the arguments of the metrics from all the forms in which users have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcam_cli.errors import UsageError


def as_inputs(inputs: Any) -> np.ndarray:
    """Converts inputs from an array, a tensor or a list.

    Args:
        inputs: (N, height, width, channels), uint8 or float.

    Raises:
        UsageError: The inputs have another shape.
    """
    array = np.asarray(inputs)
    if array.ndim != 4:
        raise UsageError(
            f"inputs have the shape {array.shape}, expected (N, height, width, channels); give "
            f"a single picture a batch axis: picture[None]"
        )
    return array


def class_indices(targets: Any) -> np.ndarray:
    """Converts classes from indices or one-hot vectors.

    Args:
        targets: (N,) or (N, 1) int, or (N, classes) with the largest value at the class; an
            array, a tensor or a list.

    Returns:
        (N,) int64.

    Raises:
        UsageError: The targets have another shape.
    """
    array = np.asarray(targets)
    if array.ndim == 2 and array.shape[1] > 1:
        indices: np.ndarray = array.argmax(axis=1)
        return indices
    if array.ndim not in (1, 2):
        raise UsageError(
            f"targets have the shape {array.shape}, expected indices (N,) or one-hot classes "
            f"(N, classes)"
        )
    return array.reshape(-1).astype(np.int64)


def as_maps(maps: Any, inputs: np.ndarray | None = None) -> np.ndarray:
    """Converts maps from an array, a tensor or a list.

    Args:
        maps: (N, height, width) or (N, height, width, 1).
        inputs: (N, height, width, channels), the explained inputs, if the maps must have
            their height and width.

    Returns:
        (N, height, width), of the maps' own dtype.

    Raises:
        UsageError: The maps have another shape.
    """
    array = np.asarray(maps)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise UsageError(
            f"maps have the shape {array.shape}, expected (N, height, width) or "
            f"(N, height, width, 1)"
        )
    if inputs is not None and array.shape != inputs.shape[:3]:
        raise UsageError(
            f"maps have the shape {array.shape}, but the inputs have {inputs.shape[:3]}; each "
            f"input needs a map of its height and width"
        )
    return array
