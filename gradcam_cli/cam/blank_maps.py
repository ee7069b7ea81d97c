"""Why a map shows nothing, or isn't final, in words and as a key for programs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# A map whose cells differ by at most this part of its maximum shows only rounding.
EVEN = 1e-4


class BlankReason(StrEnum):
    """Why a map shows nothing, or isn't final. The values are stable, for programs."""

    NOTHING_POSITIVE = "nothing-positive"
    DEAD_RELU = "dead-relu"
    SATURATED = "saturated"
    ZERO_GRADIENTS = "zero-gradients"
    ZERO_ACTIVATIONS = "zero-activations"
    CONSTANT_ACTIVATIONS = "constant-activations"
    CONSTANT_MAP = "constant-map"
    NO_EFFECT = "no-effect"
    NO_COMMON_CELL = "no-common-cell"
    PREDICTED_NOWHERE = "predicted-nowhere"
    SINGLE_CELL = "single-cell"
    NONFINITE_INPUT = "nonfinite-input"
    NONFINITE_WEIGHTS = "nonfinite-weights"
    NONFINITE_ACTIVATIONS = "nonfinite-activations"
    NONFINITE_GRADIENTS = "nonfinite-gradients"
    NONFINITE_MAP = "nonfinite-map"
    UNKNOWN = "unknown"
    UNSETTLED = "unsettled"


@dataclass(frozen=True)
class BlankMap:
    """Why a map shows nothing: it is blank, or the same everywhere. Or why it isn't final.

    Attributes:
        reason: The reason.
        note: The reason and what to try, in words that may follow other words.
    """

    reason: BlankReason
    note: str

    @property
    def is_blank(self) -> bool:
        """Whether the map shows nothing."""
        return self.reason != BlankReason.UNSETTLED

    @property
    def sentence(self) -> str:
        """The note as a sentence of its own."""
        return f"{self.note[0].upper()}{self.note[1:]}."
