"""Ranks methods and layers over several metrics, and compares them beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gradcam_cli.evaluation.evaluated_maps import EvaluatedMaps
from gradcam_cli.evaluation.measurement import Measurement, is_larger
from gradcam_cli.evaluation.table import ALL_METRICS

# With fewer pictures, even a method that is better in every one is so by chance in more than
# 5 % of cases (two-sided sign test).
FEWEST_PICTURES = 6
# Maps that are equal but for rounding are tied. This is about what files of results keep.
_DECIMALS = 6
_FEWEST_METRICS, _FEWEST_ROWS = 2, 3


@dataclass(frozen=True, eq=False)
class RankedMaps:
    """A method at a layer, with its ranks among the others.

    Attributes:
        maps: The row of the evaluation.
        ranks: For each picture, the mean of its ranks in all metrics. 1 means best in every
            metric; equal values share the mean of their ranks.
    """

    maps: EvaluatedMaps
    ranks: Measurement


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods and layers by their mean rank.

    In each picture, each metric ranks the methods. The mean rank is an average over metrics and
    pictures, so its interval is the usual bootstrap interval over the pictures, and two methods
    are compared on the same pictures. Ranks of resampled means would jump wherever two means
    are close, and a few pictures with extreme values would decide.

    Attributes:
        rows: The methods, best first, without the baselines. Empty if no metric was measured
            that can rank.
        metrics: The metrics that ranked.
        judges: The metrics that have an order: whose means aren't equal for all methods.
        agreement: Kendall's W: how far the judges put the means of the methods in the same
            order, from 0 to 1 (the same order). None for fewer than three methods or two judges.
    """

    rows: list[RankedMaps]
    metrics: list[str]
    judges: list[str]
    agreement: float | None

    @cached_property
    def leaders(self) -> list[RankedMaps]:
        """The first, and those that rank no worse beyond chance on the same pictures."""
        return [row for row in self.rows if row is self.rows[0] or not self._is_ahead_of(row)]

    def _is_ahead_of(self, row: RankedMaps) -> bool:
        first = self.rows[0].ranks.values
        return len(first) >= FEWEST_PICTURES and is_larger(row.ranks.values, first)


def rank_maps(rows: Sequence[EvaluatedMaps], metrics: Sequence[str]) -> Ranking:
    """Ranks methods and layers over several metrics.

    Args:
        rows: The methods and layers.
        metrics: Names of measured metrics.
    """
    ranks = _picture_ranks(rows, metrics)
    ranked = [RankedMaps(row, Measurement(own)) for row, own in zip(rows, ranks, strict=True)]
    in_order = sorted(ranked, key=lambda row: row.ranks.mean) if metrics else []
    orders = {name: rank_means(rows, name) for name in metrics}
    orders = {name: order for name, order in orders.items() if np.ptp(order) > 0}
    agreement = None
    if len(orders) >= _FEWEST_METRICS and len(rows) >= _FEWEST_ROWS:
        agreement = kendalls_w(np.array([*orders.values()]))
    return Ranking(in_order, list(metrics), list(orders), agreement)


def kendalls_w(ranks: np.ndarray) -> float | None:
    r"""Kendall's coefficient of concordance, corrected for ties.

    .. math::
        W = \frac{12 \sum_i (R_i - \bar{R})^2}{m^2 (n^3 - n) - m \sum_j \sum_g (t_{jg}^3 - t_{jg})}

    :math:`R_i` is the sum of the ranks of item i, and :math:`t_{jg}` the number of items that
    share the rank g of judge j (Kendall and Gibbons, "Rank Correlation Methods", 1990, chapter 6).

    Args:
        ranks: (m judges, n items); equal items have the mean of their ranks.

    Returns:
        From 0 to 1 (all judges agree); 1 / m is the mean for random orders. None if every judge
        finds all items equal.
    """
    judges, items = ranks.shape
    sums = ranks.sum(axis=0)
    ties = 0
    for own in ranks:
        _, counts = np.unique(own, return_counts=True)
        ties += int((counts**3 - counts).sum())
    possible = judges**2 * (items**3 - items) - judges * ties
    return float(12 * ((sums - sums.mean()) ** 2).sum() / possible) if possible > 0 else None


def rank_means(rows: Sequence[EvaluatedMaps], metric: str) -> np.ndarray:
    """Ranks rows by their means of a metric: (rows,), 1 for the best."""
    means = np.array([row.measurements[metric].mean for row in rows])
    ranks: np.ndarray = _ranks(means[None], metric)[0]
    return ranks


def best_rows(rows: Sequence[EvaluatedMaps], metric: str) -> list[EvaluatedMaps]:
    """Finds the best methods of a metric, if there is something to choose and to be proud of.

    Args:
        rows: Methods and baselines.
        metric: The metric.

    Returns:
        The methods with the best mean that beat every baseline beyond chance. None of them if
        there is a single method, or if all are equal.
    """
    explained = [row for row in rows if not row.is_baseline and metric in row.measurements]
    baselines = [row for row in rows if row.is_baseline]
    if len(explained) <= 1:
        return []
    ranks = rank_means(explained, metric)
    best = [row for row, rank in zip(explained, ranks, strict=True) if rank == ranks.min()]
    if len(best) == len(explained):
        return []
    return [row for row in best if all(beats(row, baseline, metric) for baseline in baselines)]


def beats(row: EvaluatedMaps, other: EvaluatedMaps, metric: str) -> bool:
    """Tests whether a row is better than another in a metric, beyond chance.

    The 95 % interval of the mean difference on the same pictures must lie on one side of 0.
    Fewer than six pictures prove nothing.
    """
    pairs = [
        (values[metric], other.values[picture][metric])
        for picture, values in row.values.items()
        if metric in values and metric in other.values.get(picture, {})
    ]
    if len(pairs) < FEWEST_PICTURES:
        return False
    ours, theirs = np.array(pairs).T
    if not ALL_METRICS[metric].higher_is_better:
        ours, theirs = theirs, ours
    # Resampling takes long, and is needed only if the mean speaks for the row.
    return bool(ours.mean() > theirs.mean()) and is_larger(ours, theirs)


def _picture_ranks(rows: Sequence[EvaluatedMaps], metrics: Sequence[str]) -> np.ndarray:
    """Averages the ranks in each picture over the metrics: (rows, pictures).

    A metric is left out where it has no value for some row, and a picture if that leaves none.
    """
    pictures = sorted(set.intersection(*(set(row.values) for row in rows))) if rows else []
    total = np.zeros((len(pictures), len(rows)))
    counts = np.zeros((len(pictures), 1))
    for metric in metrics:
        values = np.array(
            [[row.values[number].get(metric, np.nan) for row in rows] for number in pictures]
        ).reshape(total.shape)
        known = np.isfinite(values).all(axis=1, keepdims=True)
        total += np.where(known, _ranks(np.where(known, values, 0), metric), 0)
        counts += known
    some = counts[:, 0] > 0
    ranks: np.ndarray = (total[some] / counts[some]).T
    return ranks


def _ranks(values: np.ndarray, metric: str) -> np.ndarray:
    """Ranks the columns of each row, from the best, with ties: (rows, columns)."""
    from scipy.stats import rankdata

    largest = np.abs(values).max(axis=1, keepdims=True, initial=0)
    rounded = np.round(values / np.where(largest > 0, largest, 1), _DECIMALS)
    signed = -rounded if ALL_METRICS[metric].higher_is_better else rounded
    return np.asarray(rankdata(signed, axis=1), np.float64).reshape(values.shape)
