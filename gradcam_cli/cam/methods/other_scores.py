"""Methods that explain another score than that of one class."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace

import tensorflow as tf

from gradcam_cli.cam.methods.base import InGraphMethod, Method, TappedPass, spatial_axes
from gradcam_cli.errors import UsageError
from gradcam_cli.networks.forward import differentiate, length_of
from gradcam_cli.networks.tasks import REGRESSION


@dataclass(frozen=True)
class FinerCam(InGraphMethod):
    r"""Finer-CAM (Zhang et al., 2025, arXiv 2501.11309): Grad-CAM of a difference.

    It shows what distinguishes class c from the classes d that are most similar to it, those
    with the closest scores. Over Grad-CAM:

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \alpha_k A^k\Big), \quad
        \alpha_k = \frac{1}{Z} \sum_{i,j} \frac{\partial}{\partial A^k_{ij}}
            \Big(y^c - \gamma \, \frac{1}{|D|} \sum_{d \in D} y^d\Big)

    Over another method, that method's formula gets the gradient of the same difference. It passes
    the cascading randomization of Adebayo et al. (2018, arXiv 1810.03292). A regression has no
    classes to compare.

    Attributes:
        base: The method that explains the difference.
        gamma: The weight of the other classes' scores, which are subtracted: 0 (Grad-CAM) to 1.
        references: The number |D| of classes to compare with, or all other classes if the
            network has fewer.
    """

    _: KW_ONLY
    base: Method
    gamma: float = 0.6
    references: int = 3

    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Explains the difference of the scores.

        Raises:
            UsageError: The outputs are values of a regression.
        """
        if tapped.forward.task == REGRESSION:
            raise UsageError(
                "finercam compares a class with similar ones, and a regression has none; choose "
                "another method, such as gradcam"
            )
        logits = tapped.forward.logits
        distances = tf.abs(logits - tapped.scores[:, None])
        # The class must not be compared with itself.
        distances = tf.where(tapped.classes > 0, distances.dtype.max, distances)
        references = min(self.references, max(1, length_of(logits, -1) - 1))
        _, similar = tf.math.top_k(-distances, references)
        other_scores = tf.gather(logits, similar, batch_dims=1)
        difference = tapped.scores - self.gamma * tf.reduce_mean(other_scores, axis=-1)
        assert isinstance(self.base, InGraphMethod)
        return self.base.maps(replace(tapped, scores=difference))


class ShapleyCam(InGraphMethod):
    r"""ShapleyCAM (Cai, 2025, arXiv 2501.06261).

    The Shapley values of the feature maps for the utility u, to second order. H is the
    Hessian of u with respect to A:

    .. math::
        L^c = \mathrm{ReLU}\Big(\sum_k \alpha_k A^k\Big), \quad
        \alpha_k = \frac{1}{Z} \sum_{i,j} \Big(\frac{\partial u}{\partial A}
            - \tfrac{1}{2} H A\Big)^k_{ij}, \quad
        u = y^c + \log p^c

    u is the paper's ReST (residual softmax target-class) utility, with the probability
    :math:`p^c` after softmax, or after sigmoid if each class has its own. For a regression, u is
    the value :math:`y^c`. It passes the cascading randomization of Adebayo et al. (2018, arXiv
    1810.03292).
    """

    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Computes the weights from the gradient and a Hessian-vector product."""
        forward = tapped.forward
        utility = tapped.scores
        if forward.task != REGRESSION:
            to_log = tf.math.log_sigmoid if forward.is_independent else tf.nn.log_softmax
            log_probabilities = to_log(forward.logits)
            utility += tf.reduce_sum(log_probabilities * tapped.classes, axis=-1)
        output = tapped.layer_output
        gradients = differentiate(utility, output, tapped.layer)
        # A value that is linear in the output has no second derivative.
        (hessian_times_output,) = tf.gradients(
            gradients, output, output, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        slopes = tapped.as_maps(gradients - hessian_times_output / 2)
        weights = tf.reduce_mean(slopes, spatial_axes(slopes), keepdims=True)
        return tf.reduce_sum(weights * tapped.feature_maps, axis=-1)
