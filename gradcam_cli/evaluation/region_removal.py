r"""IROF: iterative removal of features (Rieger and Hansen, 2020, arXiv 2003.08747)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcam_cli.errors import UsageError
from gradcam_cli.evaluation.arguments import as_inputs, as_maps, class_indices
from gradcam_cli.evaluation.faithfulness import (
    Baseline,
    area_under,
    baselines_of,
    pixel_ranks,
    scores_by_rank,
)
from gradcam_cli.evaluation.scores import scores_of
from gradcam_cli.evaluation.superpixels import find_superpixels

_EPSILON = 1e-8


def irof(
    model: Any,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    baseline: Baseline = None,
    segments: np.ndarray | None = None,
) -> np.ndarray:
    r"""IROF: the area over the curve of the class score as segments of the input are removed.

    The segments are replaced by the baseline one after the other, those with the highest mean
    importance first. With the score :math:`f(x_l)` after the first l of L segments:

    .. math::
        1 - \operatorname{mean}_l \frac{f(x_l)}{f(x_0)}

    The mean is the area by the trapezoidal rule. A good map removes the score soon. Whole
    segments leave fewer edges in the input than single pixels, which `deletion` removes. The
    paper replaces pixels by the mean of the data set, which the default baseline of a
    `Classifier` is.

    Args:
        model: As in `gradcam_cli.evaluation.faithfulness`, like the next four.
        inputs: (N, height, width, channels).
        targets: (N,) int, or one-hot (N, classes).
        maps: (N, height, width) or (N, height, width, 1).
        baseline: The value of a removed pixel.
        segments: (N, height, width) int, the number of the segment of each pixel, for example
            from scikit-image's ``slic``, as in the paper. None for those of
            `gradcam_cli.evaluation.superpixels.find_superpixels`.

    Returns:
        (N,) float64, 1 at most; higher is better. Below 0 if the score rises.

    Raises:
        UsageError: The segments have another shape than the maps.
    """
    scorer, inputs = scores_of(model), as_inputs(inputs)
    targets, maps = class_indices(targets), as_maps(maps, inputs)
    parts = find_superpixels(inputs) if segments is None else np.asarray(segments)
    if parts.shape != maps.shape:
        raise UsageError(f"segments have the shape {parts.shape}, expected {maps.shape}")
    ends = baselines_of(scorer, inputs, baseline)
    areas = np.empty(len(inputs))
    for number, target in enumerate(targets):
        rank = _rank_segments(parts[number], maps[number])
        counts = np.arange(rank.max() + 2)
        curve = scores_by_rank(scorer, (inputs[number], ends[number]), target, rank, counts)
        areas[number] = 1 - area_under(curve[None] / (curve[0] + _EPSILON))[0]
    return areas


def _rank_segments(segments: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Gives each pixel the place of its segment, the highest mean heat first: (rows, columns)."""
    _, labels = np.unique(segments, return_inverse=True)
    labels = labels.reshape(-1)
    means = np.bincount(labels, heat.ravel()) / np.bincount(labels)
    return np.asarray(pixel_ranks(means)[labels].reshape(heat.shape))
