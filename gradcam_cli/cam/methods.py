"""Class activation maps: each method a function from feature maps and gradients to maps.

Notation: A is a layer's output, A^k its k-th feature map, y^c the score of class c before
softmax, i and j run over the cells of a map.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Method = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def grad_cam(feature_maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    r"""Grad-CAM (Selvaraju et al., 2017, arXiv 1610.02391, equations 1 and 2).

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \alpha^c_k A^k\Big), \quad
        \alpha^c_k = \frac{1}{Z} \sum_{i,j} \frac{\partial y^c}{\partial A^k_{ij}}

    Args:
        feature_maps: A, (N, rows, columns, K) float.
        gradients: The derivative of y^c by A, of the same shape and dtype.

    Returns:
        (N, rows, columns), not negative, in the units of y^c.
    """
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * feature_maps, axis=-1))


def scale_by_maximum(maps: tf.Tensor) -> tf.Tensor:
    """Scales each map to a maximum of 1; a map without a positive value stays all zeros.

    Args:
        maps: (..., rows, columns) float, not negative.

    Returns:
        The same shape and dtype, in [0, 1].
    """
    return tf.math.divide_no_nan(maps, tf.reduce_max(maps, axis=(-2, -1), keepdims=True))
