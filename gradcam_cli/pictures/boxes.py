"""Boxes of detected objects: their formats, which of them stay, and where they lie on a picture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from gradcam_cli.pictures.fitting import Box, Fit

# As Keras names them. The four numbers of "xyxy" are left, top, right and bottom, those of "xywh"
# left, top, width and height, and those of "center_xywh" the centre and the size. "rel" means
# fractions of the input instead of pixels.
BOX_FORMATS = (
    *("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw"),
    *("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh"),
)
DEFAULT_OVERLAP = 0.5
DEFAULT_SCORE = 0.5
# Far more than any picture has objects. Comparing all pairs of candidates would take too long.
_MOST_COMPARED = 5000


@dataclass(frozen=True)
class Detection:
    """A detected object.

    Attributes:
        box: Left, top, right and bottom in pixels of the picture.
        index: The index of its class.
        score: Its probability, in [0, 1].
        candidate: The index of its box among all candidates of the network.
    """

    box: Box
    index: int
    score: float
    candidate: int

    @property
    def rounded(self) -> list[float]:
        """The box to a tenth of a pixel, as files hold it."""
        return [round(edge, 1) for edge in self.box]


@dataclass(frozen=True)
class DetectionChoice:
    """Which detected objects are explained.

    Attributes:
        min_score: The lowest probability of an object, in [0, 1].
        most: The largest number of objects in a picture.
        classes: The classes to look for; empty for all.
        without: The classes that aren't objects, such as the background, unless `classes` names
            others.
    """

    min_score: float
    most: int
    classes: tuple[int, ...] = ()
    without: tuple[int, ...] = ()


def find_detections(
    boxes: np.ndarray,
    probabilities: np.ndarray,
    fit: Fit,
    *,
    min_score: float = DEFAULT_SCORE,
    most: int | None = None,
    classes: Collection[int] = (),
    without: Collection[int] = (),
    overlap: float = DEFAULT_OVERLAP,
) -> list[Detection]:
    """Chooses the best box of each object.

    Each candidate stands for its most probable class. A box is dropped if it overlaps a better one
    of the same class (non-maximum suppression).

    Args:
        boxes: (candidates, 4) float, left, top, right and bottom in pixels of the input. Boxes
            without an area, and those outside the picture, don't count.
        probabilities: (candidates, classes) float in [0, 1].
        fit: How the picture fits into the input.
        min_score: The lowest probability of an object.
        most: The largest number of objects; None for all.
        classes: The classes to look for; empty for all.
        without: Classes that aren't objects, such as the background. A candidate for which one of
            them is the most probable isn't an object, unless `classes` names others.
        overlap: The ratio of intersection and union from which two boxes show the same object.

    Returns:
        The objects, those with the highest scores first.
    """
    candidates, indices, scores = _scored(probabilities, classes, without)
    boxes = np.asarray(boxes, np.float64)[candidates]
    kept = (scores >= min_score) & np.isfinite(boxes).all(axis=1)
    placed = _on_picture(boxes, fit)
    for corners in (boxes, placed):
        with np.errstate(invalid="ignore"):
            kept &= (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
    order = np.flatnonzero(kept)
    order = order[np.argsort(-scores[order], kind="stable")][:_MOST_COMPARED]
    found: list[Detection] = []
    while len(order) and (most is None or len(found) < most):
        best, others = order[0], order[1:]
        left, top, right, bottom = placed[best].tolist()
        found.append(
            Detection(
                (left, top, right, bottom),
                int(indices[best]),
                float(scores[best]),
                int(candidates[best]),
            )
        )
        is_same = indices[others] == indices[best]
        order = others[~(is_same & (overlaps(boxes[best], boxes[others]) > overlap))]
    return found


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Computes the ratio of intersection and union of a box with each of others.

    Args:
        box: (4,) float, left, top, right and bottom.
        others: (boxes, 4) float.

    Returns:
        (boxes,) float in [0, 1].
    """
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    together = np.prod(box[2:] - box[:2]) + areas - shared
    ratios: np.ndarray = np.divide(shared, together, out=np.zeros_like(shared), where=together > 0)
    return ratios


def _scored(
    probabilities: np.ndarray, classes: Collection[int], without: Collection[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the candidates that may be objects, with the class and the score of each."""
    wanted = sorted(classes) or range(probabilities.shape[1])
    columns = np.array(wanted, int)
    best = probabilities[:, columns].argmax(axis=1)
    indices = columns[best]
    scores = probabilities[np.arange(len(indices)), indices]
    candidates = np.flatnonzero(~np.isin(indices, list(without)))
    return candidates, indices[candidates], scores[candidates]


def _on_picture(boxes: np.ndarray, fit: Fit) -> np.ndarray:
    """Moves boxes from the input to the picture and cuts them off at its edges."""
    target, source = np.array(fit.target, float), np.array(fit.source, float)
    scale = (source[2:] - source[:2]) / (target[2:] - target[:2])
    corners = boxes.reshape(-1, 2, 2)
    with np.errstate(invalid="ignore", over="ignore"):
        placed = source[:2] + (corners - target[:2]) * scale
    clipped: np.ndarray = placed.clip(0, fit.picture_size).reshape(-1, 4)
    return clipped
