"""Guided backpropagation, in which ReLUs pass back only positive gradients.

Springenberg et al., 2015, arXiv 1412.6806.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import tensorflow as tf

from gradcam_cli.networks.gradient_overrides import overridden_gradients
from gradcam_cli.networks.operations import RELU6, RELU6_LIMIT, operation_names

_GRADIENT = "GradcamGuidedRelu"
_RELUS = operation_names("Relu", RELU6)


def guided_relus(graph: tf.Graph) -> AbstractContextManager[None]:
    """Guides the ReLUs and ReLU6s that are added to a graph in this context.

    Args:
        graph: The graph.
    """
    return overridden_gradients(graph, dict.fromkeys(_RELUS, _GRADIENT))


@tf.RegisterGradient(_GRADIENT)  # type: ignore[untyped-decorator]
def _guided_relu_gradient(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    output = op.outputs[0]
    passes = output > 0
    if op.type == RELU6:
        passes &= output < RELU6_LIMIT
    return tf.nn.relu(gradient) * tf.cast(passes, gradient.dtype)
