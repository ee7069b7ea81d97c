"""What methods that change the input and observe the scores have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.blank_maps import BlankMap, BlankReason
from gradcam_cli.networks.forward import length_of

if TYPE_CHECKING:
    from gradcam_cli.networks.scored import ScoredNetwork

NO_EFFECT = BlankMap(
    BlankReason.NO_EFFECT,
    "the map is blank: no change of the picture changes the score; try another class, and check "
    "--preprocess",
)
# Scores that differ by less than this part of their size differ only by rounding.
_ROUNDING = 1e-6


class PartlySeen:
    """One input of which the network sees only parts: the others take its mean colour.

    The mean of an input itself, channel by channel, is closest to "nothing" for any network: it
    needs to know neither the preprocessing nor the meaning of the channels. On photographs it is
    close to the mean colour of the data set, which Petsiuk et al. and Zeiler and Fergus use; on
    scans and drawings with a dark ground it is dark.
    """

    def __init__(self, one: tf.Tensor) -> None:
        """Prepares the input.

        Args:
            one: The input, (..., channels) float32.
        """
        self._nothing = tf.reduce_mean(one, list(range(one.shape.rank - 1)), keepdims=True)
        self._beyond = one - self._nothing

    def copies(self, seen: np.ndarray) -> tf.Tensor:
        """Makes copies of the input.

        Args:
            seen: How much of each cell is seen in each copy, (copies, ...) float32 in [0, 1].

        Returns:
            (copies, ..., channels) float32.
        """
        copies: tf.Tensor = self._nothing + self._beyond * seen[..., np.newaxis]
        return copies


class PartlyScored(PartlySeen):
    """One input of which the network sees only parts, and its score."""

    def __init__(self, network: ScoredNetwork, one: tf.Tensor, target: tf.Tensor) -> None:
        """Prepares the input.

        Args:
            network: The network.
            one: The input, (..., channels) float32.
            target: The weights of its scores, (classes,) float32.
        """
        super().__init__(one)
        self._network = network
        self._target = target

    def scores(self, seen: np.ndarray) -> tf.Tensor:
        """Computes the scores of copies of the input.

        Args:
            seen: As for `copies`.

        Returns:
            (copies,) float32: probabilities, or the values of a regression; the scores themselves
            where they are no score of a class, as sums over a region.
        """
        targets = tf.broadcast_to(self._target, (len(seen), *self._target.shape))
        if self._network.has_probabilities:
            return self._network.probabilities(self.copies(seen), targets)
        return self._network.scores(self.copies(seen), targets)


def lengths_of(inputs: tf.Tensor) -> list[int]:
    """Returns the number of cells along each spatial axis of (N, ..., channels)."""
    return [length_of(inputs, axis) for axis in range(1, inputs.shape.rank - 1)]


def differ(scores: np.ndarray) -> bool:
    """Returns whether scores differ by more than rounding; NaN counts as a difference."""
    spread = np.ptp(scores)
    return not spread <= _ROUNDING * np.abs(scores).max()


def cut(total: int, size: int) -> Sequence[slice]:
    """Cuts a number of copies into slices of at most ``size``."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]
