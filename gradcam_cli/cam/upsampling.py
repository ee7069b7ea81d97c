"""Upsamples maps with any number of spatial axes."""

from __future__ import annotations

import math

import tensorflow as tf

from gradcam_cli.networks.grids import Pitch


def upsample(maps: tf.Tensor, size: tf.Tensor, method: str = "bicubic") -> tf.Tensor:
    """Resizes maps; each cell gets an equal part of the new size.

    Args:
        maps: (N, ...) float32, with at least one spatial axis.
        size: (spatial axes,) int32, the new length of each.
        method: "bicubic" or "bilinear"; the result equals that of ``tf.image.resize``.

    Returns:
        (N, *size) float32. Bicubic values can slightly exceed the old range.
    """
    # Both kernels are separable, so the axes are resized one by one.
    for axis in range(1, maps.shape.rank):
        maps = _resize_axis(maps, axis, size[axis - 1], method)
    return maps


def upsample_at_pitch(maps: tf.Tensor, size: tf.Tensor, pitch: Pitch) -> tf.Tensor:
    """Upsamples maps so that each cell lies at the input position that the network saw.

    The centre of a map lies on the centre of the input. The outermost cells are repeated
    up to the borders.

    Args:
        maps: (N, rows, columns) float32, or with further spatial axes before the rows.
        size: (spatial axes,) int32, the size of the input in pixels, height and width last.
        pitch: The distance between two cells along each of these axes, in input pixels.

    Returns:
        (N, *size) float32, each in the range of its map.
    """
    axes = list(range(1, len(pitch) + 1))
    low = tf.reduce_min(maps, axis=axes, keepdims=True)
    high = tf.reduce_max(maps, axis=axes, keepdims=True)
    for axis in axes:
        cells, length = tf.shape(maps)[axis], size[axis - 1]
        reached = tf.cast(length, tf.float32) / pitch[axis - 1]
        missing = (reached - tf.cast(cells, tf.float32)) / 2
        margin = tf.maximum(tf.cast(tf.math.ceil(missing), tf.int32), 0)
        rows = tf.clip_by_value(tf.range(-margin, cells + margin), 0, cells - 1)
        padded = tf.gather(maps, rows, axis=axis)
        covered = tf.cast(cells + 2 * margin, tf.float32) * pitch[axis - 1]
        covered = tf.cast(tf.round(covered), tf.int32)
        resized = _resize_axis(padded, axis, covered, "bicubic")
        start = (covered - length) // 2
        maps = tf.gather(resized, tf.range(start, start + length), axis=axis)
    return tf.clip_by_value(maps, low, high)


def _resize_axis(maps: tf.Tensor, axis: int, length: tf.Tensor, method: str) -> tf.Tensor:
    static, shape = maps.shape.as_list(), tf.shape(maps)
    # What is known needs no operations.
    lengths = [shape[i] if known is None else known for i, known in enumerate(static)]
    columns = math.prod(lengths[axis + 1 :])
    images = tf.reshape(maps, (-1, lengths[axis], columns, 1))
    images = tf.image.resize(images, (length, columns), method=method)
    resized = tf.reshape(images, (*lengths[:axis], length, *lengths[axis + 1 :]))
    resized.set_shape([*static[:axis], None, *static[axis + 1 :]])
    return resized
