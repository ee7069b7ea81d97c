"""The comparison of two networks, methods or layers on the same pictures, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gradcam_cli.analysis.accuracy import fraction_of
from gradcam_cli.analysis.audit_results import Fraction
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.errors import GradcamError
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.models.labels import Prediction

MODELS, WEIGHTS, METHODS, LAYERS = "models", "weights", "methods", "layers"
# A correlation of two pictures is always 1 or -1.
_FEWEST_CORRELATED = 3


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        name: What tells it from the other: a model, a file, a method or a layer.
        explainer: Its model, method and layer.
    """

    name: str
    explainer: ExplainerFacts


@dataclass(frozen=True)
class ComparedPicture:
    """What both sides say of one picture. Each pair has the first side's value first.

    Attributes:
        path: The file, as the user would write it.
        predicted: The most probable class, or the first output of a regression.
        explained: The class whose maps are compared, with its probability, or the output with its
            value. The second is None if the second model has no such class.
        same_prediction: Whether both predict the same class. The classes of two models are the
            same if their names are.
        truth: The name of the true class; None if it isn't known.
        right: Whether the most probable class is the true one; None if that isn't known.
        correlation: The rank correlation of the maps, in [-1, 1]; None if they can't be compared.
        overlap: What their hottest fifths share, in [0, 1]; None if they can't be compared.
        note: Why the maps can't be compared; "" if they can.
    """

    path: str
    predicted: tuple[Prediction, Prediction]
    explained: tuple[Prediction, Prediction | None]
    same_prediction: bool
    truth: str | None = None
    right: tuple[bool, bool] | None = None
    correlation: float | None = None
    overlap: float | None = None
    note: str = ""


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of whether two networks are right equally often.

    Only the pictures count for which just one of them is right. If both were equally good, these
    would be divided like tosses of a coin (McNemar 1947, doi 10.1007/BF02295996).

    Attributes:
        only_first: The number of pictures for which only the first is right.
        only_second: The number of pictures for which only the second is right.
        p: How likely a difference as large as this one, or larger, is by chance.
    """

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True, eq=False)
class ValueAgreement:
    """How far two regressions agree.

    Attributes:
        output: The name of the compared output.
        difference: The second value minus the first.
        correlation: The linear correlation of the values (Pearson), in [-1, 1]; None for fewer
            than three pictures, or if a value is always the same.
    """

    output: str
    difference: Measurement
    correlation: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """What pictures say about two networks, methods or layers.

    Attributes:
        kind: What is compared: "models", "weights", "methods" or "layers".
        sides: The two.
        pictures: The pictures that both explain, in their order.
        errors: Why other pictures couldn't be compared, by their files.
        compared_class: Which class the maps are of, in words that follow "maps of".
        notes: What to bear in mind: sentences.
    """

    kind: str
    sides: tuple[Side, Side]
    pictures: Sequence[ComparedPicture]
    errors: Mapping[str, GradcamError]
    compared_class: str
    notes: Sequence[str] = ()

    @property
    def has_two_networks(self) -> bool:
        """Whether predictions may differ: methods and layers are compared in one network."""
        return self.kind in (MODELS, WEIGHTS)

    @property
    def are_values(self) -> bool:
        """Whether the networks return values instead of classes."""
        return any(one.predicted[0].is_value for one in self.pictures)

    @cached_property
    def both_right(self) -> list[int]:
        """The indices of the pictures for which both are right."""
        return self._having((True, True))

    @cached_property
    def only_first(self) -> list[int]:
        """The indices of the pictures for which only the first is right."""
        return self._having((True, False))

    @cached_property
    def only_second(self) -> list[int]:
        """The indices of the pictures for which only the second is right."""
        return self._having((False, True))

    @cached_property
    def neither_right(self) -> list[int]:
        """The indices of the pictures for which both are wrong."""
        return self._having((False, False))

    @cached_property
    def accuracies(self) -> tuple[Fraction, Fraction] | None:
        """How often each is right; None if no true class is known."""
        known = [one.right for one in self.pictures if one.right is not None]
        if not known:
            return None
        first, second = (sum(right[side] for right in known) for side in (0, 1))
        return fraction_of(first, len(known)), fraction_of(second, len(known))

    @cached_property
    def mcnemar(self) -> McNemar | None:
        """The test of their accuracies; None for one network, or if no true class is known."""
        if self.accuracies is None or not self.has_two_networks:
            return None
        return compare_accuracies(len(self.only_first), len(self.only_second))

    @cached_property
    def same_predictions(self) -> Fraction | None:
        """How often both predict the same class; None for one network or for values."""
        if not self.has_two_networks or self.are_values or not self.pictures:
            return None
        return fraction_of(sum(one.same_prediction for one in self.pictures), len(self.pictures))

    @cached_property
    def values(self) -> ValueAgreement | None:
        """How far the values of two regressions agree; None for one network, or for classes."""
        if not self.has_two_networks or not self.are_values:
            return None
        pairs = [one.explained for one in self.pictures if one.explained[1] is not None]
        first = np.array([one.probability for one, _ in pairs])
        second = np.array([other.probability for _, other in pairs if other is not None])
        correlation = None
        if len(pairs) >= _FEWEST_CORRELATED and np.ptp(first) > 0 and np.ptp(second) > 0:
            correlation = float(np.corrcoef(first, second)[0, 1])
        return ValueAgreement(pairs[0][0].name, Measurement(second - first), correlation)

    @cached_property
    def correlation(self) -> Measurement | None:
        """The rank correlation of the maps; None if no maps can be compared."""
        return _measure([one.correlation for one in self.pictures])

    @cached_property
    def overlap(self) -> Measurement | None:
        """What the hottest fifths of the maps share; None if no maps can be compared."""
        return _measure([one.overlap for one in self.pictures])

    @cached_property
    def most_different(self) -> list[int]:
        """The indices of the pictures with comparable maps, the least correlated first."""
        known = [
            (one.correlation, one.overlap, number)
            for number, one in enumerate(self.pictures)
            if one.correlation is not None
        ]
        return [number for *_, number in sorted(known)]

    def _having(self, right: tuple[bool, bool]) -> list[int]:
        return [number for number, one in enumerate(self.pictures) if one.right == right]


def compare_accuracies(only_first: int, only_second: int) -> McNemar:
    """Tests whether two networks are right equally often.

    Args:
        only_first: The number of pictures for which only the first is right.
        only_second: The number of pictures for which only the second is right.
    """
    from scipy.stats import binomtest

    differing = only_first + only_second
    p = binomtest(only_first, differing, 0.5).pvalue if differing else 1.0
    return McNemar(only_first, only_second, float(p))


def _measure(values: Sequence[float | None]) -> Measurement | None:
    known = [value for value in values if value is not None]
    return Measurement(np.array(known)) if known else None
