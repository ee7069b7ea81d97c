"""Scales maps to [0, 1] or, if they are signed, to [-1, 1], fuses and smooths them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from gradcam_cli.cam.fusions import DEFAULT_FUSION, PRODUCT

# As in the test-time augmentation of pytorch-grad-cam, which popularized it for maps.
_BRIGHTNESS = (0.9, 1.0, 1.1)
# One cell in this many is above the 99.5th percentile.
_BRIGHTEST = 200


def scale_by_maximum(maps: tf.Tensor, spatial_rank: int = 2) -> tf.Tensor:
    """Scales each map to a maximum magnitude of 1; a map of zeros stays one.

    Args:
        maps: (..., rows, columns) float.
        spatial_rank: The number of spatial axes, which are the last ones.

    Returns:
        The same shape and dtype, in [-1, 1]; in [0, 1] if nothing is negative.
    """
    return tf.math.divide_no_nan(maps, maxima(maps, spatial_rank))


def maxima(maps: tf.Tensor, spatial_rank: int = 2) -> tf.Tensor:
    """Returns the maximum magnitude of each map.

    Args:
        maps: As for `scale_by_maximum`.
        spatial_rank: The number of spatial axes, which are the last ones.

    Returns:
        The shape of the maps with spatial axes of length 1.
    """
    return tf.reduce_max(tf.abs(maps), list(range(-spatial_rank, 0)), keepdims=True)


def scale_sparse(maps: tf.Tensor, spatial_rank: int = 2) -> tf.Tensor:
    """Scales each map to its 99.5th percentile, or to its maximum if the percentile is 0.

    Args:
        maps: (..., rows, columns) float, not negative.
        spatial_rank: The number of spatial axes, which are the last ones.

    Returns:
        The same shape and dtype, in [0, 1]; values above the percentile become 1.
    """
    return tf.minimum(tf.math.divide_no_nan(maps, sparse_limits(maps, spatial_rank)), 1.0)


def sparse_limits(maps: tf.Tensor, spatial_rank: int = 2) -> tf.Tensor:
    """Returns the value that becomes 1 in `scale_sparse`, (..., 1, 1), for each of its maps."""
    shape = tf.shape(maps)
    cells = tf.reshape(maps, tf.concat((shape[:-spatial_rank], [-1]), axis=0))
    brightest = tf.math.top_k(cells, 1 + tf.shape(cells)[-1] // _BRIGHTEST).values
    low, high = brightest[..., -1], brightest[..., 0]
    limits = tf.where(low > 0, low, high)
    for _ in range(spatial_rank):
        limits = tf.expand_dims(limits, -1)
    return limits


def fuse(maps: Sequence[tf.Tensor], fusion: str, spatial_rank: int = 2) -> tf.Tensor:
    """Fuses maps of several layers.

    Args:
        maps: Each (..., rows, columns) in [-1, 1], all of one shape.
        fusion: One of `gradcam_cli.cam.fusions.FUSIONS`. "max" takes the value of the largest
            magnitude of each cell. For maps without negative values that is the maximum, as
            Jiang et al. fuse LayerCAM's maps (2021, IEEE TIP 30). "product" multiplies them cell
            by cell, as RefineCAM does (Domeniconi et al., 2026, arXiv 2605.14641): what one layer
            doesn't see is left out. It is meaningless for maps with a sign.
        spatial_rank: The number of spatial axes, which are the last ones.

    Returns:
        The same shape, scaled to a maximum magnitude of 1 again.
    """
    if fusion == PRODUCT:
        # Scaled at each step, because a product of many small values would vanish.
        return functools.reduce(
            lambda fused, one: scale_by_maximum(fused * one, spatial_rank), maps
        )
    stacked = tf.stack(maps)
    if fusion == DEFAULT_FUSION:
        return scale_by_maximum(tf.reduce_mean(stacked, axis=0), spatial_rank)
    high, low = tf.reduce_max(stacked, axis=0), tf.reduce_min(stacked, axis=0)
    return scale_by_maximum(tf.where(high >= -low, high, low), spatial_rank)


def smooth(explain: Callable[[tf.Tensor, bool], tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
    """Averages the maps of brighter, darker and mirrored copies of the inputs.

    Args:
        explain: A function from inputs, and whether they are mirrored, to maps
            (..., columns). Each map is scaled before averaging.
        inputs: (N, ..., columns, channels) float32. Only pictures and volumes are
            mirrored, because time has a direction.

    Returns:
        The mean map in the shape that ``explain`` returns, scaled to a maximum magnitude of 1.
    """
    spatial_rank = inputs.shape.rank - 2
    total = tf.constant(0.0)
    for mirrored in (False, True) if spatial_rank > 1 else (False,):
        for factor in _BRIGHTNESS:
            changed = inputs * factor
            maps = explain(tf.reverse(changed, [-2]) if mirrored else changed, mirrored)
            maps = scale_by_maximum(maps, spatial_rank)
            total += tf.reverse(maps, [-1]) if mirrored else maps
    return scale_by_maximum(total, spatial_rank)


def smoothing_runs(inputs: tf.Tensor) -> int:
    """Returns the number of copies of its inputs that `smooth` explains."""
    return len(_BRIGHTNESS) * (2 if inputs.shape.rank > 3 else 1)
