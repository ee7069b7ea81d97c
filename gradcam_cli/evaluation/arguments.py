"""What the metrics take, in all the forms in which people have it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcam_cli.errors import UsageError


def as_inputs(inputs: Any) -> np.ndarray:
    """Takes inputs as an array, a tensor or a list.

    Args:
        inputs: (N, height, width, channels), uint8 or float.

    Raises:
        UsageError: They have another shape.
    """
    array = np.asarray(inputs)
    if array.ndim != 4:
        raise UsageError(
            f"inputs: of the shape {array.shape}, but (N, height, width, channels) is wanted; a "
            f"single picture needs an axis before: picture[None]"
        )
    return array


def class_indices(targets: Any) -> np.ndarray:
    """Takes classes as indices or one-hot.

    Args:
        targets: (N,) or (N, 1) int, or (N, classes) with the largest value at the class: an
            array, a tensor or a list.

    Returns:
        (N,) int64.

    Raises:
        UsageError: They have another shape.
    """
    array = np.asarray(targets)
    if array.ndim == 2 and array.shape[1] > 1:
        indices: np.ndarray = array.argmax(axis=1)
        return indices
    if array.ndim not in (1, 2):
        raise UsageError(
            f"targets: of the shape {array.shape}, but indices (N,) or one-hot classes "
            f"(N, classes) are wanted"
        )
    return array.reshape(-1).astype(np.int64)


def as_maps(maps: Any, inputs: np.ndarray | None = None) -> np.ndarray:
    """Takes maps as an array, a tensor or a list.

    Args:
        maps: (N, height, width) or (N, height, width, 1).
        inputs: (N, height, width, channels) that they explain, if they must be of that size.

    Returns:
        (N, height, width), of their own type.

    Raises:
        UsageError: They have another shape.
    """
    array = np.asarray(maps)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise UsageError(
            f"maps: of the shape {array.shape}, but (N, height, width) is wanted, or "
            f"(N, height, width, 1)"
        )
    if inputs is not None and array.shape != inputs.shape[:3]:
        raise UsageError(
            f"maps: of the shape {array.shape}, but the inputs have {inputs.shape[:3]}; each input "
            f"needs a map of its own height and width"
        )
    return array
