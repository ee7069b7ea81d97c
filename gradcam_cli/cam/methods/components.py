r"""Methods that find the main pattern in the feature maps themselves.

Their arguments and results are those of `gradcam_cli.cam.methods.gradients`. Eigen-CAM and
FEM don't use the class: their map is the same for every class. So, strictly, they fail the
cascading randomization of Adebayo et al. (2018, arXiv 1810.03292): random weights above the
explained layer change nothing. Random weights in or below it do.
"""

from __future__ import annotations

import tensorflow as tf

from gradcam_cli.cam.methods.base import spatial_axes


def eigen_cam(feature_maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    r"""Eigen-CAM (Muhammad and Yeasin, 2020, arXiv 2008.00299).

    With the feature maps as a matrix of cells by channels:

    .. math::
        A = U \Sigma V^\top, \quad L = A V_1

    A singular vector has no sign of its own. It is chosen so that the map correlates positively
    with the sum of the feature maps. The method doesn't use the class, so it doesn't notice random
    weights above its layer (see the module docstring).
    """
    return _first_component(feature_maps)


def eigen_grad_cam(feature_maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    r"""Eigen-Grad-CAM: Eigen-CAM of the feature maps times their gradients.

    It has no paper of its own; Gildenblat's pytorch-grad-cam (2021) introduced it.

    .. math::
        \frac{\partial y^c}{\partial A} \odot A = U \Sigma V^\top, \quad
        L^c = \mathrm{ReLU}\Big(\Big(\frac{\partial y^c}{\partial A} \odot A\Big) V_1\Big)

    The sign is chosen so that the map correlates positively with HiResCAM's. The map depends on
    the class, and passes the cascading randomization.
    """
    return _first_component(feature_maps * gradients)


def fem(feature_maps: tf.Tensor, gradients: tf.Tensor, k: float = 1.0) -> tf.Tensor:
    r"""FEM, feature-based explanation (Fuad et al., 2020, IPTA).

    The paper is "Features Understanding in 3D CNNs for Actions Recognition in Video".

    With the mean :math:`\mu_k` and the standard deviation :math:`\sigma_k` of each feature
    map, rare strong activations count, weighted by the mean of the whole map:

    .. math::
        L = \sum_k \mu_k \, [A^k > \mu_k + K \sigma_k]

    The method doesn't use the class, so it doesn't notice random weights above its layer (see
    the module docstring).

    Args:
        feature_maps: A, (N, ..., K) float32.
        gradients: Not used.
        k: How many standard deviations a cell must be above its map's mean.
    """
    axes = spatial_axes(feature_maps)
    means = tf.reduce_mean(feature_maps, axes, keepdims=True)
    deviations = tf.math.reduce_std(feature_maps, axes, keepdims=True)
    strong = tf.cast(feature_maps > means + k * deviations, tf.float32)
    return tf.reduce_sum(means * strong, axis=-1)


def _first_component(values: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(values)
    cells = tf.reshape(values, (shape[0], -1, values.shape[-1]))
    _, _, right = tf.linalg.svd(cells, full_matrices=False)
    projection = tf.einsum("nik,nk->ni", cells, right[:, :, 0])
    sums = tf.reduce_sum(cells, axis=-1)
    sign = tf.sign(tf.reduce_sum(projection * sums, axis=1, keepdims=True))
    return tf.reshape(projection * sign, shape[:-1])
