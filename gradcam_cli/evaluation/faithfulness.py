r"""Faithfulness metrics: does a map show what the network used?

Every function takes a model, inputs, target classes and maps, and returns one value for
each input. `gradcam_cli.evaluation.measurement.Measurement` averages the values. The
arguments that they share are:

* model: A `Classifier` (inputs in [0, 255], scores are probabilities), a Keras model, or any
  function from inputs to (N, classes), whose outputs are the scores.
* inputs: (N, height, width, channels), uint8 or float, as the model takes them.
* targets: (N,) int, or one-hot (N, classes).
* maps: (N, height, width) or (N, height, width, 1) float, with the height and width of the
  inputs. Larger values mean more important pixels, as in the maps that ``explain`` of
  `gradcam_cli.GradCAM` returns.
* baseline: The value of a removed pixel: a number, a colour, or an array of the inputs'
  shape. None is 0 for a Keras model, as in Xplique. For a `Classifier` it is the mean colour
  of ImageNet, which normalization maps to 0, as in pytorch-grad-cam, torchcam and RISE's
  code. Black, the pixel value 0, is a colour that the network has seen in training.

Inputs, targets and maps may be arrays, tensors or lists. Other shapes raise `UsageError`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcam_cli.evaluation.arguments import as_inputs, as_maps, class_indices
from gradcam_cli.evaluation.scores import TargetScores, scores_of

Baseline = float | np.ndarray | None

STEPS = 10
GRID = 9
SUBSET_SHARE = 0.2
SUBSETS = 200
_EPSILON = 1e-8
# Relative to a score, in float32.
_ROUNDING = 1e-5


def average_drop(
    model: Any, inputs: np.ndarray, targets: np.ndarray, maps: np.ndarray, baseline: Baseline = None
) -> np.ndarray:
    r"""Average Drop (Chattopadhay et al., 2018, arXiv 1710.11063, section 5.1).

    The fraction of the class score Y that is lost when the input is faded by its map M, which
    is first scaled to [0, 1] from its minimum to its maximum:

    .. math::
        \frac{\max(0, Y - O)}{Y}, \quad O = f(M \odot x + (1 - M) \odot b)

    The paper multiplies the picture by the map. This function, like torchcam,
    pytorch-grad-cam and Xplique, multiplies the network's normalized input, where 0 is grey
    for most networks. The drop is divided by Y, as in the paper, torchcam and Xplique;
    pytorch-grad-cam doesn't divide.

    Returns:
        (N,) float64 in [0, 1]; lower is better. The paper reports percentages.
    """
    return relative_drop(*_before_and_after(model, inputs, targets, maps, baseline))


def increase_in_confidence(
    model: Any, inputs: np.ndarray, targets: np.ndarray, maps: np.ndarray, baseline: Baseline = None
) -> np.ndarray:
    r"""Increase in Confidence (Chattopadhay et al., 2018, arXiv 1710.11063, section 5.1).

    Whether the class is more probable for the faded input than for the original,
    :math:`[O > Y]`, with O and Y as in `average_drop`. The mean is the fraction of such inputs.

    Returns:
        (N,) float64, 0 or 1; higher is better.
    """
    return is_increase(*_before_and_after(model, inputs, targets, maps, baseline))


def average_gain(
    model: Any, inputs: np.ndarray, targets: np.ndarray, maps: np.ndarray, baseline: Baseline = None
) -> np.ndarray:
    r"""Average Gain (Zhang et al., 2024, Opti-CAM, arXiv 2301.07002).

    The gain as a fraction of the largest possible gain, with O and Y as in `average_drop`:

    .. math::
        \frac{\max(0, O - Y)}{1 - Y}

    Returns:
        (N,) float64 in [0, 1] for scores in [0, 1]; higher is better.
    """
    return relative_gain(*_before_and_after(model, inputs, targets, maps, baseline))


def relative_drop(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Computes `average_drop` from the scores (N,) of the original and the faded inputs."""
    return np.asarray(np.maximum(before - after, 0) / (before + _EPSILON))


