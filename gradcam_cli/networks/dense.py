"""Segmentation: scores of each class at each position, summed over a region.

Seg-Grad-CAM (Vinogradova, Dibrov and Myers, "Towards Interpretable Semantic Segmentation via
Gradient-Weighted Class Activation Mapping", AAAI 2020, arXiv 2002.11434) explains the sum of a
class's logits over the positions of a region M, which is a constant for the gradient:

    y^c = sum of y^c_ij over (i, j) in M

By default M holds the positions at which the class is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.conditions import NO_REGION, OUTSIDE
from gradcam_cli.networks.grids import Grid, GridTrace, NoGrid
from gradcam_cli.networks.operations import copied, operation_names

SIGMOID, SOFTMAX = "Sigmoid", "Softmax"
# Operations after the last activation that move or resample values.
_MOVING = operation_names(
    *("Cast", "EnsureShape", "ExpandDims", "Identity", "Reshape", "ResizeArea", "ResizeBicubic"),
    *("ResizeBilinear", "ResizeNearestNeighbor", "Squeeze", "Transpose"),
)
# Operations that make scores of each class from scores of the same class.
_COMBINING = _MOVING | operation_names(
    *("Add", "AddN", "AddV2", "BiasAdd", "Conv2DBackpropInput", "DepthToSpace"),
    *("Pad", "PadV2", "StridedSlice"),
)
# (N, rows, columns)
_RANK_OF_MASKS = 3
_LEAST_PROBABILITY = 0.5
# A position is in the picture if half of it is.
_HALF = 0.5
# Decides between classes that are predicted at equally many positions.
_TIE = 1e-3


@dataclass(frozen=True)
class ChosenRegion:
    """The region whose scores are summed in each input, at the positions of the output.

    Attributes:
        weights: (N, rows, columns, 1) float32 in [0, 1], the part of each position in the region.
        is_given: (N,) bool, whether the region was chosen. In other inputs each class is summed
            where it is predicted.
        is_inside: (N, rows, columns, 1) bool, which positions aren't in borders.
    """

    weights: tf.Tensor
    is_given: tf.Tensor
    is_inside: tf.Tensor


@dataclass(frozen=True)
class DenseScores:
    """The scores of each class at each position of the output.

    Attributes:
        raw: The network's own scores before a final softmax or sigmoid, in the output's layout.
        logits: (N, rows, columns, classes) float32. A single channel has two classes: its
            opposite, and itself.
        predicted: (N, rows, columns, classes) bool, where each class is predicted.
        region: The region whose scores are summed in each input; None to sum each class where it
            is predicted.
        grid: Where the positions lie in the input.
    """

    raw: tf.Tensor
    logits: tf.Tensor
    predicted: tf.Tensor
    region: ChosenRegion | None
    grid: Grid

    def sums(self) -> tf.Tensor:
        """Sums each class's logits over its region, (N, classes) float32."""
        kept = tf.where(self.predicted, self.logits, tf.zeros_like(self.logits))
        where_predicted = tf.reduce_sum(kept, self._axes)
        if self.region is None:
            return where_predicted
        weighted = tf.reduce_sum(self.logits * self.region.weights, self._axes)
        return tf.where(self.region.is_given[:, None], weighted, where_predicted)

    def shares(self) -> tf.Tensor:
        """Returns the share of positions at which each class is predicted, (N, classes)."""
        predicted = tf.cast(self.predicted, tf.float32)
        if self.region is None:
            return tf.reduce_mean(predicted, self._axes)
        inside = tf.reduce_sum(tf.cast(self.region.is_inside, tf.float32), self._axes)
        return tf.math.divide_no_nan(tf.reduce_sum(predicted, self._axes), inside)

    def preferences(self, last: Sequence[int] = ()) -> tf.Tensor:
        """Ranks the classes by the share of the region in which each is predicted.

        Args:
            last: Classes that come after all others, such as the background.

        Returns:
            (N, classes) float32, the higher the sooner a class is explained.
        """
        classes = self.logits.shape[-1]
        shares, means = self.shares(), tf.reduce_mean(self.logits, self._axes)
        if self.region is not None:
            weights = self.region.weights
            total = tf.reduce_sum(weights, self._axes)
            of_region = tf.reduce_sum(weights * tf.cast(self.predicted, tf.float32), self._axes)
            given = self.region.is_given[:, None]
            shares = tf.where(given, tf.math.divide_no_nan(of_region, total), shares)
            weighted = tf.reduce_sum(weights * self.logits, self._axes)
            means = tf.where(given, tf.math.divide_no_nan(weighted, total), means)
        is_last = tf.reduce_sum(tf.one_hot(list(last), classes), axis=0) if last else 0.0
        return shares + _TIE * tf.nn.softmax(means) - 2 * is_last

    def regions_of(self, targets: tf.Tensor) -> tf.Tensor:
        """Returns the regions over which classes are summed.

        Args:
            targets: (N, M) int, indices of classes.

        Returns:
            (N, M, rows, columns) float32 in [0, 1].
        """
        rank = self.predicted.shape.rank
        by_class = tf.transpose(self.predicted, [0, rank - 1, *range(1, rank - 1)])
        chosen: tf.Tensor = tf.cast(tf.gather(by_class, targets, batch_dims=1), tf.float32)
        if self.region is None:
            return chosen
        given = tf.reshape(self.region.is_given, [-1, *[1] * (rank - 1)])
        weights = tf.squeeze(self.region.weights, -1)[:, None]
        regions: tf.Tensor = tf.where(given, weights, chosen)
        return regions

    @property
    def units(self) -> int:
        """The number of the output's channels."""
        return self.grid.number_of_channels

    @property
    def _axes(self) -> list[int]:
        return list(range(1, self.logits.shape.rank - 1))


