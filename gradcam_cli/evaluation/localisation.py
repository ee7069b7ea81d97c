"""Localisation metrics, at the size of the picture: does the heat lie on the object?"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from gradcam_cli.evaluation.annotated_shapes import overlap
from gradcam_cli.evaluation.annotations import AnnotatedObject
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
    x, y = hottest_point(heat)
    return float(any(known.distance(x, y) <= tolerance for known in objects))


def hottest_point(heat: np.ndarray) -> tuple[float, float]:
    """Returns (x, y) of the centre of the hottest pixel, the first of several in reading order.

    Args:
        heat: (height, width) float.
    """
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return float(column) + 0.5, float(row) + 0.5


def energy_pointing_game(
    heat: np.ndarray,
    objects: Sequence[AnnotatedObject],
    ignored: Sequence[AnnotatedObject] = (),
) -> float:
    r"""The energy-based pointing game (Wang et al., 2020, arXiv 1910.01279, section 4.3).

    The fraction of the heat that lies on the objects:

    .. math::
        \frac{\sum_{\text{objects}} M}{\sum M}

    Args:
        heat: (height, width) float, 0 or more, at the size of the picture.
        objects: Objects of the same class. Overlaps are counted once.
        ignored: Places whose heat is left out of both sums where no object is, such as crowds.

    Returns:
        In [0, 1]; 0 for an empty map.
    """
    inside = _union(heat.shape, objects)
    counted = inside | ~_union(heat.shape, ignored)
    total = float(heat[counted].sum(dtype=np.float64))
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
    return 0.0 if box is None else max(overlap(box, known.box) for known in objects)


def localisation_error(
    heat: np.ndarray,
    objects: Sequence[AnnotatedObject],
    class_index: int | Collection[int],
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
        class_index: The true class, or several of which any is right.
        probabilities: (classes,), the probabilities for the picture.
        guesses: The number of most probable classes to consider: 1 or 5.

    Returns:
        1 if the picture is wrong, 0 if it is right.
    """
    return is_mislocated(box_iou(heat, objects), class_index, probabilities, guesses)


def is_mislocated(
    overlap: float,
    class_index: int | Collection[int],
    probabilities: np.ndarray,
    guesses: int,
) -> float:
    """The localisation error of a map whose box is known; see `localisation_error`.

    Args:
        overlap: What `box_iou` returns for the map of the true class.
        class_index: The true class, or several of which any is right.
        probabilities: (classes,), the probabilities for the picture.
        guesses: The number of most probable classes to consider.
    """
    guessed = np.argsort(-probabilities, kind="stable")[:guesses]
    right = list(class_index) if isinstance(class_index, Collection) else [class_index]
    is_right = np.isin(guessed, right).any() and overlap >= FOUND_IOU
    return float(not is_right)


def _union(size: tuple[int, ...], objects: Sequence[AnnotatedObject]) -> np.ndarray:
    height, width = size
    inside = np.zeros((height, width), bool)
    for known in objects:
        inside |= known.cover((height, width))
    return inside
