"""RISE: scores of random parts of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import ObservedMaps, Progress
from gradcam_cli.cam.methods.black_box import PartlyScored, lengths_of
from gradcam_cli.cam.methods.random_masks import RandomMaskMethod
from gradcam_cli.cam.methods.settling import CountedRuns, observed

if TYPE_CHECKING:
    from gradcam_cli.networks.scored import ScoredNetwork


@dataclass(frozen=True)
class Rise(RandomMaskMethod):
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

    def explain(
        self, network: ScoredNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> ObservedMaps:
        """Shows the network random parts of each input."""
        runs = CountedRuns(progress, self.samples, len(inputs))
        found = []
        for row in range(len(inputs)):
            seen = PartlyScored(network, inputs[row], targets[row])

            def score(masks: np.ndarray, seen: PartlyScored = seen) -> tf.Tensor:
                return seen.scores(masks)[:, None]

            found += self.maps_of_scores(network, score, lengths_of(inputs), runs)
        return observed(found, self.agreement, self.samples)
