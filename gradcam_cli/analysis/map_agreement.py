"""How far two maps of one picture agree."""

from __future__ import annotations

import numpy as np

# The part of a map's cells that counts as its hottest.
HOTTEST = 0.2
# What two unrelated maps share of their hottest fifths on average, over what either has.
OVERLAP_BY_CHANCE = HOTTEST / (2 - HOTTEST)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Computes the rank correlation (Spearman 1904) of two maps.

    Args:
        first: A map of any shape.
        second: Another map of this shape.

    Returns:
        In [-1, 1]: 1 if both rank all cells alike, 0 for unrelated maps; None if the same value
        is everywhere in a map.
    """
    if not np.ptp(first) > 0 or not np.ptp(second) > 0:
        return None
    from scipy.stats import rankdata

    ranks = rankdata(first.ravel()), rankdata(second.ravel())
    one, other = ((of_map - of_map.mean()) / of_map.std() for of_map in ranks)
    return float(np.mean(one * other).clip(-1, 1))


def hottest_overlap(first: np.ndarray, second: np.ndarray) -> float | None:
    """Computes the overlap (intersection over union) of the hottest fifths of two maps.

    A map that is above 0 in less than a fifth of its cells counts only these.

    Args:
        first: A map of any shape, 0 or more.
        second: Another map of this shape.

    Returns:
        In [0, 1]; about 0.11 for unrelated maps; None if the same value is everywhere in a map.
    """
    if not np.ptp(first) > 0 or not np.ptp(second) > 0:
        return None
    hot = _hottest(first), _hottest(second)
    return float(np.sum(hot[0] & hot[1]) / np.sum(hot[0] | hot[1]))


def _hottest(heat: np.ndarray) -> np.ndarray:
    number = max(1, round(HOTTEST * heat.size))
    limit = np.partition(heat, -number, axis=None)[-number]
    hot: np.ndarray = (heat >= limit) & (heat > 0)
    return hot
