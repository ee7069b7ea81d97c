"""The functions that compute one score from the output of a model, as Xplique names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from gradcam_cli.errors import UsageError

Operator = Callable[[Callable[[tf.Tensor], tf.Tensor], tf.Tensor, tf.Tensor], tf.Tensor]


def _sum_of_predictions(model: Any, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    products = model(inputs) * targets
    return tf.reduce_sum(products, list(range(1, products.shape.rank)))


def _mean_over_zone(model: Any, inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    axes = list(range(1, targets.shape.rank))
    cells = tf.reduce_sum(tf.cast(targets != 0, tf.float32), axes)
    return tf.math.divide_no_nan(tf.reduce_sum(model(inputs) * targets, axes), cells)


_OPERATORS: dict[str, Operator] = {
    "classification": _sum_of_predictions,
    "regression": _sum_of_predictions,
    "semantic segmentation": _mean_over_zone,
}


def find_operator(operator: str | Operator | None) -> Operator:
    """Finds an operator.

    Args:
        operator: Its name, or the function itself; None for "classification".

    Raises:
        UsageError: There is no operator of this name.
    """
    if operator is None:
        return _sum_of_predictions
    if not isinstance(operator, str):
        # A tf.function has its own graph, in which the layers' outputs can't be reached.
        return getattr(operator, "python_function", operator)
    try:
        return _OPERATORS[operator]
    except KeyError:
        raise UsageError(
            f"there is no operator {operator!r}, only {', '.join(_OPERATORS)}; pass any other "
            f"as a function of model, inputs and targets"
        ) from None
