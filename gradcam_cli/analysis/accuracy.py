"""How often predictions are right, and which are wrong in what way."""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_cli.analysis.audit_results import Fraction
from gradcam_cli.analysis.observation import Observation

_CONFIDENCE = 0.95


def fraction_of(count: int, total: int) -> Fraction:
    """Returns a fraction of pictures with its interval (Wilson 1927, doi 10.2307/2276774).

    Args:
        count: The number of pictures that it counts.
        total: The number of all pictures, at least 1.
    """
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(_CONFIDENCE, method="wilson")
    return Fraction(count, total, (float(interval.low), float(interval.high)))


def measure_accuracy(observations: Sequence[Observation]) -> Fraction | None:
    """Returns the fraction of right predictions.

    Args:
        observations: The observations. Those whose true class isn't known don't count.

    Returns:
        The fraction; None if no true class is known.
    """
    known = [one.is_right for one in observations if one.is_right is not None]
    return fraction_of(sum(known), len(known)) if known else None


def confuse(observations: Sequence[Observation]) -> dict[tuple[int, int], list[int]]:
    """Sorts pictures by what they show and what the network says they show.

    Args:
        observations: The observations. Those whose true class isn't known don't count.

    Returns:
        For each true and predicted class (indices of classes), the indices of the observations.
    """
    confusion: dict[tuple[int, int], list[int]] = {}
    for number, one in enumerate(observations):
        if one.truth is not None:
            confusion.setdefault((one.truth.index, one.predicted.index), []).append(number)
    return confusion


def rank_errors(observations: Sequence[Observation]) -> list[int]:
    """Returns the indices of the wrong predictions, the most confident first."""
    wrong = [number for number, one in enumerate(observations) if one.is_right is False]
    return sorted(wrong, key=lambda number: -observations[number].predicted.probability)


def rank_right(observations: Sequence[Observation]) -> list[int]:
    """Returns the indices of the right predictions, the least confident first."""
    right = [number for number, one in enumerate(observations) if one.is_right]
    return sorted(right, key=lambda number: observations[number].predicted.probability)
