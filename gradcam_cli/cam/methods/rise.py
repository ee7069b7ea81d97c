"""RISE: scores of random parts of the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import BlackBoxMethod, ObservedMaps, Progress
from gradcam_cli.cam.methods.black_box import PartlySeen, cut, differ, lengths_of
from gradcam_cli.cam.methods.settling import (
    USUAL_AGREEMENT,
    CountedRuns,
    SettledMap,
    agreement_of,
    observed,
)

if TYPE_CHECKING:
    from gradcam_cli.networks.scored import ScoredNetwork

# After each round the halves are compared. An even number gives both equally many masks.
_ROUND = 200
_LEAST_ROUNDS = 2
_ADDED_AT_ONCE = 32


@dataclass(frozen=True)
class Rise(BlackBoxMethod):
    r"""RISE (Petsiuk, Das and Saenko, 2018, arXiv 1806.07421).

    The network sees random parts of the input: each cell of a coarse grid is seen with the
    probability p, the grid is upsampled bilinearly to a mask M and shifted at random by up to a
    cell. The paper's map is the mean score :math:`f(x \odot M)` of the masks in which a pixel is
    seen. Here the mean score of all masks is subtracted, so that a pixel that changes nothing
    gets 0, and one whose sight lowers the score is negative:

    .. math::
        L^c(\lambda) = \frac{1}{p \, n} \sum_{i=1}^{n} \Big(f(x \odot M_i)
            - \frac{1}{n} \sum_{j=1}^{n} f(x \odot M_j)\Big) \, M_i(\lambda)

    The expectation of this is the paper's map minus a constant, and it needs fewer masks,
    because a mask that happens to be large no longer counts for that alone. What a mask hides
    takes the mean colour of the input. f is the probability of the class, as in the paper, or the
    value of a regression, or the summed score of a segmentation.

    The masks come in rounds of 200. Their even and odd ones give two independent maps. When
    these correlate by ``agreement``, the map has settled, and the runs end. The masks are the
    same at each call, for each input and class, and for each number of inputs in a batch.

    Attributes:
        samples: The largest number of masks, n.
        grid: The number of cells along each axis; fewer if the input is shorter.
        probability: p.
        agreement: Pearson's correlation of the two halves at which the map has settled; None
            to use all masks.
    """

    samples: int = 4000
    grid: int = 7
    probability: float = 0.5
    agreement: float | None = USUAL_AGREEMENT

    def explain(
        self, network: ScoredNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> ObservedMaps:
        """Shows the network random parts of each input."""
        runs = CountedRuns(progress, self.samples, len(inputs))
        found = [
            self._explain_one(network, inputs[row], targets[row], runs)
            for row in range(len(inputs))
        ]
        return observed(found, self.agreement, self.samples)

    def _explain_one(
        self, network: ScoredNetwork, one: tf.Tensor, target: tf.Tensor, runs: CountedRuns
    ) -> SettledMap:
        seen, lengths = PartlySeen(network, one, target), lengths_of(one[None])
        halves: list[_Sums] = []
        all_scores: list[np.ndarray] = []
        agreement = 1.0
        for number, some in enumerate(cut(self.samples, _ROUND), start=1):
            masks = RandomMasks(
                lengths, some.stop - some.start, self.grid, self.probability, seed=number
            )

            def score(part: slice, masks: RandomMasks = masks) -> tf.Tensor:
                return seen.scores(masks[part])

            scores = network.run_all(score, len(masks), runs.add).numpy().astype(np.float64)
            all_scores.append(scores)
            # Large scores that differ little would lose digits in the sums.
            scores = scores - all_scores[0].mean()
            added = [_Sums.of(masks, scores, slice(half, None, 2)) for half in (0, 1)]
            halves = [a + b for a, b in zip(halves, added, strict=True)] if halves else added
            first, second = (half.map(self.probability) for half in halves)
            agreement = agreement_of(first, second)
            has_settled = self.agreement is not None and agreement >= self.agreement
            if number >= _LEAST_ROUNDS and has_settled:
                break
        runs.finish_input()
        if not differ(np.concatenate(all_scores)):
            return SettledMap(np.zeros(lengths), 1.0)
        return SettledMap((halves[0] + halves[1]).map(self.probability), agreement)


class RandomMasks:
    """Random masks of RISE, made when they are asked for. They depend on the seed alone."""

    def __init__(
        self, lengths: Sequence[int], number: int, grid: int, probability: float, seed: int
    ) -> None:
        """Draws the cells and the shifts.

        Args:
            lengths: The number of pixels along each axis.
            number: The number of masks.
            grid: The number of cells along each axis; fewer if the axis is shorter.
            probability: The probability that a cell is seen.
            seed: The seed of the random numbers.
        """
        random = np.random.default_rng(seed)
        self._lengths = lengths
        self._grids = [min(grid, length) for length in lengths]
        # One more than fits, so that a shifted mask is full.
        size = (number, *(cells + 1 for cells in self._grids))
        self._cells = (random.random(size) < probability).astype(np.float32)
        self._shifts = random.random((number, len(lengths)))

    def __len__(self) -> int:
        """Returns the number of masks."""
        return len(self._cells)

    def __getitem__(self, some: slice) -> np.ndarray:
        """Makes some masks, (masks, ...) float32 in [0, 1]."""
        masks = self._cells[some]
        for axis, (length, cells) in enumerate(zip(self._lengths, self._grids, strict=True)):
            places = (np.arange(length) + 0.5) * cells / length - 0.5
            places = (places + self._shifts[some, axis, None]).clip(0, cells)
            weights = np.maximum(0, 1 - np.abs(places[..., None] - np.arange(cells + 1)))
            count, first, *others = masks.shape
            along = weights.astype(np.float32) @ masks.reshape(count, first, -1)
            # The finished axis goes last, so that the next one to be upsampled is first.
            masks = np.moveaxis(along, 1, -1).reshape(count, *others, length)
        return masks


@dataclass(frozen=True)
class _Sums:
    """What makes the map of some masks and their scores.

    Attributes:
        masks: The sum of the masks, (...) float64.
        weighted: The sum of the masks, each times its score, (...) float64.
        score: The sum of the scores.
        number: The number of masks.
    """

    masks: np.ndarray
    weighted: np.ndarray
    score: float
    number: int

    @classmethod
    def of(cls, masks: RandomMasks, scores: np.ndarray, which: slice) -> _Sums:
        """Sums up some masks.

        Args:
            masks: The masks.
            scores: Their scores, (masks,) float64.
            which: Which of them to take.
        """
        total = _Sums(np.zeros(()), np.zeros(()), scores[which].sum(), len(scores[which]))
        for some in cut(len(scores), _ADDED_AT_ONCE):
            made, of_made = masks[some][which], scores[some][which]
            weighted = np.tensordot(of_made.astype(np.float32), made, axes=1)
            total += _Sums(made.sum(axis=0), weighted, 0.0, 0)
        return total

    def __add__(self, other: _Sums) -> _Sums:
        """Adds the sums of other masks."""
        return _Sums(
            self.masks + other.masks,
            self.weighted + other.weighted,
            self.score + other.score,
            self.number + other.number,
        )

    def map(self, probability: float) -> np.ndarray:
        """Computes the map, (...) float64."""
        mean = self.score / self.number
        found: np.ndarray = (self.weighted - mean * self.masks) / (probability * self.number)
        return found
