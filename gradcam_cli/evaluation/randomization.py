r"""Randomization metrics: does a map change with the class, and with what was learned?

A map that stays the same explains the picture, not the network. Maps that don't depend on
the network at all get extreme values: compare methods with each other, not with baselines.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UsageError
from gradcam_cli.evaluation.arguments import as_inputs, as_maps, class_indices
from gradcam_cli.evaluation.map_properties import Explain

BINS = 100
# The usual size of the Gaussian window of structural similarity.
_WINDOW = 11


def random_logit(
    explain: Explain,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    classes: int,
    seed: int = 0,
) -> np.ndarray:
    """Random logit test (Sixt et al., 2020, arXiv 1912.09818).

    The structural similarity (SSIM) of the map of the class and that of another class, which
    is drawn at random. A method that explains the class gives different maps.

    Each map is divided by its largest magnitude first, as in Quantus. The class is drawn for
    each input by the seed and the input itself, so that it doesn't depend on the others.

    Args:
        explain: From inputs (N, height, width, channels) and classes (N,) to maps.
        inputs: (N, height, width, channels).
        targets: (N,) int, or one-hot (N, classes).
        maps: (N, height, width) or (N, height, width, 1), the maps that ``explain`` returns
            for the inputs.
        classes: The number of classes to draw from.
        seed: The seed of the random classes.

    Returns:
        (N,) float64 in [-1, 1]; lower is better. 1 if both maps are empty.

    Raises:
        UsageError: There is only one class.
    """
    if classes < 2:
        raise UsageError("the random logit test needs two classes or more")
    inputs, targets = as_inputs(inputs), class_indices(targets)
    maps = as_maps(maps, inputs)
    drawn = [
        _draw_other(image, target, classes, seed)
        for image, target in zip(inputs, targets, strict=True)
    ]
    others = as_maps(explain(inputs, np.array(drawn, np.int64)), inputs)
    return structural_similarity(maps, others)


def efficient_mprt(maps: np.ndarray, randomized_maps: np.ndarray, bins: int = BINS) -> np.ndarray:
    r"""Efficient model parameter randomization test (Hedström et al., 2024, arXiv 2405.02383).

    The relative rise of complexity when the network loses all that it learned:

    .. math::
        \frac{C(\hat M) - C(M)}{C(M)}

    C is the entropy of the histogram of a map's values, with bins of equal width from its
    smallest to its largest value. :math:`\hat M` is the map of the same class that the network
    with random weights gets; see `randomized_weights`. The paper initializes the weights anew;
    shuffled ones are as random.

    Args:
        maps: (N, height, width) or (N, height, width, 1) float.
        randomized_maps: The maps with random weights, in the same shape.
        bins: The number of bins; 100 as in Quantus.

    Returns:
        (N,) float64, above -1; higher is better. NaN if one of the maps is the same everywhere:
        an empty map is neither complex nor simple. Methods that show only what speaks for the
        class often give one with random weights.
    """
    before, after = (_histogram_entropy(as_maps(some), bins) for some in (maps, randomized_maps))
    known = (before > 0) & (after > 0)
    return np.where(known, (after - before) / np.where(known, before, 1.0), np.nan)


def structural_similarity(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Computes the SSIM of maps, each divided by its largest magnitude.

    Args:
        maps: (N, height, width).
        others: The same.

    Returns:
        (N,) float64 in [-1, 1].
    """
    window = min(_WINDOW, *maps.shape[1:])
    pair = [tf.constant(_scaled(some)[..., None]) for some in (maps, others)]
    similarities: np.ndarray = tf.image.ssim(*pair, max_val=1.0, filter_size=window).numpy()
    return similarities.astype(np.float64)


def _draw_other(image: np.ndarray, target: int, classes: int, seed: int) -> int:
    rng = np.random.default_rng([seed, crc32(np.ascontiguousarray(image).tobytes())])
    return int((target + rng.integers(1, classes)) % classes)


def _scaled(maps: np.ndarray) -> np.ndarray:
    largest = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return np.asarray(maps / np.where(largest > 0, largest, 1), np.float32)


def _histogram_entropy(maps: np.ndarray, bins: int) -> np.ndarray:
    counts = np.stack([np.histogram(heat, bins)[0] for heat in maps])
    shares = counts / counts.sum(axis=1, keepdims=True)
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1))
