"""Sobol attribution: how much of the score's variance each part of the input causes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import BlackBoxMethod, ObservedMaps, Progress
from gradcam_cli.cam.methods.black_box import PartlyScored, differ, lengths_of
from gradcam_cli.cam.methods.settling import (
    CountedRuns,
    SettledMap,
    agreement_of,
    observed,
)
from gradcam_cli.cam.upsampling import upsample
from gradcam_cli.runtime.library_warnings import library_warnings_hidden

if TYPE_CHECKING:
    from gradcam_cli.networks.scored import ScoredNetwork

# Powers of two, at which the points of Sobol's sequence are spread evenly.
_LEAST_DESIGNS = 16
# Halves of a sequence are spread less evenly than the whole, so they agree less than those of
# random masks.
_AGREEMENT = 0.7
_SEED = 0
_AXES_OF_PICTURES = 2


@dataclass(frozen=True)
class Sobol(BlackBoxMethod):
    r"""Sobol attribution (Fel et al., 2021, arXiv 2111.04138).

    A coarse grid of d cells says how much of each part of the input is seen, 0 to 1. The total
    Sobol index of a cell is the part of the score's variance that vanishes if all other cells
    are known: the effect of the cell alone and with others. Jansen's estimator of it is

    .. math::
        L^c_i = \frac{\frac{1}{2 n} \sum_{j=1}^{n} \big(f(A_j) - f(C^i_j)\big)^2}{
            \mathrm{Var}(f)}

    :math:`A_j` and :math:`B_j` are the two halves of the points of a scrambled Sobol sequence in
    2 d dimensions, and :math:`C^i_j` is :math:`A_j` with cell i from :math:`B_j`. The variance is
    over all :math:`A_j` and :math:`B_j`. What isn't seen takes the mean colour of the input (the
    paper's "inpainting"). f is the probability of the class, or the value of a regression, or the
    summed score of a segmentation.

    A cell whose sight lowers the score causes variance, too. So each index gets a sign, that of

    .. math::
        \sum_{j=1}^{n} (B_{ji} - A_{ji}) \big(f(C^i_j) - f(A_j)\big)

    Each pixel takes the value of its cell in a mask, and the map is upsampled bicubically. The
    designs j come in powers of two. Their even and odd ones give two maps; when these correlate
    by ``agreement``, the map has settled, and the runs end. It costs d + 2 runs for each design.
    The points are the same at each call.

    Attributes:
        samples: The largest number of designs, n; a power of two.
        grid: The number of cells along each axis; half as many in volumes and clips, and fewer
            if the input is shorter.
        agreement: Pearson's correlation of the two halves at which the map has settled; None
            to use all designs.
    """

    samples: int = 128
    grid: int = 8
    agreement: float | None = _AGREEMENT

    def explain(
        self, network: ScoredNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> ObservedMaps:
        """Shows the network more and less of each part of each input."""
        lengths = lengths_of(inputs)
        # Otherwise a volume would cost many times as much as a picture.
        grid = self.grid if len(lengths) <= _AXES_OF_PICTURES else max(2, self.grid // 2)
        grids = [min(grid, length) for length in lengths]
        cells_of = [
            np.arange(length) * cells // length
            for length, cells in zip(lengths, grids, strict=True)
        ]
        points = _Points(int(np.prod(grids)), self.samples)
        most = self.samples * points.runs_of_design
        runs = CountedRuns(progress, most, len(inputs))
        found = []
        for row in range(len(inputs)):
            seen = PartlyScored(network, inputs[row], targets[row])

            def score(numbers: range, seen: PartlyScored = seen) -> tf.Tensor:
                masks = points[numbers].astype(np.float32).reshape(-1, *grids)
                for axis, cells in enumerate(cells_of, start=1):
                    masks = np.take(masks, cells, axis)
                return seen.scores(masks)

            one = self._explain_one(network, score, points, runs)
            found.append(SettledMap(one.map.reshape(grids), one.agreement))
        coarse = observed(found, self.agreement, most)
        return ObservedMaps(upsample(coarse.maps, tf.constant(lengths)), coarse.notes)

    def _explain_one(
        self,
        network: ScoredNetwork,
        score: Callable[[range], tf.Tensor],
        points: _Points,
        runs: CountedRuns,
    ) -> SettledMap:
        """Computes the signed indices of one input, (cells,), in rounds."""
        scores = np.zeros((0, points.runs_of_design))
        indices, agreement = np.zeros(points.cells), 1.0
        while len(scores) < self.samples:
            # The points of a Sobol sequence are spread most evenly at powers of two.
            end = min(max(_LEAST_DESIGNS, 2 * len(scores)), self.samples)
            some = range(len(scores) * points.runs_of_design, end * points.runs_of_design)
            found = network.run_all(
                lambda part, some=some: score(some[part]),  # type: ignore[misc]
                len(some),
                runs.add,
            )
            added = found.numpy().astype(np.float64).reshape(-1, points.runs_of_design)
            scores = np.concatenate([scores, added])
            if not differ(scores):
                continue
            indices = points.indices_of(scores, slice(None))
            agreement = agreement_of(
                *(points.indices_of(scores, slice(half, None, 2)) for half in (0, 1))
            )
            if self.agreement is not None and agreement >= self.agreement:
                break
        runs.finish_input()
        return SettledMap(indices, agreement)


class _Points:
    """The points at which Jansen's estimator needs the score, numbered design by design.

    Attributes:
        cells: The number of cells, d.
        runs_of_design: The number of points of each design: A, B and then C for each cell.
    """

    def __init__(self, cells: int, designs: int) -> None:
        """Draws the designs.

        Args:
            cells: d.
            designs: n.
        """
        from scipy.stats.qmc import Sobol as Sequence

        self.cells = cells
        self.runs_of_design = cells + 2
        # It warns of numbers that aren't powers of two.
        with library_warnings_hidden():
            points = Sequence(2 * cells, scramble=True, seed=_SEED).random(designs)
        self._first, self._second = np.split(points, 2, axis=1)

    def __getitem__(self, numbers: range) -> np.ndarray:
        """Returns points by their numbers, (points, cells) float64 in [0, 1)."""
        design, place = np.divmod(np.array(numbers), self.runs_of_design)
        points = self._first[design]
        points[place == 1] = self._second[design[place == 1]]
        (mixed,) = np.nonzero(place > 1)
        cells = place[mixed] - 2
        points[mixed, cells] = self._second[design[mixed], cells]
        return points

    def indices_of(self, scores: np.ndarray, which: slice) -> np.ndarray:
        """Estimates the total indices with their signs.

        Args:
            scores: The scores of the first designs, (designs, `runs_of_design`) float64.
            which: Which designs to take.

        Returns:
            (cells,) float64; zeros if the scores of A and B are all the same.
        """
        some = scores[which]
        steps = (self._second - self._first)[: len(scores)][which]
        changes = some[:, 2:] - some[:, :1]
        variance = some[:, :2].var()
        sizes = (changes**2).mean(axis=0) / (2 * variance) if variance else np.zeros(self.cells)
        signed: np.ndarray = sizes * np.sign((steps * changes).sum(axis=0))
        return signed
