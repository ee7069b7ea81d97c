"""Localisation metrics, at the size of the picture: does the heat lie on the object?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam_cli.evaluation.annotations import AnnotatedObject, Box
from gradcam_cli.pictures.regions import find_region

# Section 4.1 of the Grad-CAM paper: the threshold for hot pixels, and for a correct box.
HOT_SHARE = 0.15
FOUND_IOU = 0.5
TOLERANCE = 15


def pointing_game(
    heat: np.ndarray, objects: Sequence[AnnotatedObject], tolerance: float = TOLERANCE
) -> float:
    """The pointing game (Zhang et al., 2016, arXiv 1608.00507, section 4.2).

    Whether the hottest point lies on an object or within 15 pixels of it, as in the paper and
    its code. Of several equally hot points, the first in reading order counts.

    Args:
        heat: (height, width) float, the map at the size of the picture.
        objects: The objects to find, all of the same class.
        tolerance: The largest distance that still counts as a hit, in pixels.

    Returns:
        0 or 1; 0 for an empty map.
    """
    if not heat.any():
        return 0.0
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return float(any(known.distance(column + 0.5, row + 0.5) <= tolerance for known in objects))


def energy_pointing_game(heat: np.ndarray, objects: Sequence[AnnotatedObject]) -> float:
    r"""The energy-based pointing game (Wang et al., 2020, arXiv 1910.01279, section 4.3).

    The fraction of the heat that lies on the objects:

    .. math::
        \frac{\sum_{\text{objects}} M}{\sum M}

    Args:
        heat: (height, width) float, 0 or more, at the size of the picture.
        objects: Objects of the same class. Overlaps are counted once.

    Returns:
        In [0, 1]; 0 for an empty map.
    """
    inside = np.zeros(heat.shape, bool)
    for known in objects:
        inside |= known.cover(heat.shape)
    total = float(heat.sum(dtype=np.float64))
    return float(heat[inside].sum(dtype=np.float64)) / total if total > 0 else 0.0


def box_iou(heat: np.ndarray, objects: Sequence[AnnotatedObject]) -> float:
    """Box IoU: how well the box around the heat fits (arXiv 1610.02391, section 4.1).

    Pixels of at least 15 % of the map's maximum are hot. The box around their largest
    connected region (see `gradcam_cli.pictures.regions`) is compared with the object's box by
    intersection over union.

    Args:
        heat: (height, width) float, at the size of the picture.
        objects: Objects of the same class. The one that fits best counts, as in ImageNet's
            localisation challenge.

    Returns:
        In [0, 1]; 0 for an empty map.
    """
    box = find_region(heat, HOT_SHARE).box
    return 0.0 if box is None else max(_overlap(box, known.box) for known in objects)


def localisation_error(
    heat: np.ndarray,
    objects: Sequence[AnnotatedObject],
    class_index: int,
    probabilities: np.ndarray,
    guesses: int,
) -> float:
    """The localisation error of the Grad-CAM paper's Table 1 (arXiv 1610.02391).

    This is the error of ImageNet's localisation challenge (Russakovsky et al., 2015,
    arXiv 1409.0575, section 4.2). A picture is right if the true class is among the most
    probable ``guesses`` classes and the box around the heat has an IoU of at least 0.5 with
    an object of that class.

    Args:
        heat: (height, width) float, the map of the true class.
        objects: Objects of that class.
        class_index: The true class.
        probabilities: (classes,), the probabilities for the picture.
        guesses: The number of most probable classes to consider: 1 or 5.

    Returns:
        1 if the picture is wrong, 0 if it is right.
    """
    guessed = np.argsort(-probabilities, kind="stable")[:guesses]
    is_right = class_index in guessed and box_iou(heat, objects) >= FOUND_IOU
    return float(not is_right)


def _overlap(box: Box, other: Box) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)) - width * height
    return width * height / union
