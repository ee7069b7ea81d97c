r"""Composite metrics: the harmonic mean of several that each can be cheated alone.

The coherency of both is 1 for a map that never changes, such as a Gaussian in the centre.
Compare them with those of the baselines.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradcam_cli.evaluation.arguments import as_inputs, as_maps, class_indices
from gradcam_cli.evaluation.faithfulness import (
    Baseline,
    baselines_of,
    fade,
    relative_drop,
    scale_to_mask,
)
from gradcam_cli.evaluation.map_properties import Explain
from gradcam_cli.evaluation.remove_and_debias import road
from gradcam_cli.evaluation.scores import scores_of

# Of ARCC in pytorch-grad-cam.
ARCC_PERCENTILES = (20, 40, 60, 80)
_EPSILON = 1e-8


def adcc(
    model: Any,
    explain: Explain,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    baseline: Baseline = None,
) -> np.ndarray:
    r"""ADCC: Average Drop, Coherency, Complexity (Poppi et al., 2021, arXiv 2104.10252).

    .. math::
        3 \left( \frac{1}{\mathrm{Coherency}} + \frac{1}{1 - \mathrm{Complexity}}
        + \frac{1}{1 - \mathrm{Drop}} \right)^{-1}

    Drop is the Average Drop, Coherency the correlation of the map with that of the faded
    input, from 0 to 1 (see `coherency`), and Complexity the mean of the map. The map is first
    scaled to [0, 1] from its minimum to its maximum.

    Args:
        model: As in `gradcam_cli.evaluation.faithfulness`, like ``baseline``.
        explain: From inputs (N, height, width, channels) and classes (N,) to maps.
        inputs: (N, height, width, channels).
        targets: (N,) int, or one-hot (N, classes).
        maps: (N, height, width) or (N, height, width, 1), the maps that ``explain`` returns
            for the inputs.
        baseline: The value of a removed pixel.

    Returns:
        (N,) float64 in [0, 1] for scores in [0, 1]; higher is better.
    """
    scorer, inputs = scores_of(model), as_inputs(inputs)
    targets, maps = class_indices(targets), as_maps(maps, inputs)
    faded = fade(inputs, maps, baselines_of(scorer, inputs, baseline))
    drop = relative_drop(scorer(inputs, targets), scorer(faded, targets))
    return combine_adcc(maps, explain(faded, targets), drop)


def arcc(
    model: Any,
    explain: Explain,
    inputs: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    baseline: Baseline = None,
    seed: int = 0,
) -> np.ndarray:
    r"""ARCC: ROAD, Coherency, Complexity (Domeniconi et al., 2026, arXiv 2605.14641).

    .. math::
        3 \left( \frac{1}{\mathrm{Coherency}} + \frac{1}{1 - \mathrm{Complexity}}
        + \frac{1}{\mathrm{ROAD}} \right)^{-1}

    Coherency and Complexity are those of `adcc`. ROAD, here with 20, 40, 60 and 80 % of the
    pixels removed, is doubled and cut off at 0 and 1. Values agree with those of
    pytorch-grad-cam (``python -m benchmarks.arcc_agreement``).

    Args:
        model: As for `adcc`, like the following.
        explain: From inputs and classes to maps.
        inputs: (N, height, width, channels).
        targets: (N,) int, or one-hot (N, classes).
        maps: (N, height, width) or (N, height, width, 1).
        baseline: What faded pixels become; ROAD fills pixels in from their surroundings.
        seed: The seed of ROAD's noise.

    Returns:
        (N,) float64 in [0, 1] for scores in [0, 1]; higher is better. 0 if ROAD is 0 or less.
    """
    scorer, inputs = scores_of(model), as_inputs(inputs)
    targets, maps = class_indices(targets), as_maps(maps, inputs)
    faded = fade(inputs, maps, baselines_of(scorer, inputs, baseline))
    removal = road(scorer, inputs, targets, maps, ARCC_PERCENTILES, seed)
    return combine_arcc(maps, explain(faded, targets), removal)


def coherency(maps: np.ndarray, faded_maps: np.ndarray) -> np.ndarray:
    r"""Coherency (Poppi et al., 2021): whether the hot regions alone lead to the same map.

    Pearson's correlation of the two maps, scaled from [-1, 1] to [0, 1].

    Args:
        maps: (N, height, width) or (N, height, width, 1).
        faded_maps: The maps of the inputs that were faded by ``maps``, in the same shape.

    Returns:
        (N,) float64 in [0, 1]; higher is better. 0.5 if a map is the same everywhere, as in
        pytorch-grad-cam.
    """
    first, second = (as_maps(some).reshape(len(some), -1) for some in (maps, faded_maps))
    first = first - first.mean(axis=1, keepdims=True, dtype=np.float64)
    second = second - second.mean(axis=1, keepdims=True, dtype=np.float64)
    scale = np.sqrt((first**2).mean(axis=1) * (second**2).mean(axis=1))
    correlation = (first * second).mean(axis=1) / (scale + _EPSILON)
    return np.asarray((correlation + 1) / 2)


def combine_adcc(maps: np.ndarray, faded_maps: np.ndarray, drop: np.ndarray) -> np.ndarray:
    """Computes `adcc` from its parts.

    Args:
        maps: (N, height, width).
        faded_maps: The maps of the faded inputs.
        drop: (N,), the Average Drop.
    """
    return _harmonic_mean(coherency(maps, faded_maps), 1 - _mean_heat(maps), 1 - drop)


def combine_arcc(maps: np.ndarray, faded_maps: np.ndarray, road: np.ndarray) -> np.ndarray:
    """Computes `arcc` from its parts.

    Args:
        maps: (N, height, width).
        faded_maps: The maps of the faded inputs.
        road: (N,), in [-0.5, 0.5].
    """
    removal = np.clip(2 * road, 0, 1)
    return _harmonic_mean(coherency(maps, faded_maps), 1 - _mean_heat(maps), removal)


def _mean_heat(maps: np.ndarray) -> np.ndarray:
    return np.asarray(scale_to_mask(maps).mean(axis=(1, 2), dtype=np.float64))


def _harmonic_mean(*parts: np.ndarray) -> np.ndarray:
    return np.asarray(len(parts) / sum(1 / (part + _EPSILON) for part in parts))
