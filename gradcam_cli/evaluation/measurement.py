"""A figure, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

CONFIDENCE = 0.95
_RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True, eq=False)
class Measurement:
    """One metric of one kind of map, over a set of pictures.

    The interval is that of the percentile bootstrap (Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993, chapter 13) with 2,000 resamples of the pictures:
    where the mean would lie for 95 of 100 such sets. Of one picture it is that picture.

    Attributes:
        values: (N,) float64, one for each picture.
    """

    values: np.ndarray

    @cached_property
    def mean(self) -> float:
        """The mean over the pictures."""
        return float(np.mean(self.values))

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % confidence interval of the mean."""
        return bootstrap_interval(self.values)

    @property
    def margin(self) -> float:
        """Half of the width of the interval: what stands behind "±"."""
        low, high = self.interval
        return (high - low) / 2


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """Computes the 95 % confidence interval of a mean by resampling.

    Args:
        values: (N,) float.

    Returns:
        Its ends.
    """
    rng = np.random.default_rng(_SEED)
    rows = rng.integers(0, len(values), (_RESAMPLES, len(values)))
    means = np.asarray(values, np.float64)[rows].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return float(low), float(high)


def is_larger(values: np.ndarray, others: np.ndarray) -> bool:
    """Says whether values are larger than others of the same pictures, beyond chance.

    Args:
        values: (N,) float.
        others: (N,) float, of the same pictures in the same order.

    Returns:
        Whether the 95 % interval of the mean difference lies above 0.
    """
    return bootstrap_interval(np.asarray(values) - np.asarray(others))[0] > 0
