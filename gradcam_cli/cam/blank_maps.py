"""Why a map shows nothing, in words and as a key for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# A map whose cells differ by at most this part of its maximum shows only rounding.
EVEN = 1e-4
# A model may have hundreds of broken weights.
_MOST_NAMES = 3


class BlankReason(StrEnum):
    """Why a map shows nothing. The values are stable, for programs."""

    NOTHING_POSITIVE = "nothing-positive"
    DEAD_RELU = "dead-relu"
    SATURATED = "saturated"
    ZERO_GRADIENTS = "zero-gradients"
    ZERO_ACTIVATIONS = "zero-activations"
    CONSTANT_ACTIVATIONS = "constant-activations"
    CONSTANT_MAP = "constant-map"
    SINGLE_CELL = "single-cell"
    NONFINITE_INPUT = "nonfinite-input"
    NONFINITE_WEIGHTS = "nonfinite-weights"
    NONFINITE_ACTIVATIONS = "nonfinite-activations"
    NONFINITE_GRADIENTS = "nonfinite-gradients"
    NONFINITE_MAP = "nonfinite-map"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class BlankMap:
    """Why a map shows nothing: it is blank, or the same everywhere.

    Attributes:
        reason: The reason.
        note: A sentence for people: the reason, and what to try.
    """

    reason: BlankReason
    note: str


def describe_weights(broken: Sequence[str]) -> str:
    """Says which weights aren't finite, and what to do.

    Args:
        broken: The descriptions of the weights, at least one.
    """
    more = len(broken) - _MOST_NAMES
    names = ", ".join(broken[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"the model is damaged: {names}; use a copy from before its training failed"
