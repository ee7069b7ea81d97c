"""Methods that fuse the maps of many layers, weighted by what each layer contributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import InGraphMethod, TappedPass, spatial_axes
from gradcam_cli.cam.methods.gradients import grad_cam
from gradcam_cli.cam.upsampling import upsample, upsample_at_pitch
from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.forward import differentiate
from gradcam_cli.networks.grids import Pitch
from gradcam_cli.networks.layers import convolution_taps, feature_grid

# The weight of the least important layer that counts; the most important ones have 1.
_LEAST_WEIGHT = 0.1
_FEWEST_LAYERS = 2
# Only pictures have rows and columns whose distance in the input is known.
_PICTURES = 3


@dataclass(frozen=True)
class WinsorCam(InGraphMethod):
    r"""Winsor-CAM (Wall et al., 2025, arXiv 2507.10846): Grad-CAM of many layers.

    Each layer l has an importance, the mean of Grad-CAM's weights over its K feature maps, and a
    weight that follows from it:

    .. math::
        L^c = \sum_l w_l \, \mathrm{upsample}\big(s(L^c_l)\big), \quad
        w_l = 0.1 + 0.9 \, \frac{v_l - \min v}{\max v - \min v}, \quad
        v_l = \min(u_l, P_p(u)), \quad
        u_l = \mathrm{ReLU}\Big(\frac{1}{K} \sum_k \alpha^c_{lk}\Big)

    :math:`L^c_l` is the layer's Grad-CAM after the ReLU, and s scales it to [0, 1] from minimum
    to maximum. P is the p-th percentile. It and the minimum count only layers with a positive
    importance; the others have the weight 0. If all v are equal, their weights are 1. Winsorizing
    keeps a few layers, usually the last ones, from drowning the others: the smaller p, the more
    equal are the weights.

    The layers are all convolutions with feature maps of more than one cell, as in the paper, or
    those that the user chooses. The method costs one forward and one backward pass. It passes the
    cascading randomization of Adebayo et al. (2018, arXiv 1810.03292).

    Attributes:
        percentile: p, 0 to 100.
    """

    percentile: float = 90.0

    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Fuses the maps of the layers at the size of the input.

        Raises:
            UnusableLayerError: There are fewer than two layers, or no gradient reaches one.
        """
        paths = tapped.layers or convolution_taps(tapped.forward)
        if len(paths) < _FEWEST_LAYERS:
            raise UnusableLayerError(
                f"Winsor-CAM fuses the maps of several layers, and the network has "
                f"{len(paths) or 'no'} convolution layer{'s' * (len(paths) != 1)} with feature "
                f"maps; choose several layers, or another method"
            )
        # Layers with equal cells are upsampled together: upsampling takes most of the time.
        groups: dict[tuple[Pitch, tuple[int, ...]], list[int]] = {}
        maps: list[tf.Tensor] = []
        importances: list[tf.Tensor] = []
        for path, gradient in zip(paths, _gradients(tapped, paths), strict=True):
            grid = feature_grid(tapped.forward, path)
            arrangement = Arrangement(grid, tapped.inputs.graph)
            feature_maps = _as_float(arrangement, tapped.forward.layer_outputs[path])
            gradients = _as_float(arrangement, gradient)
            groups.setdefault((grid.pitch, grid.size), []).append(len(maps))
            maps.append(_scale_to_unit(tf.nn.relu(grad_cam(feature_maps, gradients))))
            importances.append(tf.reduce_mean(gradients, [*spatial_axes(gradients), -1]))
        stacked = tf.stack(importances, axis=-1)
        weights = winsorized_weights(stacked, self.percentile)
        weights = tf.reshape(weights, (-1, len(paths), *[1] * (maps[0].shape.rank - 1)))
        size = tf.shape(tapped.inputs)[1:-1]
        fused = tf.zeros(tf.shape(tapped.inputs)[:-1])
        for (pitch, _), members in groups.items():
            cells = tf.add_n([weights[:, number] * maps[number] for number in members])
            if cells.shape.rank == _PICTURES:
                fused += upsample_at_pitch(cells, size, pitch)
            else:
                fused += upsample(cells, size)
        # ReLU and sorting may turn NaN into a number.
        is_whole = tf.reduce_all(tf.math.is_finite(stacked), axis=-1)
        is_whole = tf.reshape(is_whole, (-1, *[1] * (fused.shape.rank - 1)))
        return tf.where(is_whole, fused, np.float32(np.nan))


def winsorized_weights(importances: tf.Tensor, percentile: float) -> tf.Tensor:
    """Computes the weights of layers from their importances; see `WinsorCam`.

    Args:
        importances: (N, layers) float32, before the ReLU.
        percentile: 0 to 100.

    Returns:
        (N, layers) float32 in [0, 1].
    """
    positive = tf.nn.relu(importances)
    ascending = tf.sort(positive, axis=-1)
    last = tf.shape(ascending)[-1] - 1
    # The positive ones come last.
    first = last + 1 - tf.math.count_nonzero(positive, axis=-1, dtype=tf.int32)
    first = tf.minimum(first, last)
    place = tf.cast(first, tf.float32) + tf.cast(last - first, tf.float32) * percentile / 100
    below = tf.cast(tf.floor(place), tf.int32)
    above = tf.minimum(below + 1, last)
    part = place - tf.cast(below, tf.float32)
    lower, upper, least = (
        tf.gather(ascending, index, batch_dims=1) for index in (below, above, first)
    )
    limit = (lower + part * (upper - lower))[:, None]
    span, least = limit - least[:, None], least[:, None]
    relative = tf.where(
        span > 0, tf.math.divide_no_nan(tf.minimum(positive, limit) - least, span), 1.0
    )
    weights = _LEAST_WEIGHT + (1 - _LEAST_WEIGHT) * relative
    return tf.where(positive > 0, weights, 0.0)


def _gradients(tapped: TappedPass, paths: Sequence[str]) -> list[tf.Tensor]:
    """Differentiates the scores with respect to the outputs of all layers in one pass."""
    outputs = [tapped.forward.layer_outputs[path] for path in paths]
    try:
        gradients = tf.gradients(tapped.scores, outputs)
    except LookupError:
        gradients = [None] * len(outputs)
    return [
        # Names the layer that no gradient reaches, and why.
        differentiate(tapped.scores, output, path) if gradient is None else gradient
        for path, output, gradient in zip(paths, outputs, gradients, strict=True)
    ]


def _as_float(arrangement: Arrangement, values: tf.Tensor) -> tf.Tensor:
    return tf.cast(arrangement.to_maps(values), tf.float32)


def _scale_to_unit(maps: tf.Tensor) -> tf.Tensor:
    axes = list(range(1, maps.shape.rank))
    low = tf.reduce_min(maps, axes, keepdims=True)
    high = tf.reduce_max(maps, axes, keepdims=True)
    return tf.math.divide_no_nan(maps - low, high - low)
