"""The explained score: that of one class, of several together, or a difference of scores."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class ScoreWeights:
    """Which classes' scores are added to that of a target, or subtracted from it.

    Attributes:
        joined: Classes that are explained together: a target that is one of them stands for the
            sum of all their scores. Other targets stand for themselves.
        against: The class whose score is subtracted; None for none. The difference shows why the
            network gives the target and not this class (Selvaraju et al., 2017, arXiv 1610.02391;
            Prabhushankar et al., 2020, arXiv 2008.00178). If it is the target itself, its score
            is negated, which shows what lowers it.
    """

    joined: tuple[int, ...] = ()
    against: int | None = None

    def weigh(self, one_hot: tf.Tensor) -> tf.Tensor:
        """Turns targets into the weights of all scores in the explained one.

        Args:
            one_hot: (N, classes) float32.

        Returns:
            (N, classes) float32.
        """
        weights = one_hot
        classes = one_hot.shape[-1]
        if self.joined:
            # Adding the other members keeps the target's own weight.
            others = tf.reduce_sum(tf.one_hot(self.joined, classes), axis=0) - one_hot
            is_member = tf.reduce_sum(tf.gather(one_hot, self.joined, axis=-1), -1, keepdims=True)
            weights += is_member * others
        if self.against is not None:
            compared = tf.one_hot(self.against, classes)
            weights = weights * (1 - compared) - compared
        return weights

    def rank(self, probabilities: tf.Tensor) -> tf.Tensor:
        """Ranks the classes that can be targets, most probable first.

        Args:
            probabilities: (N, classes) float32.

        Returns:
            (N, classes) int32, class indices; of equal ones the first class comes first. `against`
            comes last, because others are compared with it.
        """
        if self.against is not None:
            is_compared = tf.one_hot(
                self.against, probabilities.shape[-1], on_value=True, off_value=False
            )
            probabilities = tf.where(is_compared, -float("inf"), probabilities)
        ranking: tf.Tensor = tf.math.top_k(probabilities, probabilities.shape[-1]).indices
        return ranking