def is_increase(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Computes `increase_in_confidence` from the scores (N,) before and after fading."""
    return np.asarray(after > before, np.float64)


def relative_gain(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Computes `average_gain` from the scores (N,) before and after fading."""
    return np.asarray(np.maximum(after - before, 0) / (1 - before + _EPSILON))


def fade(inputs: np.ndarray, maps: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Fades inputs by their maps, each scaled to [0, 1] from its minimum to its maximum.

    Returns:
        Float32 of the shape of ``inputs``. A constant map fades everything.
    """
    mask = scale_to_mask(maps)[..., None]
    return np.asarray(np.asarray(inputs, np.float32) * mask + (1 - mask) * baseline)


def scale_to_mask(maps: np.ndarray) -> np.ndarray:
    """Scales the magnitudes of maps to [0, 1], each from its minimum to its maximum.

    Returns:
        (N, height, width) float32. A constant map is 0 everywhere.
    """
    maps = np.abs(as_maps(maps).astype(np.float32))
    low = maps.min(axis=(1, 2), keepdims=True)
    high = maps.max(axis=(1, 2), keepdims=True)
    return np.asarray((maps - low) / (high - low + np.float32(_EPSILON)))


def deletion(
    model: Any,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    baseline: Baseline = None,
    steps: int = STEPS,
) -> np.ndarray:
    """Deletion (Petsiuk et al., 2018, RISE, arXiv 1806.07421, section 4.2).

    The area under the curve of the class score, by the trapezoidal rule, as pixels are
    replaced by the baseline in order of importance, most important first. With a good map
    the score falls quickly.

    By default there are 10 steps of a tenth of the pixels each, as in Xplique. The paper takes
    one step for each row of the picture. Pixels of equal importance are replaced in reading
    order.

    Returns:
        (N,) float64 in [0, 1] for scores in [0, 1]; lower is better.
    """
    scorer, inputs = scores_of(model), as_inputs(inputs)
    ends = baselines_of(scorer, inputs, baseline)
    return area_under(_replace_by_rank(scorer, inputs, targets, maps, (inputs, ends), steps))


def insertion(
    model: Any,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    baseline: Baseline = None,
    steps: int = STEPS,
) -> np.ndarray:
    """Insertion (Petsiuk et al., 2018, RISE, arXiv 1806.07421, section 4.2).

    The area under the curve of the class score as the input's pixels replace the baseline,
    most important first, in the steps of `deletion`. The paper starts from a blurred copy of
    the picture. This function and Xplique start from the baseline; a blurred copy can be
    passed as ``baseline``.

    Returns:
        (N,) float64 in [0, 1] for scores in [0, 1]; higher is better.
    """
    scorer, inputs = scores_of(model), as_inputs(inputs)
    starts = baselines_of(scorer, inputs, baseline)
    return area_under(_replace_by_rank(scorer, inputs, targets, maps, (starts, inputs), steps))


def mu_fidelity(
    model: Any,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    baseline: Baseline = None,
    grid: int = GRID,
    share: float = SUBSET_SHARE,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> np.ndarray:
    r"""MuFidelity (Bhatt et al., 2020, arXiv 2005.00631, definition 3).

    How well the summed importance of a random set S of pixels predicts the loss of class
    score when these pixels are replaced by the baseline:

    .. math::
        \mathrm{corr}_S\Big(\sum_{i \in S} M_i, \; f(x) - f(x_{[x_S = b]})\Big)

    As in Xplique, the sets consist of grid cells, each drawn with the same probability, and
    the correlation is Spearman's. The paper draws sets of one size and uses Pearson's
    correlation. With sets of several sizes, larger sets cost more and hold more importance,
    so even a random map scores above 0. Compare a map with that score, not with 0.

    All inputs of one size share the same sets, which depend only on the seed.

    Args:
        model: See the module docstring, as for the next four.
        inputs: See the module docstring.
        targets: See the module docstring.
        maps: See the module docstring.
        baseline: See the module docstring.
        grid: The number of cells along each side.
        share: The probability that a cell is in a set.
        subsets: The number of sets.
        seed: The seed of the random numbers.

    Returns:
        (N,) float64 in [-1, 1]; higher is better. 0 if the score or the map is constant over
        the sets.
    """
    inputs = as_inputs(inputs)
    maps = as_maps(maps, inputs)
    subset_masks = draw_subsets(inputs.shape[1:3], grid, share, subsets, seed)
    losses = subset_losses(model, inputs, targets, subset_masks, baseline)
    return correlate_subsets(losses, subset_masks, maps)


def infidelity(
    model: Any,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    baseline: Baseline = None,
    grid: int = GRID,
    share: float = SUBSET_SHARE,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> np.ndarray:
    r"""Infidelity (Yeh et al., 2019, arXiv 1901.09392, definition 2.1).

    How far the summed importance of a random set S of pixels is from the loss of class score
    when these pixels are replaced by the baseline:

    .. math::
        \operatorname{mean}_S \Big( \beta \sum_{i \in S} M_i
        - \big(f(x) - f(x_{[x_S = b]})\big) \Big)^2

    A map has no unit, so it is scaled by the factor :math:`\beta` that makes the infidelity
    smallest, as in the paper and in Captum. Here it isn't below 0: an inverted map is as wrong
    as an empty one. The perturbation is the paper's "subset of difference to baseline", with
    the sets of `mu_fidelity`. Unlike MuFidelity, it compares sizes, not ranks.

    Args:
        model: See the module docstring, as for the next four.
        inputs: See the module docstring.
        targets: See the module docstring.
        maps: See the module docstring.
        baseline: See the module docstring.
        grid: As for `mu_fidelity`, like the following.
        share: The probability that a cell is in a set.
        subsets: The number of sets.
        seed: The seed of the random numbers.

    Returns:
        (N,) float64, 0 or more, in the unit of the score squared; lower is better. An empty map
        gets the mean square of the losses, which is the largest value.
    """
    inputs = as_inputs(inputs)
    maps = as_maps(maps, inputs)
    subset_masks = draw_subsets(inputs.shape[1:3], grid, share, subsets, seed)
    losses = subset_losses(model, inputs, targets, subset_masks, baseline)
    return mean_square_misfit(losses, subset_masks, maps)


def draw_subsets(
    size: tuple[int, int],
    grid: int = GRID,
    share: float = SUBSET_SHARE,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> np.ndarray:
    """Draws the sets of pixels of `mu_fidelity`.

    Args:
        size: (height, width) of the inputs in pixels.
        grid: As for `mu_fidelity`, like the following.
        share: The probability that a cell is in a set.
        subsets: The number of sets.
        seed: The seed of the random numbers.

    Returns:
        (subsets, height, width) bool, true for pixels in the set.
    """
    rng = np.random.default_rng(seed)
    cells = rng.random((subsets, grid, grid)) < share
    rows, columns = (np.arange(length) * grid // length for length in size)
    return cells[:, rows][:, :, columns]


def subset_losses(
    model: Any,
    inputs: np.ndarray,
    targets: np.ndarray,
    subsets: np.ndarray,
    baseline: Baseline = None,
) -> np.ndarray:
    """Computes the loss of class score without each set of pixels; this needs no map.

    Returns:
        (N, subsets) float64.
    """
    scorer, inputs = scores_of(model), as_inputs(inputs)
    targets = class_indices(targets)
    ends = baselines_of(scorer, inputs, baseline)
    before = scorer(inputs, targets)
    losses = np.empty((len(inputs), len(subsets)))
    for number, (image, end, target) in enumerate(zip(inputs, ends, targets, strict=True)):

        def remove(some: slice, image: np.ndarray = image, end: np.ndarray = end) -> np.ndarray:
            return np.where(subsets[some, ..., None], end, image)

        after = scorer.of_changed(remove, image.shape, np.full(len(subsets), target))
        lost = before[number] - after
        # Differences within rounding error have a rank too, but no meaning.
        losses[number] = np.where(np.abs(lost) < _ROUNDING * abs(before[number]), 0, lost)
    return losses


def correlate_subsets(losses: np.ndarray, subsets: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Correlates the loss of score without sets of pixels with the sets' importance.

    Args:
        losses: (N, subsets), from `subset_losses`.
        subsets: (subsets, height, width) bool.
        maps: (N, height, width).

    Returns:
        (N,) float64 in [-1, 1].
    """
    importance = _summed_importance(subsets, maps)
    return np.array(
        [rank_correlation(a, b) for a, b in zip(losses, importance, strict=True)], np.float64
    )


def mean_square_misfit(losses: np.ndarray, subsets: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Computes `infidelity` from the loss of score without sets of pixels.

    Args:
        losses: (N, subsets), from `subset_losses`.
        subsets: (subsets, height, width) bool.
        maps: (N, height, width).

    Returns:
        (N,) float64, 0 or more.
    """
    importance = _summed_importance(subsets, maps).astype(np.float64)
    squares = (importance**2).sum(axis=1)
    products = (importance * losses).sum(axis=1)
    factors = np.maximum(products, 0) / np.where(squares > 0, squares, 1.0)
    return np.asarray(((factors[:, None] * importance - losses) ** 2).mean(axis=1))


def _summed_importance(subsets: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Sums the importance of the pixels of each set: (N, subsets)."""
    flat = subsets.reshape(len(subsets), -1).astype(np.float32)
    return np.asarray(as_maps(maps).astype(np.float32).reshape(len(maps), -1) @ flat.T)


def baselines_of(scorer: TargetScores, inputs: np.ndarray, baseline: Baseline) -> np.ndarray:
    """Returns the inputs with all pixels removed.

    Args:
        scorer: The scorer, whose baseline is the default.
        inputs: (N, height, width, channels).
        baseline: See the module docstring.

    Returns:
        Float32 of the shape of ``inputs``; a view that can't be written to.
    """
    chosen = scorer.baseline if baseline is None else np.asarray(baseline, np.float32)
    return np.broadcast_to(chosen, inputs.shape)


def scores_by_rank(
    scorer: TargetScores,
    ends: tuple[np.ndarray, np.ndarray],
    target: int,
    rank: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    """Scores the steps from one input to another.

    Args:
        scorer: Computes the scores.
        ends: The first and the last input, each (height, width, channels).
        target: The class.
        rank: (height, width) int, the place of each pixel in the order of replacement.
        counts: (steps,) int, increasing; after each step, the pixels of a lower rank are
            replaced.

    Returns:
        (steps,) float64.
    """

    def replace(some: slice) -> np.ndarray:
        replaced = (rank < counts[some, None, None])[..., None]
        changed: np.ndarray = np.where(replaced, ends[1], ends[0])
        return changed

    return scorer.of_changed(replace, ends[0].shape, np.full(len(counts), target))


def pixel_ranks(heat: np.ndarray) -> np.ndarray:
    """Ranks pixels or segments, the most important first; equal ones in reading order.

    Args:
        heat: Their importance, of any shape.

    Returns:
        Int64 of the same shape, from 0.
    """
    ranks = np.empty(heat.size, np.int64)
    ranks[np.argsort(-heat.ravel(), kind="stable")] = np.arange(heat.size)
    return ranks.reshape(heat.shape)


def rank_correlation(values: np.ndarray, others: np.ndarray) -> float:
    """Computes Spearman's rank correlation; 0 if either argument is constant."""
    from scipy.stats import spearmanr

    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(spearmanr(np.ravel(values), np.ravel(others)).statistic)


def _before_and_after(
    model: Any, inputs: np.ndarray, targets: np.ndarray, maps: np.ndarray, baseline: Baseline
) -> tuple[np.ndarray, np.ndarray]:
    scorer, inputs = scores_of(model), as_inputs(inputs)
    targets, maps = class_indices(targets), as_maps(maps, inputs)
    faded = fade(inputs, maps, baselines_of(scorer, inputs, baseline))
    return scorer(inputs, targets), scorer(faded, targets)


def _replace_by_rank(
    scorer: TargetScores,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
    steps: int,
) -> np.ndarray:
    """Scores the steps from one input to another, most important pixels first: (N, steps + 1)."""
    targets = class_indices(targets)
    pixels = inputs.shape[1] * inputs.shape[2]
    # The number of pixels replaced after each step.
    counts = np.linspace(0, pixels, steps + 1).astype(np.int64)
    scores = np.empty((len(inputs), steps + 1))
    for number, heat in enumerate(as_maps(maps, inputs)):
        pair = ends[0][number], ends[1][number]
        ranks = pixel_ranks(heat)
        scores[number] = scores_by_rank(scorer, pair, targets[number], ranks, counts)
    return scores


def area_under(curves: np.ndarray) -> np.ndarray:
    """Computes the area under curves from 0 to 1 by the trapezoidal rule: (N, steps) to (N,)."""
    return np.asarray((curves[:, :-1] + curves[:, 1:]).mean(axis=1) / 2)
