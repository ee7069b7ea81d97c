"""D-RISE: which parts of a picture make a detector find an object again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from gradcam_cli.cam.methods.base import BlackBoxMethod, Progress

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

    As in this package's RISE, the mean similarity is subtracted (the paper's sum adds it times the
    mean mask, which is nearly constant), and the hidden parts show the mean colour of the picture.
    The paper takes 5000 masks of 16×16 cells. Detections of the same picture share the
    runs of the network. Every call gets the same masks.

    Attributes:
        samples: n, the largest number of masks.
        grid: The number of cells of a mask along each side.
    """

    samples: int = 1000
    grid: int = 16

    def explain(
        self, network: ScoredNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Shows the detector random parts of each input.

        Args:
            network: The detector.
            inputs: (N, height, width, channels) float32 in [0, 255].
            targets: (N, classes + 1) float32: the explained class, one-hot, and the index of the
                explained candidate, or a negative number for the best one of the class.
            progress: Called when runs are done.

        Returns:
            (N, height, width) float32.
        """
        raise NotImplementedError


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
