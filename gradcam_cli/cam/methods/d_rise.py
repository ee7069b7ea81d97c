"""D-RISE: which parts of a picture make a detector find an object again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import BlackBoxMethod, ObservedMaps, Progress
from gradcam_cli.cam.methods.black_box import cut, differ, lengths_of
from gradcam_cli.cam.methods.rise import RandomMasks
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
class Objects:
    """The detections that are explained, each with the input in which it was made.

    Attributes:
        boxes: (T, 4) float32: left, top, right, bottom in input pixels.
        probabilities: (T, classes) float32 in [0, 1].
    """

    boxes: tf.Tensor
    probabilities: tf.Tensor


@dataclass(frozen=True)
class DRise(BlackBoxMethod):
    r"""D-RISE (Petsiuk et al., 2021, arXiv 2006.03204).

    As in RISE, random parts of the picture are hidden. Instead of the score of a class, the weight
    of a mask is how similar the most similar box is to the detection d:

    .. math::
        L^d = \frac{1}{n \, p} \sum_{i=1}^{n} (s_i - \bar s) \, M_i, \quad
        s_i = \max_j \; \mathrm{IoU}(b_d, b_j) \; \frac{P_d \cdot P_j}{|P_d| \, |P_j|} \; O_j

    j runs over all candidates of the masked picture, before those of the same object are dropped,
    with the box :math:`b_j`, the probabilities :math:`P_j` of all classes and the objectness
    :math:`O_j`. Not all detectors say how sure they are of an object of any class, and the paper
    leaves the factor out for those. Then a candidate that is next to nothing would count as much as
    a sure one, as long as its probabilities have the same proportions. So :math:`O_j` is the
    probability of the most probable class here. Detectors with an objectness have it as a factor
    in all their probabilities.

    :math:`P_d` is the vector of probabilities of the explained candidate. If the explained class
    isn't its most probable one, it is this class alone.

    As in this package's RISE, the mean similarity is subtracted, what a mask hides takes the mean
    colour of the input, and the masks come in rounds, until the maps of their even and odd ones
    correlate by ``agreement``. The paper takes 5000 masks of 16×16 cells. Detections in the same
    picture share the runs of the network. The masks are the same at each call.

    Attributes:
        samples: The largest number of masks, n.
        grid: The number of cells along each axis; fewer if the input is shorter.
        probability: p.
        agreement: Pearson's correlation of the two halves at which the map of each detection
            has settled; None to use all masks.
    """

    samples: int = 5000
    grid: int = 16
    probability: float = 0.5
    agreement: float | None = USUAL_AGREEMENT

    def explain(
        self, network: ScoredNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> ObservedMaps:
        """Shows the detector random parts of each input.

        Args:
            network: The detector.
            inputs: (N, height, width, channels) float32 in [0, 255].
            targets: (N, classes + 1) float32: the explained class, one-hot, and the index of the
                explained candidate, or a negative number for the best one of the class.
            progress: Called when runs are done, or found to be unnecessary.

        Returns:
            (N, height, width) float32.
        """
        groups = _same_inputs(inputs)
        runs = CountedRuns(progress, self.samples, len(groups))
        found: dict[int, SettledMap] = {}
        for rows in groups:
            one = inputs[rows[0]]
            boxes, probabilities = network.detections(one[None])
            objects = find_objects(
                tf.repeat(boxes, len(rows), axis=0),
                tf.repeat(probabilities, len(rows), axis=0),
                tf.gather(targets, rows),
            )
            found |= zip(rows, self._explain_one(network, one, objects, runs), strict=True)
        return observed([found[row] for row in range(len(inputs))], self.agreement, self.samples)

    def _explain_one(
        self, network: ScoredNetwork, one: tf.Tensor, objects: Objects, runs: CountedRuns
    ) -> list[SettledMap]:
        """Explains all detections in one input."""
        lengths = lengths_of(one[None])
        nothing = tf.reduce_mean(one, list(range(one.shape.rank - 1)), keepdims=True)
        halves = _Sums(self.probability), _Sums(self.probability)
        every: list[np.ndarray] = []
        agreements: list[float] = []
        for number, some in enumerate(cut(self.samples, _ROUND), start=1):
            masks = RandomMasks(
                lengths, some.stop - some.start, self.grid, self.probability, seed=number
            )

            def find_again(part: slice, masks: RandomMasks = masks) -> tf.Tensor:
                seen = nothing + (one - nothing) * masks[part][..., np.newaxis]
                return similarities(objects, *network.detections(seen))

            scores = network.run_all(find_again, len(masks), runs.add).numpy().astype(np.float64)
            every.append(scores)
            for half, sums in enumerate(halves):
                sums.add(masks, scores, slice(half, None, 2))
            first, second = (sums.maps() for sums in halves)
            agreements = [agreement_of(*both) for both in zip(first, second, strict=True)]
            has_settled = self.agreement is not None and min(agreements) >= self.agreement
            if number >= _LEAST_ROUNDS and has_settled:
                break
        runs.finish_input()
        maps = halves[0].joined(halves[1]).maps()
        similar = np.concatenate(every)
        return [
            SettledMap(maps[row], agreement)
            if differ(similar[:, row])
            else SettledMap(np.zeros(lengths), 1.0)
            for row, agreement in enumerate(agreements)
        ]


@dataclass
class _Sums:
    """What makes the maps of some masks and of how similar the detections in them are.

    Attributes:
        probability: The probability that a cell of a mask is seen.
        masks: The sum of the masks, (...).
        weighted: For each detection the sum of the masks, each times its similarity, (T, ...).
        similar: The sum of the similarities, (T,).
        number: The number of masks.
    """

    probability: float
    masks: np.ndarray = field(default_factory=lambda: np.zeros(()))
    weighted: np.ndarray = field(default_factory=lambda: np.zeros(()))
    similar: np.ndarray = field(default_factory=lambda: np.zeros(()))
    number: int = 0

    def add(self, masks: RandomMasks, scores: np.ndarray, which: slice) -> None:
        """Adds some of the masks with their similarities, (masks, T)."""
        for some in cut(len(scores), _ADDED_AT_ONCE):
            made, of_made = masks[some][which], scores[some][which]
            weighted = np.tensordot(of_made.T.astype(np.float32), made, axes=1)
            self.masks = self.masks + made.sum(axis=0, dtype=np.float64)
            self.weighted = self.weighted + weighted
        self.similar = self.similar + scores[which].sum(axis=0)
        self.number += len(scores[which])

    def joined(self, other: _Sums) -> _Sums:
        """Returns the sums of both."""
        return _Sums(
            self.probability,
            self.masks + other.masks,
            self.weighted + other.weighted,
            self.similar + other.similar,
            self.number + other.number,
        )

    def maps(self) -> np.ndarray:
        """Computes the map of each detection, (T, ...) float64."""
        means = np.tensordot(self.similar / self.number, self.masks, axes=0)
        found: np.ndarray = (self.weighted - means) / (self.probability * self.number)
        return found


def _same_inputs(inputs: tf.Tensor) -> list[list[int]]:
    """Groups the rows of a batch that hold the same input."""
    groups: list[list[int]] = []
    for row, one in enumerate(inputs.numpy()):
        same = [rows for rows in groups if np.array_equal(inputs[rows[0]], one)]
        if same:
            same[0].append(row)
        else:
            groups.append([row])
    return groups


def find_objects(boxes: tf.Tensor, probabilities: tf.Tensor, targets: tf.Tensor) -> Objects:
    """Picks the explained detections from the candidates of inputs.

    Args:
        boxes: (N, candidates, 4) float32.
        probabilities: (N, candidates, classes) float32.
        targets: (N, classes + 1) float32; see `DRise.explain`.
    """
    count = probabilities.shape[-1]
    classes = tf.argmax(targets[:, :count], axis=-1, output_type=tf.int32)
    best = tf.argmax(
        tf.gather(probabilities, classes, axis=-1, batch_dims=1), axis=-1, output_type=tf.int32
    )
    chosen = tf.cast(targets[:, count], tf.int32)
    chosen = tf.where(chosen < 0, best, chosen)
    own = tf.gather(probabilities, chosen, batch_dims=1)
    is_top = tf.argmax(own, axis=-1, output_type=tf.int32) == classes
    alone = tf.one_hot(classes, count)
    return Objects(tf.gather(boxes, chosen, batch_dims=1), tf.where(is_top[:, None], own, alone))


def similarities(objects: Objects, boxes: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Finds how similar the most similar candidate of each input is to each detection.

    Args:
        objects: The T detections.
        boxes: (N, candidates, 4) float32.
        probabilities: (N, candidates, classes) float32.

    Returns:
        (N, T) float32 in [0, 1].
    """
    lengths = tf.norm(probabilities, axis=-1, keepdims=True)
    wanted = tf.math.l2_normalize(objects.probabilities, axis=-1)
    cosines = tf.math.divide_no_nan(tf.einsum("nac,tc->nat", probabilities, wanted), lengths)
    objectness = tf.reduce_max(probabilities, axis=-1, keepdims=True)
    return tf.reduce_max(overlaps(boxes, objects.boxes) * cosines * objectness, axis=1)


def overlaps(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Computes the IoU of boxes, their intersection divided by their union.

    Args:
        boxes: (N, A, 4) float32: left, top, right, bottom.
        others: (T, 4) float32.

    Returns:
        (N, A, T) float32 in [0, 1]; 0 for boxes without an area.
    """
    left, top, right, bottom = tf.unstack(boxes[:, :, None], axis=-1)
    others_left, others_top, others_right, others_bottom = tf.unstack(others, axis=-1)
    width = tf.minimum(right, others_right) - tf.maximum(left, others_left)
    height = tf.minimum(bottom, others_bottom) - tf.maximum(top, others_top)
    common = tf.nn.relu(width) * tf.nn.relu(height)
    area = tf.nn.relu(right - left) * tf.nn.relu(bottom - top)
    others_area = tf.nn.relu(others_right - others_left) * tf.nn.relu(others_bottom - others_top)
    return tf.math.divide_no_nan(common, area + others_area - common)
