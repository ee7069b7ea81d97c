"""D-RISE: which parts of a picture make a detector find an object again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import ObservedMaps, Progress
from gradcam_cli.cam.methods.black_box import PartlySeen, lengths_of
from gradcam_cli.cam.methods.random_masks import RandomMaskMethod
from gradcam_cli.cam.methods.settling import CountedRuns, SettledMap, observed

if TYPE_CHECKING:
    from gradcam_cli.networks.scored import ScoredNetwork


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
class DRise(RandomMaskMethod):
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
            seen = PartlySeen(one)

            def find_again(
                masks: np.ndarray, seen: PartlySeen = seen, objects: Objects = objects
            ) -> tf.Tensor:
                return similarities(objects, *network.detections(seen.copies(masks)))

            maps = self.maps_of_scores(network, find_again, lengths_of(inputs), runs)
            found |= zip(rows, maps, strict=True)
        return observed([found[row] for row in range(len(inputs))], self.agreement, self.samples)


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
