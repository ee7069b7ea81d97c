"""Methods that change the input or the feature maps and observe the score.

All but Score-CAM and its variants pass the cascading randomization of Adebayo et al. (2018, arXiv
1810.03292).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import PerturbationMethod, Progress, spatial_axes
from gradcam_cli.cam.methods.gradients import weigh_by_higher_derivatives
from gradcam_cli.cam.upsampling import upsample
from gradcam_cli.networks.forward import length_of
from gradcam_cli.networks.tasks import REGRESSION

if TYPE_CHECKING:
    from gradcam_cli.networks.opened import OpenedNetwork


class ScoreCam(PerturbationMethod):
    r"""Score-CAM (Wang et al., 2020, arXiv 1910.01279, algorithm 1).

    Each feature map, upsampled and scaled to [0, 1] from its minimum to its maximum, masks the
    input. The score of the masked input gives the map's weight:

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \alpha^c_k A^k\Big), \quad
        \alpha^c_k = \frac{e^{S_k}}{\sum_l e^{S_l}}, \quad
        S_k = y^c(x \odot H^k) - y^c(0), \quad
        H^k = s(\mathrm{upsample}(A^k))

    The score of the empty input, 0, is the same for all k and cancels in alpha. Upsampling is
    bilinear. The method costs one forward pass for each feature map.

    In the cascading randomization of Adebayo et al. (2018, arXiv 1810.03292) it hardly notices
    random weights above its layer: if the scores differ little, the weights are nearly equal,
    and the map is close to the mean of the feature maps. It does notice random weights in or
    below its layer.
    """

    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Masks each input with each of its feature maps."""

        def mask(cells: tf.Tensor, _: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
            return _scale_to_unit(upsample(cells, size, "bilinear"), 1)

        return _weigh_by_mean_scores(network, inputs, targets, progress, 1, mask)


@dataclass(frozen=True)
class SmoothedScoreCam(PerturbationMethod):
    r"""SS-CAM (Wang et al., 2020, arXiv 2006.14255): Score-CAM with noisy feature maps.

    Each weight is the mean over n copies of its feature map with Gaussian noise, the paper's
    variant that smooths the feature maps:

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \alpha^c_k A^k\Big), \quad
        \alpha^c = \mathrm{softmax}_k \, \frac{1}{n} \sum_{m=1}^{n} y^c(x \odot H^k_m), \quad
        H^k_m = s(\mathrm{upsample}(A^k + \epsilon_m \, (\max A^k - \min A^k)))

    s scales to [0, 1] from minimum to maximum. The standard deviation of the noise is relative to
    the range of each feature map. The paper's is 2 for all maps, which drowns the maps of one
    network and is nothing to those of another. All feature maps get the same noise, so that
    their weights differ only by the maps, and every call gets the same. The method costs n
    forward passes for each feature map.

    In the cascading randomization of Adebayo et al. (2018, arXiv 1810.03292) it hardly notices
    random weights above its layer, like Score-CAM.

    Attributes:
        samples: n.
        noise: The standard deviation of the noise, relative to each feature map's range.
    """

    samples: int = 10
    noise: float = 0.15

    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Masks each input with noisy copies of each of its feature maps."""

        def mask(cells: tf.Tensor, copies: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
            shape = (self.samples, *cells.shape[1:])
            # All of it is cheap, and doesn't depend on how the copies are cut into batches.
            noise = tf.gather(tf.random.stateless_normal(shape, seed=(0, 0)), copies)
            axes = list(range(1, cells.shape.rank))
            low = tf.reduce_min(cells, axes, keepdims=True)
            span = tf.reduce_max(cells, axes, keepdims=True) - low
            noisy = cells + noise * self.noise * span
            return _scale_to_unit(upsample(noisy, size, "bilinear"), 1)

        return _weigh_by_mean_scores(network, inputs, targets, progress, self.samples, mask)


@dataclass(frozen=True)
class IntegratedScoreCam(PerturbationMethod):
    r"""IS-CAM (Naidu et al., 2020, arXiv 2010.03023): Score-CAM along a path.

    Each weight is the mean score along the straight path from the empty to the masked input, as
    an approximation of the integral:

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \alpha^c_k A^k\Big), \quad
        \alpha^c = \mathrm{softmax}_k \, \frac{1}{n} \sum_{m=1}^{n}
            y^c\Big(\frac{m}{n} \, x \odot H^k\Big), \quad
        H^k = s(\mathrm{upsample}(A^k))

    TorchCAM sums the fractions up to each step instead, so that its last input is (n + 1) / 2
    times as bright as the masked picture. The method costs n forward passes for each feature map.

    In the cascading randomization of Adebayo et al. (2018, arXiv 1810.03292) it hardly notices
    random weights above its layer, like Score-CAM.

    Attributes:
        samples: n.
    """

    samples: int = 10

    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Masks each input with fractions of each of its feature maps."""

        def mask(cells: tf.Tensor, copies: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
            fractions = tf.cast(copies + 1, tf.float32) / self.samples
            fractions = tf.reshape(fractions, (-1, *(1 for _ in cells.shape[1:])))
            return _scale_to_unit(upsample(cells, size, "bilinear"), 1) * fractions

        return _weigh_by_mean_scores(network, inputs, targets, progress, self.samples, mask)


def _weigh_by_mean_scores(
    network: OpenedNetwork,
    inputs: tf.Tensor,
    targets: tf.Tensor,
    progress: Progress,
    copies: int,
    mask: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Weights feature maps by the softmax of the mean scores of inputs masked with them.

    Args:
        network: The network.
        inputs: (N, ..., channels) float32.
        targets: (N, classes) float32, the weights of the scores.
        progress: To be called when runs are done.
        copies: How many masks are made of each feature map.
        mask: A function from feature maps (masks, ...) float32, the number of each copy (masks,)
            int32 from 0, and the size of an input to masks (masks, *size).

    Returns:
        (N, ...) float32.
    """
    feature_maps = network.feature_maps(inputs)
    channels = length_of(feature_maps, -1)
    size = tf.shape(inputs)[1:-1]
    maps = []
    for row in range(len(inputs)):
        cells = tf.transpose(feature_maps[row], _channels_before_cells(feature_maps))

        def score(some: slice, row: int = row, cells: tf.Tensor = cells) -> tf.Tensor:
            channel, copy = np.divmod(np.arange(channels * copies)[some], copies)
            seen = mask(tf.gather(cells, channel), tf.constant(copy, tf.int32), size)
            masked = inputs[row] * tf.expand_dims(seen, -1)
            return network.scores(masked, _repeat(targets[row], masked))

        scores = network.run_all(score, channels * copies, progress, len(inputs))
        weights = tf.nn.softmax(tf.reduce_mean(tf.reshape(scores, (channels, copies)), axis=1))
        maps.append(tf.reduce_sum(weights * feature_maps[row], axis=-1))
    return tf.stack(maps)


@dataclass(frozen=True)
class GroupCam(PerturbationMethod):
    r"""Group-CAM (Zhang et al., 2021, arXiv 2103.13859): Score-CAM with few masks.

    Adjacent feature maps, weighted as in Grad-CAM, are summed in G groups. The values of each sum
    above its 70th percentile :math:`p`, scaled to [0, 1], form a mask. The mask keeps a part of the
    input and the rest is blurred (:math:`\tilde x`):

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_g \alpha^c_g H^g\Big), \quad
        \alpha^c_g = y^c(x \odot H^g + \tilde x \odot (1 - H^g)) - y^c(\tilde x), \quad
        H^g = s(M^g \, [M^g > p(M^g)]), \quad
        M^g = \mathrm{ReLU}\Big(\sum_{k \in g} w^c_k A^k\Big)

    The blur is the paper's: Gaussian, with a standard deviation of 50 and a width of 51
    pixels for inputs of 224 pixels. The method costs G + 1 forward passes and one backward pass.

    Attributes:
        groups: G; each feature map is its own group if there are no more.
        percentile: The percentile up to which each mask is set to zero, 0 to 100.
    """

    needs_gradients = True

    groups: int = 32
    percentile: float = 70.0

    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Masks each input with each group of its feature maps."""
        feature_maps, gradients = network.evidence(inputs, targets)
        weights = tf.reduce_mean(gradients, spatial_axes(gradients), keepdims=True)
        parts = np.array_split(np.arange(length_of(feature_maps, -1)), self.groups)
        parts = [part for part in parts if len(part)]
        sums = [
            tf.reduce_sum(tf.gather(weights * feature_maps, part, axis=-1), -1) for part in parts
        ]
        masks = tf.nn.relu(tf.stack(sums, axis=1))
        masks = _scale_to_unit(_keep_above(masks, self.percentile), 2)
        blurred = blur(inputs)
        maps = []
        for row in range(len(inputs)):

            def score(some: slice, row: int = row) -> tf.Tensor:
                seen = upsample(masks[row, some], tf.shape(inputs)[1:-1], "bilinear")
                seen = tf.expand_dims(seen, -1)
                mixed = inputs[row] * seen + blurred[row] * (1 - seen)
                return network.scores(mixed, _repeat(targets[row], mixed))

            baseline = network.scores(blurred[row : row + 1], targets[row : row + 1])
            gains = network.run_all(score, len(parts), progress, len(inputs)) - baseline
            maps.append(tf.tensordot(gains, masks[row], axes=1))
        return tf.stack(maps)


class AblationCam(PerturbationMethod):
    r"""Ablation-CAM (Desai and Ramaswamy, 2020, WACV, doi 10.1109/WACV45572.2020.9093360).

    The fraction of the score that is lost when a feature map is set to zero is its weight:

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k w^c_k A^k\Big), \quad
        w^c_k = \frac{y^c - y^c_{A^k = 0}}{|y^c|}

    The paper divides by the score itself, which it assumes to be positive. Dividing by its
    absolute value keeps the map of a negative score from being inverted. A score of 0, as a
    difference of scores may be, isn't divided by. The method costs one pass through the layers
    after the explained one for each feature map.
    """

    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Sets each feature map of each input to zero."""
        feature_maps = network.feature_maps(inputs)
        complete = network.scores(inputs, targets)
        channels = length_of(feature_maps, -1)
        maps = []
        for row in range(len(inputs)):

            def score(some: slice, row: int = row) -> tf.Tensor:
                kept = 1 - tf.one_hot(tf.range(channels)[some], channels)
                kept = tf.reshape(kept, (-1, *(1 for _ in spatial_axes(feature_maps)), channels))
                ablated = feature_maps[row] * kept
                repeated = _repeat(targets[row], ablated)
                return network.scores_with(inputs[row : row + 1], repeated, ablated)

            losses = complete[row] - network.run_all(score, channels, progress, len(inputs))
            size = tf.abs(complete[row])
            weights = losses / tf.where(size > 0, size, tf.ones_like(size))
            maps.append(tf.reduce_sum(weights * feature_maps[row], axis=-1))
        return tf.stack(maps)


class ReciproCam(PerturbationMethod):
    r"""ReciproCAM (Byun and Lee, 2022, arXiv 2209.14074; for transformers 2023, 2310.02588).

    The map's value at a cell is the class probability when all other cells are set to zero:

    .. math::
        L^c_{ij} = p^c(A \leftarrow G_{ij} A_{ij}) - \min_{a,b} p^c(A \leftarrow G_{ab} A_{ab})

    For a sum or difference of scores it is the sum or difference of probabilities.
    :math:`G_{ij}` spreads the features of a cell over its neighbours by a 3×3 Gaussian filter,
    (1, 2, 1) / 4 along each axis, and is zero elsewhere. Class tokens and other tokens beside the
    patches stay unchanged. :math:`p^c` is the probability after softmax (or after sigmoid if each
    class has its own), as in the authors' code, so a cell counts when it raises the class relative
    to others. For a regression, :math:`p^c` is the value, and the value without any features is
    subtracted instead of the minimum: a cell that lowers the value would make all others look as
    if they raised it. The method costs one pass through the layers after the explained one for
    each cell, and no gradients.
    """

    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Computes the probability that each cell of each input gives alone."""
        feature_maps = network.feature_maps(inputs)
        lengths = [length_of(feature_maps, axis) for axis in spatial_axes(feature_maps)]
        channels = length_of(feature_maps, -1)
        cells = int(np.prod(lengths))
        spread = _spread_over_neighbours(lengths)
        maps = []
        for row in range(len(inputs)):
            features = tf.reshape(feature_maps[row], (cells, *(1 for _ in lengths), channels))

            def speak(some: slice, row: int = row, features: tf.Tensor = features) -> tf.Tensor:
                alone = features[some] * spread[some]
                repeated = _repeat(targets[row], alone)
                return network.probabilities_with(inputs[row : row + 1], repeated, alone)

            probabilities = network.run_all(speak, cells, progress, len(inputs))
            maps.append(tf.reshape(probabilities, lengths))
        found = tf.stack(maps)
        if network.task == REGRESSION:
            nothing = [
                network.probabilities_with(
                    inputs[row : row + 1],
                    targets[row : row + 1],
                    tf.zeros_like(feature_maps[row : row + 1]),
                )
                for row in range(len(inputs))
            ]
            return found - tf.reshape(tf.concat(nothing, 0), (-1, *(1 for _ in lengths)))
        return found - tf.reduce_min(found, list(range(1, found.shape.rank)), keepdims=True)


@dataclass(frozen=True)
class SmoothGradCamPlusPlus(PerturbationMethod):
    r"""Smooth Grad-CAM++ (Omeiza et al., 2019, arXiv 1908.01224).

    Grad-CAM++ with each derivative of order p, :math:`D_p`, averaged over n copies of the
    input with Gaussian noise:

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k w^c_k A^k\Big), \quad
        w^c_k = \sum_{i,j} \alpha^{kc}_{ij} \, \mathrm{ReLU}(\bar D_1), \quad
        \alpha^{kc}_{ij} = \frac{\bar D_2}{2 \bar D_2 + \sum_{a,b} A^k_{ab} \bar D_3}, \quad
        \bar D_p = \frac{1}{n} \sum_{m=1}^{n}
            \Big(\frac{\partial y^c}{\partial A^k_{ij}}\Big)^p \Big|_{x + \epsilon_m}

    A is that of the input without noise, and the powers stand for the derivatives as in
    Grad-CAM++. The noise is the same at every call. The method costs n forward and n backward
    passes.

    Attributes:
        samples: n.
        noise: The standard deviation of the noise, relative to each input's range of values.
    """

    needs_gradients = True

    samples: int = 8
    noise: float = 0.15

    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Averages the derivatives over noisy copies of the batch."""
        axes = [*spatial_axes(inputs), -1]
        span = tf.reduce_max(inputs, axes, keepdims=True) - tf.reduce_min(
            inputs, axes, keepdims=True
        )
        powers = [tf.constant(0.0)] * 3
        for sample in range(self.samples):
            # The same noise for each input, so that no map depends on the rest of the batch.
            noise = tf.random.stateless_normal(tf.shape(inputs)[1:], seed=(0, sample))
            _, gradients = network.evidence(inputs + noise * self.noise * span, targets)
            powers = [
                total + gradients**order / self.samples for order, total in enumerate(powers, 1)
            ]
            progress(len(inputs), self.samples * len(inputs))
        return weigh_by_higher_derivatives(network.feature_maps(inputs), *powers)


def blur(inputs: tf.Tensor) -> tf.Tensor:
    """Blurs inputs so strongly that no object is recognizable, as in Group-CAM.

    Args:
        inputs: (N, ..., channels) float32.

    Returns:
        The same shape. At the borders the mean is over the existing pixels.
    """
    for axis in spatial_axes(inputs):
        length = length_of(inputs, axis)
        deviation, radius = 50 / 224 * length, 25 / 224 * length
        positions = np.arange(length)
        distances = np.abs(positions[:, None] - positions)
        kernel = np.exp(-(distances**2) / (2 * deviation**2)) * (distances <= radius)
        kernel /= kernel.sum(axis=1, keepdims=True)
        blurred = tf.tensordot(tf.constant(kernel, tf.float32), inputs, axes=[[1], [axis]])
        order = [*range(1, axis + 1), 0, *range(axis + 1, inputs.shape.rank)]
        inputs = tf.transpose(blurred, order)
    return inputs


def _spread_over_neighbours(lengths: Sequence[int]) -> np.ndarray:
    """Returns the weights of all cells for each cell: (cells, ..., 1), a Gaussian around it."""
    weights = np.ones((1, 1), np.float32)
    for length in lengths:
        distances = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
        along = np.choose(np.minimum(distances, 2), [1 / 2, 1 / 4, 0]).astype(np.float32)
        weights = np.kron(weights, along)
    return weights.reshape(-1, *lengths, 1)


def _keep_above(masks: tf.Tensor, percentile: float) -> tf.Tensor:
    """Sets values to zero that aren't above a percentile of their mask."""
    cells = tf.reshape(masks, (*masks.shape[:2], -1)).numpy()
    thresholds = np.percentile(cells, percentile, axis=-1)
    thresholds = thresholds.reshape(*masks.shape[:2], *(1 for _ in masks.shape[2:]))
    return tf.where(masks > tf.constant(thresholds, tf.float32), masks, tf.zeros_like(masks))


def _scale_to_unit(masks: tf.Tensor, first_axis: int) -> tf.Tensor:
    """Scales each mask to [0, 1] over the axes from ``first_axis`` on; constant ones become 0."""
    axes = list(range(first_axis, masks.shape.rank))
    low = tf.reduce_min(masks, axes, keepdims=True)
    high = tf.reduce_max(masks, axes, keepdims=True)
    return tf.math.divide_no_nan(masks - low, high - low)


def _channels_before_cells(feature_maps: tf.Tensor) -> list[int]:
    rank = feature_maps.shape.rank - 1
    return [rank - 1, *range(rank - 1)]


def _repeat(value: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Repeats one input's value for each row of ``like``."""
    repeated: tf.Tensor = tf.broadcast_to(value, (len(like), *value.shape))
    return repeated
