"""A figure, and how far it can be trusted."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property

import numpy as np

CONFIDENCE = 0.95
_RESAMPLES = 2000
_SEED = 0
# How many values are resampled at once: what keeps memory small for many pictures.
_VALUES_AT_ONCE = 250_000


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

    By percentiles and not by BCa, SciPy's default: that corrects for skewness (of 100
    intervals of 30 skewed values, it adds about 3 that hold the true mean), but its time
    grows with the square of N.

    Args:
        values: (N,) float.

    Returns:
        Its ends; the same for the same values. Both are the mean if no two values differ,
        and NaN if a value is.
    """
    values = np.asarray(values, np.float64)
    # Also where a value is NaN.
    if not np.ptp(values) > 0:
        mean = float(values.mean())
        return mean, mean

    from scipy.stats import bootstrap

    # SciPy 1.13 and 1.14 know the old name alone, later ones will know the new one alone.
    seed = "rng" if "rng" in inspect.signature(bootstrap).parameters else "random_state"
    low, high = bootstrap(
        (values,),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=max(1, _VALUES_AT_ONCE // len(values)),
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        **{seed: np.random.default_rng(_SEED)},
    ).confidence_interval
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
