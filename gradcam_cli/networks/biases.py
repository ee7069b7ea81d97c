"""Finds what a network adds independently of its input."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

from gradcam_cli.networks.layout import is_channels_first
from gradcam_cli.networks.operations import RELU6, RELU6_LIMIT, SIZE_OPERATIONS, operation_names

_ADDITIONS = operation_names("Add", "AddV2", "BiasAdd", "Sub")
_NORMALIZATIONS = operation_names("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def biased_tensors(inputs: tf.Tensor) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Finds the tensors to which a bias is added.

    The output of a saturated ReLU6 counts as a bias.

    Args:
        inputs: The network's input, in the traced graph.

    Yields:
        Each tensor with its bias, in the order of the graph. The bias can be multiplied with
        the tensor's gradient by broadcasting.
    """
    reached = {inputs.name}
    for op in inputs.graph.get_operations():
        dependent = [tensor.name in reached for tensor in op.inputs]
        if not any(dependent) or op.type in SIZE_OPERATIONS:
            continue
        reached.update(tensor.name for tensor in op.outputs)
        if not op.outputs:
            continue
        output = op.outputs[0]
        if op.type in _ADDITIONS and not all(dependent):
            bias = op.inputs[dependent.index(False)]
            bias = -bias if op.type == "Sub" and dependent[0] else bias
            yield output, _beside(output, bias) if is_channels_first(op) else bias
        elif op.type in _NORMALIZATIONS:
            _, scale, offset, mean, variance = op.inputs
            bias = offset - mean * scale * tf.math.rsqrt(variance + op.get_attr("epsilon"))
            yield output, _beside(output, bias) if is_channels_first(op) else bias
        elif op.type == RELU6:
            is_saturated = tf.greater_equal(output, RELU6_LIMIT)
            yield output, tf.where(is_saturated, output, tf.zeros_like(output))


def _beside(tensor: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Reshapes the bias of each channel for tensors that have the channels first."""
    return tf.reshape(bias, [-1, *[1] * (tensor.shape.rank - 2)])
