r"""ROAD: remove and debias (Rong et al., 2022, arXiv 2202.00449)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcam_cli.evaluation.arguments import as_inputs, as_maps, class_indices
from gradcam_cli.evaluation.faithfulness import pixel_ranks
from gradcam_cli.evaluation.filling_in import fill_in
from gradcam_cli.evaluation.scores import scores_of

PERCENTILES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
# Relative to the range of values. The noise hides which pixels were filled in.
_NOISE = 0.01


def road(
    model: Any,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    percentiles: tuple[float, ...] = PERCENTILES,
    seed: int = 0,
) -> np.ndarray:
    r"""ROAD, with the most and the least important pixels removed (arXiv 2202.00449).

    Removed pixels are filled in from their surroundings, so that their outline doesn't
    reveal to the network what was there. As pytorch-grad-cam's ROADCombined:

    .. math::
        \frac{1}{2} \operatorname{mean}_p \big(f(x_{\text{least important } p\,\%
        \text{ removed}}) - f(x_{\text{most important } p\,\% \text{ removed}})\big)

    A positive value means that the map marks pixels that the class needs. The paper reports
    the two curves separately. Their difference is about 0 for a map without information.

    Args:
        model: As in `gradcam_cli.evaluation.faithfulness`, like the next three.
        inputs: (N, height, width, channels).
        targets: (N,) int, or one-hot (N, classes).
        maps: (N, height, width) or (N, height, width, 1).
        percentiles: The percentages of pixels to remove.
        seed: The seed of the noise.

    Returns:
        (N,) float64 in [-0.5, 0.5] for scores in [0, 1]; higher is better.
    """
    return mean_difference(removal_scores(model, inputs, targets, maps, percentiles, seed))


def removal_scores(
    model: Any,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    percentiles: tuple[float, ...] = PERCENTILES,
    seed: int = 0,
) -> np.ndarray:
    """Computes the class scores after removing the most and the least important pixels.

    Args:
        model: As for `road`, like the following.
        inputs: (N, height, width, channels).
        targets: (N,) int, or one-hot (N, classes).
        maps: (N, height, width) or (N, height, width, 1).
        percentiles: The percentages of pixels to remove.
        seed: The seed of the noise.

    Returns:
        (N, 2, percentiles) float64: first without the most, then without the least important
        pixels. The scores of one percentage don't depend on the other percentages, and those of
        one input not on the other inputs.
    """
    scorer = scores_of(model)
    inputs, targets = as_inputs(inputs), class_indices(targets)
    maps = as_maps(maps, inputs)
    results = np.empty((len(inputs), 2, len(percentiles)))
    noise = _NOISE * scorer.value_range * _draw_noise(inputs.shape[1:], percentiles, seed)
    for number, (image, heat) in enumerate(zip(inputs, maps, strict=True)):
        known = np.concatenate([_kept(heat, percentiles), _kept(-heat, percentiles)])
        image = np.asarray(image, np.float32)

        def remove(
            some: slice,
            image: np.ndarray = image,
            known: np.ndarray = known,
        ) -> np.ndarray:
            kept = known[some]
            filled = fill_in(np.broadcast_to(image, (len(kept), *image.shape)), kept)
            return np.where(kept[..., None], image, filled + noise[some])

        classes = np.full(len(known), targets[number])
        scores = scorer.of_changed(remove, image.shape, classes)
        results[number] = scores.reshape(2, -1)
    return results


def mean_difference(scores: np.ndarray) -> np.ndarray:
    """Computes `road` from the scores of `removal_scores`, (N, 2, percentiles)."""
    means = scores.mean(axis=2)
    return np.asarray((means[:, 1] - means[:, 0]) / 2)


def _draw_noise(shape: tuple[int, ...], percentiles: tuple[float, ...], seed: int) -> np.ndarray:
    """Draws noise for both orders of each percentage: (2 * percentiles, *shape) float32."""
    drawn = [
        np.random.default_rng([seed, round(100 * percentile)]).standard_normal(
            (2, *shape), np.float32
        )
        for percentile in percentiles
    ]
    return np.concatenate(np.stack(drawn, axis=1))


def _kept(heat: np.ndarray, percentiles: tuple[float, ...]) -> np.ndarray:
    """Marks the pixels that remain without the most important ones: (P, rows, columns)."""
    removed = np.round(np.array(percentiles) / 100 * heat.size)
    return np.asarray(pixel_ranks(heat) >= removed[:, None, None])
