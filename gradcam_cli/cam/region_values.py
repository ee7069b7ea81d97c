"""The region of a picture as the network takes it beside the picture."""

from __future__ import annotations

import numpy as np

from gradcam_cli.networks.conditions import NO_REGION, OUTSIDE
from gradcam_cli.pictures.preparing import PreparedPicture


def region_values(prepared: PreparedPicture, weights: np.ndarray | None = None) -> np.ndarray:
    """Makes the condition that says which region of an input is explained.

    Args:
        prepared: The picture as an input.
        weights: (height, width) float32 in [0, 1], the part of each input pixel that belongs to
            the region; None for where each class is predicted.

    Returns:
        (height, width) float32; see `gradcam_cli.networks.conditions.REGION`.
    """
    size = prepared.inputs.shape[:2]
    values = np.full(size, NO_REGION, np.float32) if weights is None else weights.copy()
    borders = prepared.fit.borders
    if borders is not None:
        values[borders] = OUTSIDE
    return values
