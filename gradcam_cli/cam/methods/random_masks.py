"""Maps of random masks: what is seen of an input when its score is high."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import BlackBoxMethod
from gradcam_cli.cam.methods.black_box import cut, differ
from gradcam_cli.cam.methods.settling import (
    USUAL_AGREEMENT,
    CountedRuns,
    SettledMap,
    agreement_of,
)

if TYPE_CHECKING:
    from gradcam_cli.networks.scored import ScoredNetwork

# After each round the halves are compared. An even number gives both equally many masks.
_ROUND = 200
_LEAST_ROUNDS = 2
_ADDED_AT_ONCE = 32


@dataclass(frozen=True)
class RandomMaskMethod(BlackBoxMethod):
    """A method whose maps are means of random masks, each weighted by a score.

    Attributes:
        samples: The largest number of masks, n.
        grid: The number of cells along each axis; fewer if the input is shorter.
        probability: The probability p that a cell is seen.
        agreement: Pearson's correlation of the maps of two halves of the masks at which each map
            has settled; None to use all masks.
    """

    samples: int
    grid: int
    probability: float = 0.5
    agreement: float | None = USUAL_AGREEMENT

    def maps_of_scores(
        self,
        network: ScoredNetwork,
        score: Callable[[np.ndarray], tf.Tensor],
        lengths: Sequence[int],
        runs: CountedRuns,
    ) -> list[SettledMap]:
        """Computes a map of each of several scores of one input, in rounds.

        Args:
            network: Runs the network.
            score: A function from masks (masks, ...) float32 in [0, 1] to (masks, T) float32.
            lengths: The number of pixels along each axis.
            runs: Counts the runs of this input.

        Returns:
            T maps; all zeros where no mask changes the score.
        """
        halves = _Sums(self.probability), _Sums(self.probability)
        every: list[np.ndarray] = []
        agreements: list[float] = []
        for number, some in enumerate(cut(self.samples, _ROUND), start=1):
            masks = RandomMasks(
                lengths, some.stop - some.start, self.grid, self.probability, seed=number
            )

            def score_part(part: slice, masks: RandomMasks = masks) -> tf.Tensor:
                return score(masks[part])

            scores = network.run_all(score_part, len(masks), runs.add).numpy().astype(np.float64)
            every.append(scores)
            # Large scores that differ little would lose digits in the sums.
            scores = scores - every[0].mean(axis=0)
            for half, sums in enumerate(halves):
                sums.add(masks, scores, slice(half, None, 2))
            first, second = (sums.maps() for sums in halves)
            agreements = [agreement_of(*both) for both in zip(first, second, strict=True)]
            has_settled = self.agreement is not None and min(agreements) >= self.agreement
            if number >= _LEAST_ROUNDS and has_settled:
                break
        runs.finish_input()
        maps = halves[0].joined(halves[1]).maps()
        found = np.concatenate(every)
        return [
            SettledMap(maps[row], agreement)
            if differ(found[:, row])
            else SettledMap(np.zeros(lengths), 1.0)
            for row, agreement in enumerate(agreements)
        ]


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


@dataclass
class _Sums:
    """What makes the maps of some masks and their scores.

    Attributes:
        probability: The probability that a cell of a mask is seen.
        masks: The sum of the masks, (...).
        weighted: For each score the sum of the masks, each times its score, (T, ...).
        scores: The sum of the scores, (T,).
        number: The number of masks.
    """

    probability: float
    masks: np.ndarray = field(default_factory=lambda: np.zeros(()))
    weighted: np.ndarray = field(default_factory=lambda: np.zeros(()))
    scores: np.ndarray = field(default_factory=lambda: np.zeros(()))
    number: int = 0

    def add(self, masks: RandomMasks, scores: np.ndarray, which: slice) -> None:
        """Adds some of the masks with their scores, (masks, T)."""
        for some in cut(len(scores), _ADDED_AT_ONCE):
            made, of_made = masks[some][which], scores[some][which]
            weighted = np.tensordot(of_made.T.astype(np.float32), made, axes=1)
            self.masks = self.masks + made.sum(axis=0, dtype=np.float64)
            self.weighted = self.weighted + weighted
        self.scores = self.scores + scores[which].sum(axis=0)
        self.number += len(scores[which])

    def joined(self, other: _Sums) -> _Sums:
        """Returns the sums of both."""
        return _Sums(
            self.probability,
            self.masks + other.masks,
            self.weighted + other.weighted,
            self.scores + other.scores,
            self.number + other.number,
        )

    def maps(self) -> np.ndarray:
        """Computes the map of each score, (T, ...) float64."""
        means = np.tensordot(self.scores / self.number, self.masks, axes=0)
        found: np.ndarray = (self.weighted - means) / (self.probability * self.number)
        return found
