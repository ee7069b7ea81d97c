"""Methods that change the input and observe the scores: any network will do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import BlackBoxMethod, Progress, spatial_axes
from gradcam_cli.networks.tasks import SEGMENTATION

if TYPE_CHECKING:
    from gradcam_cli.networks.scored import ScoredNetwork


@dataclass(frozen=True)
class Rise(BlackBoxMethod):
    """RISE (Petsiuk, Das and Saenko, 2018, arXiv 1806.07421)."""

    samples: int = 1000
    grid: int = 7

    def explain(
        self, network: ScoredNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Shows the network random parts of each input."""
        sizes = [int(inputs.shape[axis]) for axis in spatial_axes(inputs)]
        rng = np.random.default_rng(0)
        cells = rng.random((self.samples, *(self.grid + 1 for _ in sizes))) < 0.5
        shifts = rng.random((self.samples, len(sizes)))
        maps = []
        for row in range(len(inputs)):
            one, target = inputs[row], targets[row]
            fill = tf.reduce_mean(one, list(range(len(sizes))), keepdims=True)

            def masks(some: slice) -> np.ndarray:
                made = cells[some].astype(np.float32)
                for axis, length in enumerate(sizes):
                    weights = _shifted_weights(length, self.grid, shifts[some, axis])
                    made = np.einsum("nc...,nlc->n...l", made, weights)
                return made

            def score(some: slice, one: tf.Tensor = one, target: tf.Tensor = target) -> tf.Tensor:
                seen = masks(some)[..., None]
                changed = one * seen + fill * (1 - seen)
                repeated = tf.repeat(target[None], len(changed), axis=0)
                ask = network.scores if network.task == SEGMENTATION else network.probabilities
                return ask(changed, repeated)

            scores = network.run_all(score, self.samples, progress, len(inputs)).numpy()
            gains = scores - scores.mean()
            found = np.zeros(sizes)
            for start in range(0, self.samples, 32):
                some = slice(start, start + 32)
                found += np.tensordot(gains[some], masks(some), 1)
            maps.append(found / (self.samples / 2))
        return tf.constant(np.stack(maps), tf.float32)


def _shifted_weights(length: int, grid: int, shifts: np.ndarray) -> np.ndarray:
    """Returns the weight of each cell at each pixel, (masks, length, cells + 1) float32."""
    places = (np.arange(length) + 0.5) / length * grid + shifts[:, None] - 0.5
    places = places.clip(0, grid)
    distances = np.abs(places[..., None] - np.arange(grid + 1))
    return np.maximum(0, 1 - distances).astype(np.float32)
