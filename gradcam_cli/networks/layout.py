"""The layout of tensors: channels last, as everywhere in this package, or channels first."""

from __future__ import annotations

import tensorflow as tf

from gradcam_cli.networks.operations import operation_names

_TO_FIRST = "to_channels_first"
_FIRST_FORMATS = (b"NCHW", b"NCDHW")
# Other operations with a data format take that of their other input, or don't occur in networks.
FORMATTED_OPS = operation_names(
    "AvgPool",
    "AvgPool3D",
    "BiasAdd",
    "Conv2D",
    "Conv2DBackpropInput",
    "Conv3D",
    "Conv3DBackpropInputV2",
    "DepthToSpace",
    "DepthwiseConv2dNative",
    "DepthwiseConv2dNativeBackpropInput",
    "FusedBatchNorm",
    "FusedBatchNormV2",
    "FusedBatchNormV3",
    "MaxPool",
    "MaxPool3D",
    "MaxPoolV2",
    "SpaceToDepth",
)


def to_last(rank: int) -> list[int]:
    """Returns the axes of a channels-first tensor in channels-last order.

    Args:
        rank: The number of axes, at least 3.
    """
    return [0, *range(2, rank), 1]


def to_first(rank: int) -> list[int]:
    """Returns the axes of a channels-last tensor in channels-first order.

    Args:
        rank: The number of axes, at least 3.
    """
    return [0, rank - 1, *range(1, rank - 1)]


def with_channels_last(tensor: tf.Tensor) -> tf.Tensor:
    """Moves the channels to the end.

    Args:
        tensor: (N, channels, ...), in a graph.

    Returns:
        (N, ..., channels). If the tensor was made from such a tensor, that one is returned.
    """
    if was_channels_last(tensor):
        return tensor.op.inputs[0]
    return tf.transpose(tensor, to_last(tensor.shape.rank))


def was_channels_last(tensor: tf.Tensor) -> bool:
    """Returns whether a tensor was made by moving the channels from the end to the front."""
    rank = tensor.shape.rank
    if tensor.op.type != "Transpose" or rank is None or rank < 3:
        return False
    return _order(tensor.op) == to_first(rank)


def with_channels_first(tensor: tf.Tensor) -> tf.Tensor:
    """Moves the channels to the front, after the batch.

    Args:
        tensor: (N, ..., channels), in a graph.

    Returns:
        (N, channels, ...).
    """
    return tf.transpose(tensor, to_first(tensor.shape.rank), name=_TO_FIRST)


def without_channel(inputs: tf.Tensor, rank: int) -> tf.Tensor:
    """Drops the channel of grey pictures for networks that take (N, height, width).

    Args:
        inputs: (N, height, width, 1), or anything else, in a graph.
        rank: The number of axes of the network's input.

    Returns:
        (N, height, width) if the network takes that; otherwise the inputs.
    """
    return tf.squeeze(inputs, -1) if inputs.shape.rank == 4 and rank == 3 else inputs


def is_channels_first(op: tf.Operation) -> bool:
    """Returns whether an operation itself has the channels first."""
    return op.type in FORMATTED_OPS and op.get_attr("data_format") in _FIRST_FORMATS


def channels_first_tensors(inputs: tf.Tensor, *, channels_first: bool = False) -> set[str]:
    """Finds the tensors of a graph that have the channels first.

    A tensor's layout is that of the operation that made it. For an operation without a layout,
    it is that of the operation's inputs.

    Args:
        inputs: The network's input.
        channels_first: Whether the input itself has the channels first.

    Returns:
        The names of those computed from the input.
    """
    reached = {inputs.name}
    found = {inputs.name} if channels_first else set()
    for op in inputs.graph.get_operations():
        sources = [tensor.name for tensor in op.inputs if tensor.name in reached]
        if not sources:
            continue
        names = [tensor.name for tensor in op.outputs]
        reached.update(names)
        # Channels-last networks may transpose axes in the same way for other reasons.
        is_known = bool(found) or op.name.rpartition("/")[2].startswith(_TO_FIRST)
        if _puts_first(op, not found.isdisjoint(sources), is_known):
            found.update(names)
    return found


def _puts_first(op: tf.Operation, are_first: bool, can_move: bool) -> bool:
    """Returns whether an operation's output has the channels first.

    Args:
        op: The operation.
        are_first: Whether its input has the channels first.
        can_move: Whether a transposition may move the channels to the front.
    """
    if op.type in FORMATTED_OPS:
        return is_channels_first(op)
    if op.type != "Transpose":
        return are_first
    rank = op.outputs[0].shape.rank or 0
    if are_first:
        return _order(op) != to_last(rank)
    return can_move and _order(op) == to_first(rank)


def _order(transpose: tf.Operation) -> list[int] | None:
    order = tf.get_static_value(transpose.inputs[1])
    return None if order is None else list(order)
