"""Detects whether a network preprocesses its input itself."""

from __future__ import annotations

import tensorflow as tf

from gradcam_cli.networks.operations import operation_names

_ARITHMETIC_OPS = operation_names(
    "Mul", "Sub", "Div", "RealDiv", "DivNoNan", "AddV2", "Add", "Rsqrt"
)
# Operations that may precede arithmetic in preprocessing. Any other one begins the network.
_PREPARING_OPS = operation_names(
    "Cast",
    "ConcatV2",
    "EnsureShape",
    "ExpandDims",
    "Identity",
    "MirrorPad",
    "Pack",
    "Pad",
    "PadV2",
    "Reshape",
    "ResizeBilinear",
    "ReverseV2",
    "Squeeze",
    "StridedSlice",
    "Transpose",
)


def rescales_input(inputs: tf.Tensor) -> bool:
    """Returns whether a network computes with its input before the first layer with weights.

    Args:
        inputs: The network's input, in the traced graph.
    """
    pending = [inputs]
    while pending:
        for op in pending.pop().consumers():
            if op.type in _ARITHMETIC_OPS:
                return True
            if op.type in _PREPARING_OPS:
                pending.extend(op.outputs)
    return False
