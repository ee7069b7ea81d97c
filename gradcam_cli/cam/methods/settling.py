"""Whether a map of random changes has settled: the maps of two halves of the runs agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.blank_maps import BlankMap, BlankReason
from gradcam_cli.cam.methods.base import ObservedMaps, Progress
from gradcam_cli.cam.methods.black_box import NO_EFFECT

# The map of all runs correlates with the map of endlessly many better than halves correlate with
# each other: by the formula of Spearman and Brown (1910), by 0.94 if the halves do by 0.8.
USUAL_AGREEMENT = 0.8


@dataclass(frozen=True)
class SettledMap:
    """The map of one input.

    Attributes:
        map: (...) float64.
        agreement: The correlation of the maps of the two halves of the runs.
    """

    map: np.ndarray
    agreement: float


class CountedRuns:
    """Reports the progress of runs that may end before all are done."""

    def __init__(self, progress: Progress, most: int, inputs: int) -> None:
        """Starts to count.

        Args:
            progress: What it is reported to.
            most: The largest number of runs for one input.
            inputs: The number of inputs.
        """
        self._progress = progress
        self._most = most
        self._total = most * inputs
        self._left = most

    def add(self, done: int, _: int) -> None:
        """Counts runs of the current input."""
        self._left -= done
        self._progress(done, self._total)

    def finish_input(self) -> None:
        """Counts the runs that the current input no longer needs as done."""
        if self._left:
            self._progress(self._left, self._total)
        self._left = self._most


def agreement_of(first: np.ndarray, second: np.ndarray) -> float:
    """Returns Pearson's correlation of two maps, in [-1, 1].

    Args:
        first: The map of one half of the runs.
        second: That of the other half, in the same shape.

    Returns:
        1 if both maps are even; 0 if only one of them is, or if one isn't finite.
    """
    a, b = (half.ravel() - half.mean() for half in (first, second))
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    if lengths > 0:
        return float(a @ b / lengths)
    return float(not a.any() and not b.any())


def observed(found: Sequence[SettledMap], wanted: float | None, most: int) -> ObservedMaps:
    """Puts the maps of a batch together, and says which show nothing or haven't settled.

    Args:
        found: The map of each input.
        wanted: The agreement at which a map has settled; None if all runs were wanted.
        most: The largest number of runs for one input.
    """
    notes = {}
    for row, one in enumerate(found):
        if not one.map.any():
            notes[row] = NO_EFFECT
        elif wanted is not None and not one.agreement >= wanted:
            notes[row] = BlankMap(
                BlankReason.UNSETTLED,
                f"the map hasn't settled after {most} runs: the maps of two halves of them "
                f"correlate by only {one.agreement:.2f}, so its details are partly chance",
            )
    return ObservedMaps(tf.constant(np.stack([one.map for one in found]), tf.float32), notes)
