"""A metric's mean over pictures, with its confidence interval."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property

import numpy as np

CONFIDENCE = 0.95
_RESAMPLES = 2000
_SEED = 0
# The number of values resampled at once, which limits memory for many pictures.
_VALUES_AT_ONCE = 250_000


@dataclass(frozen=True, eq=False)
class Measurement:
    """One metric of one kind of map over a set of pictures.

    The interval comes from the percentile bootstrap (Efron and Tibshirani, "An Introduction
    to the Bootstrap", 1993, chapter 13) with 2,000 resamples of the pictures. For a single
    picture, both ends are its value.

    Attributes:
        values: (N,) float64, one value for each picture.
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
        """Half the width of the interval: the number after "±"."""
        low, high = self.interval
        return (high - low) / 2


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """Computes the 95 % confidence interval of a mean by resampling.

    It uses percentiles, not SciPy's default BCa. BCa corrects for skewness: of 100 intervals
    for 30 skewed values, about 3 more contain the true mean. But its time grows with the
    square of N.

    Args:
        values: (N,) float.

    Returns:
        The lower and the upper end, the same on each call. Both are the mean if all values
        are equal, and NaN if a value is NaN.
    """
    values = np.asarray(values, np.float64)
    # The comparison is also false if a value is NaN.
    if not np.ptp(values) > 0:
        mean = float(values.mean())
        return mean, mean

    from scipy.stats import bootstrap

    # SciPy 1.13 and 1.14 accept only the old name; later releases will accept only the new.
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
    """Tests whether values are larger than others of the same pictures, beyond chance.

    Args:
        values: (N,) float.
        others: (N,) float, of the same pictures in the same order.

    Returns:
        Whether the 95 % interval of the mean difference lies above 0.
    """
    return bootstrap_interval(np.asarray(values) - np.asarray(others))[0] > 0
