"""Properties of maps alone, and their stability under noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradcam_cli.evaluation.arguments import as_inputs, as_maps, class_indices

RADIUS = 0.1
NEIGHBOURS = 20

# From inputs (N, height, width, channels) and classes (N,) to maps (N, height, width).
Explain = Callable[[np.ndarray, np.ndarray], np.ndarray]


def sparseness(maps: np.ndarray) -> np.ndarray:
    r"""Sparseness (Chalasani et al., 2020, arXiv 1810.06583): the Gini index.

    With the n absolute values in ascending order:

    .. math::
        \frac{2 \sum_i i \, |M|_{(i)}}{n \sum_i |M|_{(i)}} - \frac{n + 1}{n}

    Args:
        maps: (N, height, width) or (N, height, width, 1) float, an array or a tensor.

    Returns:
        (N,) float64, from 0 (uniform) to nearly 1 (all in one pixel). 0 for an empty map.
    """
    values = np.sort(_magnitudes(maps), axis=1)
    n = values.shape[1]
    totals = values.sum(axis=1)
    weighted = 2 * (values * np.arange(1, n + 1)).sum(axis=1)
    safe = np.where(totals > 0, totals, 1.0)
    return np.where(totals > 0, weighted / (n * safe) - (n + 1) / n, 0.0)


def complexity(maps: np.ndarray) -> np.ndarray:
    r"""Complexity (Bhatt et al., 2020, arXiv 2005.00631, definition 4): the entropy.

    .. math::
        -\sum_i p_i \ln p_i, \quad p_i = \frac{|M_i|}{\sum_j |M_j|}

    Args:
        maps: (N, height, width) or (N, height, width, 1) float, an array or a tensor.

    Returns:
        (N,) float64 in nats, from 0 (all in one pixel) to ln(height * width) (uniform). An
        empty map has the entropy of a uniform one.
    """
    values = _magnitudes(maps)
    empty = values.sum(axis=1) == 0
    values = np.where(empty[:, None], 1.0, values)
    shares = values / values.sum(axis=1, keepdims=True)
    logarithms = np.log(np.where(shares > 0, shares, 1.0))
    return np.asarray(-(shares * logarithms).sum(axis=1))


def compactness(maps: np.ndarray) -> np.ndarray:
    r"""Compactness: how close together the heat lies.

    The spatial variance of the heat around its centre :math:`\mu`, relative to that of a map
    that is the same everywhere:

    .. math::
        1 - \frac{\sum_i p_i \lVert r_i - \mu \rVert^2}{\operatorname{mean}_i
        \lVert r_i - \bar r \rVert^2}, \quad p_i = \frac{|M_i|}{\sum_j |M_j|}

    Sparseness and complexity stay the same when pixels change places; compactness doesn't: one
    region is more compact than several far apart. There is no common definition. The spatial
    variance is the measure of compactness in salient object detection (Perazzi et al., 2012,
    "Saliency Filters", CVPR); the relation to an even map makes pictures of all sizes
    comparable.

    Args:
        maps: (N, height, width) or (N, height, width, 1) float, an array or a tensor.

    Returns:
        (N,) float64, from 1 (all in one pixel) to -2 (in opposite corners); 0 for an even or
        an empty map. Positions are relative to the sides of the map.
    """
    values = _magnitudes(maps)
    height, width = np.shape(maps)[1:3]
    empty = values.sum(axis=1) == 0
    values = np.where(empty[:, None], 1.0, values)
    shares = values / values.sum(axis=1, keepdims=True)
    rows, columns = np.indices((height, width)).reshape(2, -1)
    positions = np.stack([(rows + 0.5) / height, (columns + 0.5) / width], axis=1)
    spread = (shares @ positions**2 - (shares @ positions) ** 2).sum(axis=1)
    return np.asarray(1 - spread / positions.var(axis=0).sum())


def average_stability(
    explain: Explain,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    radius: float = RADIUS,
    neighbours: int = NEIGHBOURS,
    seed: int = 0,
) -> np.ndarray:
    r"""Average Stability (Bhatt et al., 2020, arXiv 2005.00631, definition 2).

    The mean distance that the map moves when a little noise is added to the input:

    .. math::
        \operatorname{mean}_\epsilon \, \lVert M(x + \epsilon) - M(x) \rVert_2

    As in Xplique, the noise is uniform between 0 and the radius and the same for all inputs
    of one size, and the distance is Euclidean. The paper specifies neither.

    Args:
        explain: From inputs (N, height, width, channels) and classes (N,) to maps.
        inputs: (N, height, width, channels).
        targets: (N,) int, or one-hot (N, classes).
        maps: (N, height, width) or (N, height, width, 1), the maps that ``explain`` returns
            for the inputs.
        radius: The largest noise, in the units of the inputs: 0.1 for values in [0, 1], 25.5
            for pixels in [0, 255].
        neighbours: The number of noisy copies of each input.
        seed: The seed of the noise.

    Returns:
        (N,) float64, 0 or more; lower is better.
    """
    inputs, targets = as_inputs(inputs), class_indices(targets)
    maps = as_maps(maps)
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0, radius, (neighbours, *inputs.shape[1:])).astype(np.float32)
    distances = np.empty(len(inputs))
    for number, image in enumerate(np.asarray(inputs, np.float32)):
        moved = explain(image + noise, np.full(neighbours, targets[number]))
        differences = (as_maps(moved) - maps[number]).reshape(neighbours, -1).astype(np.float64)
        distances[number] = np.sqrt((differences**2).sum(axis=1)).mean()
    return distances


def _magnitudes(maps: np.ndarray) -> np.ndarray:
    """Returns the absolute values, (N, pixels) float64."""
    return np.abs(as_maps(maps).reshape(len(maps), -1).astype(np.float64))
