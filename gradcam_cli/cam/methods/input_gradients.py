"""Methods that use the gradient at the input."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

from gradcam_cli.cam.methods.base import InGraphMethod, TappedPass, spatial_axes
from gradcam_cli.cam.methods.gradients import grad_cam
from gradcam_cli.cam.upsampling import upsample
from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.networks.biases import biased_tensors
from gradcam_cli.networks.guided_relus import guided_relus
from gradcam_cli.networks.layers import feature_grid
from gradcam_cli.networks.layout import channels_first_tensors, with_channels_last


class FullGrad(InGraphMethod):
    r"""FullGrad (Srinivas and Fleuret, 2019, arXiv 1905.00780, equation 5).

    It adds the gradient times the input, and the gradient times every bias b in the network
    (including those of batch normalization), taken where the bias is added:

    .. math::
        L^c = \psi\Big(\frac{\partial y^c}{\partial x} \odot x\Big)
            + \sum_l \sum_k \psi\Big(\frac{\partial y^c}{\partial b_l} \odot b_l\Big)^k, \quad
        \psi = \mathrm{upsample} \circ \mathrm{rescale} \circ |\cdot|

    Each layer as a whole is rescaled to a minimum of 0 and a maximum of 1, as in the authors'
    code. Rescaled channel by channel, channels that hardly contribute would count as much as
    the others. Upsampling is bilinear. The biases of layers without spatial output are left out
    of the map.

    For networks of ReLU, ReLU6, linear layers and pooling, the input and bias terms together
    sum to y^c. Other activations leave a remainder. For transformers almost everything is
    remainder: attention multiplies values that depend on the input, normalization divides by
    such values, and few biases have a position. Networks whose last feature maps are tokens are
    therefore refused. FullGrad passes the cascading randomization of Adebayo et al. (2018,
    arXiv 1810.03292).
    """

    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Sums the contributions of input and biases at each position.

        Raises:
            UnusableLayerError: The network is a transformer.
        """
        if feature_grid(tapped.forward, tapped.layer).are_tokens:
            raise UnusableLayerError(
                "FullGrad splits a score into contributions of the input and the biases, which in "
                "a transformer don't add up to the score; use gradcam, hirescam or legrad instead"
            )
        inputs = tapped.inputs
        size = tf.shape(inputs)[1:-1]
        total = tf.zeros(tf.shape(inputs)[:-1])
        for term in full_gradient(inputs, tapped.scores):
            if term.shape.rank == inputs.shape.rank:
                strength = tf.reduce_sum(_rescale(tf.abs(term)), axis=-1)
                total += upsample(strength, size, "bilinear")
        return total


def full_gradient(inputs: tf.Tensor, scores: tf.Tensor) -> Iterator[tf.Tensor]:
    """Splits scores into the contributions of the input and of each bias.

    Every term that the network adds and that doesn't depend on the input is a bias. So is the
    output of a saturated ReLU6.

    Args:
        inputs: (N, ..., channels) float32, in a graph.
        scores: (N,) float32, computed from them.

    Yields:
        The input's contributions, then those of each bias, float32. Each has the shape of the
        tensor that the bias is added to, with the channels last.
    """
    biased = list(biased_tensors(inputs))
    gradients = tf.gradients(scores, [inputs, *(tensor for tensor, _ in biased)])
    yield gradients[0] * inputs
    channels_first = channels_first_tensors(inputs)
    for (tensor, bias), gradient in zip(biased, gradients[1:], strict=True):
        # The graph may contain operations that the scores don't depend on.
        if gradient is None:
            continue
        term = tf.cast(gradient, tf.float32) * tf.cast(bias, tf.float32)
        is_image = term.shape.rank == inputs.shape.rank
        yield with_channels_last(term) if is_image and tensor.name in channels_first else term


class GuidedGradCam(InGraphMethod):
    r"""Guided Grad-CAM (Selvaraju et al., 2017, arXiv 1610.02391, section 3.3).

    Grad-CAM, upsampled bilinearly, times guided backpropagation (Springenberg et al.,
    2015, arXiv 1412.6806), in which ReLUs pass back only positive gradients:

    .. math::
        L^c = \mathrm{upsample}(L^c_\mathrm{Grad-CAM}) \odot
            \max_\mathrm{channels} \Big|\frac{\partial y^c}{\partial x}\Big|_\mathrm{guided}

    Only ReLU and ReLU6 are guided. Other activations pass the plain gradient, including the GELU
    of transformers, for which the result is Grad-CAM times the magnitude of the gradient.

    It fails the cascading randomization of Adebayo et al. (2018, arXiv 1810.03292), as
    they showed. Guided backpropagation nearly restores the edges of the input, whatever
    the weights of the upper layers (Nie et al., 2018, arXiv 1805.07039). In the built-in
    network it doesn't change when these are randomized. Don't read the fine detail as what
    the network looked at. (In a network of a few layers it does change.)
    """

    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Multiplies the two maps."""
        inputs = tapped.inputs
        coarse = grad_cam(tapped.feature_maps, tapped.gradients_of(tapped.scores))
        coarse = upsample(tf.nn.relu(coarse), tf.shape(inputs)[1:-1], "bilinear")
        return coarse * tf.reduce_max(tf.abs(guided_gradients(tapped)), axis=-1)


def guided_gradients(tapped: TappedPass) -> tf.Tensor:
    """Computes guided backpropagation down to the input.

    Returns:
        (N, ..., channels) float32, of the shape of the inputs.
    """
    with guided_relus(tapped.inputs.graph):
        _, scores = tapped.scorer(tapped.inputs, tapped.targets)
    gradients: tf.Tensor = tf.gradients(scores, tapped.inputs)[0]
    return gradients


def _rescale(values: tf.Tensor) -> tf.Tensor:
    axes = [*spatial_axes(values), -1]
    low = tf.reduce_min(values, axes, keepdims=True)
    high = tf.reduce_max(values, axes, keepdims=True)
    return tf.math.divide_no_nan(values - low, high - low)