def may_be_dense(inputs: tf.Tensor, outputs: tf.Tensor) -> bool:
    """Returns whether an output may hold scores at each position of the input."""
    if not isinstance(outputs, tf.Tensor) or not outputs.dtype.is_floating:
        return False
    rank = outputs.shape.rank
    return rank is not None and 2 < rank <= inputs.shape.rank


def before_activation(outputs: tf.Tensor) -> tuple[tf.Tensor, str | None, str]:
    """Finds the scores before a final softmax or sigmoid.

    Args:
        outputs: The network's output.

    Returns:
        The scores in the output's layout, the activation, and the type of the last operation
        that doesn't only move or resample values. Operations after the activation are repeated.
        Without an activation, the output itself and None.
    """
    tensor = outputs
    after: list[tf.Operation] = []
    while tensor.op.type in _MOVING:
        after.append(tensor.op)
        tensor = tensor.op.inputs[0]
    if tensor.op.type not in (SIGMOID, SOFTMAX):
        return outputs, None, str(tensor.op.type)
    activation = str(tensor.op.type)
    scores = tensor.op.inputs[0]
    for op in reversed(after):
        (scores,) = copied(op, [scores, *list(op.inputs)[1:]], outputs.graph)
    return scores, activation, activation


def dense_scores(
    outputs: tf.Tensor,
    raw: tf.Tensor,
    activation: str | None,
    grids: GridTrace,
    region: tf.Tensor | None = None,
) -> DenseScores | NoGrid:
    """Reads a network's output as scores at each position of the input.

    Args:
        outputs: The network's output.
        raw: The scores before its activation; see `before_activation`.
        activation: That activation.
        grids: The positions of all tensors up to these scores.
        region: (N, height, width) float32, the region to explain in each input; see
            `gradcam_cli.networks.conditions.REGION`. None if no input has one.

    Returns:
        The scores; or why the output's positions aren't known.
    """
    grid = grids.find(raw)
    has_channels = isinstance(grid, Grid)
    if not has_channels and activation == SIGMOID and raw.shape.rank == _RANK_OF_MASKS:
        grid = grids.find_without_channels(raw)
    if isinstance(grid, NoGrid):
        return grid
    if grid.before or grid.after:
        return NoGrid("has tokens that aren't positions of the picture")
    arrangement = Arrangement(grid, raw.graph)

    def maps_of(tensor: tf.Tensor) -> tf.Tensor:
        values = tensor if has_channels else tf.expand_dims(tensor, -1)
        return tf.cast(arrangement.to_maps(values), tf.float32)

    logits, values = maps_of(raw), maps_of(outputs)
    is_single = logits.shape[-1] == 1
    if activation == SIGMOID:
        predicted = values > _LEAST_PROBABILITY
    elif is_single:
        predicted = logits > 0
    else:
        classes = tf.range(grid.number_of_channels, dtype=tf.int64)
        predicted = tf.equal(tf.expand_dims(tf.argmax(values, axis=-1), -1), classes)
    if is_single:
        logits = tf.concat([-logits, logits], axis=-1)
        predicted = tf.concat([tf.logical_not(predicted), predicted], axis=-1)
    chosen = None if region is None else _on_grid(region, logits, grid)
    if chosen is not None:
        predicted = tf.logical_and(predicted, chosen.is_inside)
    return DenseScores(raw, logits, predicted, chosen, grid)


def _on_grid(region: tf.Tensor, logits: tf.Tensor, grid: Grid) -> ChosenRegion:
    """Gives each position of the output the part of its area that a region covers."""
    size = tf.shape(logits)[1:3]
    # The centre of the output lies on the centre of the input.
    extent = tf.cast(tf.round(tf.cast(size, tf.float32) * tf.constant(grid.pitch)), tf.int32)
    is_inside = tf.cast(region > (OUTSIDE + NO_REGION) / 2, tf.float32)
    both = tf.stack([tf.nn.relu(region), is_inside], axis=-1)
    covered = tf.image.resize_with_crop_or_pad(both, extent[0], extent[1])
    weights, inside = tf.split(tf.image.resize(covered, size, "area"), 2, axis=-1)
    return ChosenRegion(weights, tf.reduce_max(region, [1, 2]) >= 0, inside >= _HALF)


def own_scores(raw: tf.Tensor) -> set[str]:
    """Finds the tensors of a network that already are its scores, before resampling them.

    Args:
        raw: As in `DenseScores`.

    Returns:
        The names of these tensors.
    """
    channels = raw.shape[-1]
    found: set[str] = set()
    pending = [raw]
    while pending:
        tensor = pending.pop()
        if tensor.name in found or tensor.shape.rank != raw.shape.rank:
            continue
        if tensor.shape[-1] != channels:
            continue
        found.add(tensor.name)
        if tensor.op.type in _COMBINING:
            pending += list(tensor.op.inputs)
    return found
