r"""Methods that weight feature maps by gradients.

All functions have the same arguments and results:

Args:
    feature_maps: A, (N, ..., K) float32, with one to three spatial axes.
    gradients: The derivative of y^c with respect to A, of the same shape.

Returns:
    (N, ...) float32 in the units of y^c, before the final ReLU.

For one class per picture, each method costs one forward and one backward pass. All of them
pass the cascading randomization of Adebayo et al. (2018, arXiv 1810.03292): when the network's
weights are randomized from the top down, the maps change.
"""

from __future__ import annotations

import tensorflow as tf

from gradcam_cli.cam.methods.base import spatial_axes


def grad_cam(feature_maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    r"""Grad-CAM (Selvaraju et al., 2017, arXiv 1610.02391, equations 1 and 2).

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \alpha^c_k A^k\Big), \quad
        \alpha^c_k = \frac{1}{Z} \sum_{i,j} \frac{\partial y^c}{\partial A^k_{ij}}
    """
    weights = tf.reduce_mean(gradients, spatial_axes(gradients), keepdims=True)
    return tf.reduce_sum(weights * feature_maps, axis=-1)


def grad_cam_plus_plus(feature_maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    r"""Grad-CAM++ (Chattopadhay et al., 2018, arXiv 1710.11063, equations 5, 10 and 19).

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k w^c_k A^k\Big), \quad
        w^c_k = \sum_{i,j} \alpha^{kc}_{ij} \,
            \mathrm{ReLU}\Big(\frac{\partial Y^c}{\partial A^k_{ij}}\Big), \quad
        \alpha^{kc}_{ij} = \frac{\partial^2 Y^c / (\partial A^k_{ij})^2}
            {2 \, \partial^2 Y^c / (\partial A^k_{ij})^2
            + \sum_{a,b} A^k_{ab} \, \partial^3 Y^c / (\partial A^k_{ij})^3}

    With :math:`Y^c = e^{y^c}`, as in the paper, the n-th derivative is
    :math:`e^{y^c} (\partial y^c / \partial A^k_{ij})^n`. The exponential cancels in alpha. In w
    it is one positive factor for the whole map, and is omitted.
    """
    return weigh_by_higher_derivatives(feature_maps, gradients, gradients**2, gradients**3)


def weigh_by_higher_derivatives(
    feature_maps: tf.Tensor, first: tf.Tensor, second: tf.Tensor, third: tf.Tensor
) -> tf.Tensor:
    """Weights feature maps like Grad-CAM++, given the first three derivatives.

    Args:
        feature_maps: A, (N, ..., K) float32.
        first: The first derivatives with respect to A, of the same shape.
        second: The second derivatives.
        third: The third derivatives.
    """
    axes = spatial_axes(feature_maps)
    sums = tf.reduce_sum(feature_maps, axes, keepdims=True)
    alphas = tf.math.divide_no_nan(second, 2 * second + sums * third)
    weights = tf.reduce_sum(alphas * tf.nn.relu(first), axes, keepdims=True)
    return tf.reduce_sum(weights * feature_maps, axis=-1)


def xgrad_cam(feature_maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    r"""XGrad-CAM (Fu et al., 2020, arXiv 2008.02312, equation 8).

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \alpha^c_k A^k\Big), \quad
        \alpha^c_k = \sum_{i,j} \frac{A^k_{ij}}{\sum_{a,b} A^k_{ab}}
            \frac{\partial y^c}{\partial A^k_{ij}}
    """
    axes = spatial_axes(feature_maps)
    sums = tf.reduce_sum(feature_maps, axes, keepdims=True)
    weights = tf.math.divide_no_nan(
        tf.reduce_sum(feature_maps * gradients, axes, keepdims=True), sums
    )
    return tf.reduce_sum(weights * feature_maps, axis=-1)


def hires_cam(feature_maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    r"""HiResCAM (Draelos and Carin, 2020, arXiv 2011.08891).

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \frac{\partial y^c}{\partial A^k} \odot A^k\Big)
    """
    return tf.reduce_sum(gradients * feature_maps, axis=-1)


def layer_cam(feature_maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    r"""LayerCAM (Jiang et al., 2021, IEEE TIP 30, doi 10.1109/TIP.2021.3089943).

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k
            \mathrm{ReLU}\Big(\frac{\partial y^c}{\partial A^k}\Big) \odot A^k\Big)
    """
    return tf.reduce_sum(tf.nn.relu(gradients) * feature_maps, axis=-1)
