r"""Methods that read the attention of transformers.

Notation: :math:`A^l` are the attention probabilities of block l, (heads, tokens, tokens). Each
row belongs to a query and sums to 1. :math:`\mathbb{E}_h` is the mean over heads. Class tokens are
treated like other tokens until the map is laid out, which leaves out all tokens but the patches.

The methods explain self-attention over all tokens, whatever the network's last layer is. They
refuse attention within windows (Swin), to fewer keys (MiT) or by learned queries: it doesn't
relate every patch to all others, so products over blocks would be meaningless.

The network determines which row of a matrix becomes the map. If the scores are computed from
class tokens, it is their rows. If all patches are pooled or flattened, it is the mean of their
rows.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NoReturn

import tensorflow as tf

from gradcam_cli.cam.methods.base import InGraphMethod, TappedPass
from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.networks.attention import NoAttention, SelfAttention
from gradcam_cli.networks.forward import ForwardPass
from gradcam_cli.networks.grids import Grid
from gradcam_cli.networks.single_tensors import follow_from

_NO_GRADIENT = "passes no gradient of the score back to its attention"


class AttentionMethod(InGraphMethod):
    """A method that uses the attention of all blocks.

    Attributes:
        title: The name that its authors use.
    """

    title: ClassVar[str]

    def grid(self, forward: ForwardPass, layer: str) -> Grid:
        """Returns the grid of the patch tokens."""
        return self._attention(forward).grid

    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Arranges the relevance of the tokens as maps."""
        attention = self._attention(tapped.forward)
        return attention.to_maps(self.relevance(attention, tapped))

    @abstractmethod
    def relevance(self, attention: SelfAttention, tapped: TappedPass) -> tf.Tensor:
        """Computes the relevance of each token.

        Returns:
            (N, tokens) float32.
        """

    def _attention(self, forward: ForwardPass) -> SelfAttention:
        found = forward.attention
        if isinstance(found, NoAttention):
            self._refuse(found.reason)
        return found

    def _refuse(self, reason: str) -> NoReturn:
        raise UnusableLayerError(
            f"{self.title} needs self-attention over all tokens, but the network {reason}; "
            f"gradcam, layercam and reciprocam don't need it"
        )


class AttentionRollout(AttentionMethod):
    r"""Attention rollout (Abnar and Zuidema, 2020, arXiv 2005.00928, section 3).

    A residual connection carries each token past the attention, with half the weight:

    .. math::
        \tilde A^l = \mathrm{normalize}\big(\tfrac{1}{2} \mathbb{E}_h A^l + \tfrac{1}{2} I\big),
        \quad L = \tilde A^n \tilde A^{n-1} \cdots \tilde A^1

    Each row is normalized to a sum of 1. The method doesn't use the class: the map is the same
    for every class and doesn't notice random weights above the last attention. So, strictly, it
    fails the cascading randomization of Adebayo et al. (2018, arXiv 1810.03292). It does notice
    random weights in the attention or below it.
    """

    title = "Attention rollout"

    def relevance(self, attention: SelfAttention, tapped: TappedPass) -> tf.Tensor:
        """Multiplies the attention matrices of all blocks."""
        means = [
            tf.reduce_mean(block.matrices(block.probabilities), axis=1)
            for block in attention.blocks
        ]
        rollout = identity = tf.eye(tf.shape(means[0])[-1])
        for mean in means:
            mixed = 0.5 * mean + 0.5 * identity
            mixed /= tf.reduce_sum(mixed, axis=-1, keepdims=True)
            rollout = mixed @ rollout
        return attention.read_rows(rollout)


class AttentionRelevance(AttentionMethod):
    r"""Chefer's relevance (Chefer, Gur and Wolf, 2021, arXiv 2103.15679, equations 5 and 6).

    The paper is "Generic Attention-model Explainability for Interpreting Bi-Modal and
    Encoder-Decoder Transformers"; this is its rule for self-attention. It starts from R = I
    and updates R for one block after the other:

    .. math::
        R \leftarrow R + \bar A^l R, \quad \bar A^l = \mathbb{E}_h
            \Big(\frac{\partial y^c}{\partial A^l} \odot A^l\Big)^+

    The map is a row of R - I: averaged over the rows of patches, I would only add a constant.
    The map depends on the class and passes the cascading randomization of Adebayo et al. (2018,
    arXiv 1810.03292).
    """

    title = "Attention relevance"

    def relevance(self, attention: SelfAttention, tapped: TappedPass) -> tf.Tensor:
        """Sums the relevance over all paths through the blocks."""
        probabilities = [block.probabilities for block in attention.blocks]
        gradients = tf.gradients(tapped.scores, probabilities)
        means = []
        for block, gradient in zip(attention.blocks, gradients, strict=True):
            if gradient is None:
                self._refuse(_NO_GRADIENT)
            product = block.matrices(gradient) * block.matrices(block.probabilities)
            means.append(tf.reduce_mean(tf.nn.relu(product), axis=1))
        identity = tf.eye(tf.shape(means[0])[-1])
        # The sum is R - I, because next to I small relevances would be rounded away.
        relevance = tf.zeros_like(means[0])
        for mean in means:
            relevance += mean @ (identity + relevance)
        return attention.read_rows(relevance)


class LeGrad(AttentionMethod):
    r"""LeGrad (Bousselham et al., 2024, arXiv 2404.03214).

    The score :math:`s^l` is the output of the network's own classifier (final normalization,
    pooling, linear layer) for the tokens that leave block l; for the last block it is y^c. The
    map is the positive part of its gradient:

    .. math::
        L^c = \frac{1}{n} \sum_l \frac{1}{HT} \sum_h \sum_i
            \Big(\frac{\partial s^l}{\partial A^l_{h,i}}\Big)^+

    i runs over all T queries, including those of other tokens than patches; as keys, these tokens
    are left out. All blocks count, as in the paper; the authors' code uses a number of the last
    ones. The paper scales the map from its minimum to its maximum. Here it is scaled by its
    maximum, like the other methods. It passes the cascading randomization of Adebayo et al. (2018,
    arXiv 1810.03292).
    """

    title = "LeGrad"

    def relevance(self, attention: SelfAttention, tapped: TappedPass) -> tf.Tensor:
        """Averages over blocks, heads and queries."""
        last = attention.blocks[-1]
        total: list[tf.Tensor] = []
        for block in attention.blocks:
            scores = tapped.scores
            if block is not last:
                if block.tokens is None or last.tokens is None:
                    self._refuse("passes more than the tokens from block to block")
                scores = follow_from(last.tokens, block.tokens, tapped.scores)
            (gradient,) = tf.gradients(scores, block.probabilities)
            if gradient is None:
                self._refuse(_NO_GRADIENT)
            total.append(tf.reduce_mean(tf.nn.relu(block.matrices(gradient)), axis=[1, 2]))
        return tf.add_n(total) / len(total)
