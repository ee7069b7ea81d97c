"""Where a tensor has its channels: last, as everything here wants them, or before the places."""

from __future__ import annotations

import tensorflow as tf

from gradcam_cli.networks.operations import operation_names

_TO_FIRST = "to_channels_first"
_FIRST_FORMATS = (b"NCHW", b"NCDHW")
# What else has a data format takes its other input's, or doesn't occur in networks.
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
    """Gives the axes of a tensor with the channels first, in the order of one that has them last.

    Args:
        rank: How many axes there are, at least 3.
    """
    return [0, *range(2, rank), 1]


def to_first(rank: int) -> list[int]:
    """Gives the axes of a tensor with the channels last, in the order of one that has them first.

    Args:
        rank: How many axes there are, at least 3.
    """
    return [0, rank - 1, *range(1, rank - 1)]


def with_channels_last(tensor: tf.Tensor) -> tf.Tensor:
    """Moves the channels last.

    Args:
        tensor: (N, channels, ...), in a graph.

    Returns:
        (N, ..., channels). If the tensor itself was made of such a one, it is that one.
    """
    if was_channels_last(tensor):
        return tensor.op.inputs[0]
    return tf.transpose(tensor, to_last(tensor.shape.rank))


def was_channels_last(tensor: tf.Tensor) -> bool:
    """Says whether a tensor was made by moving the channels from the end before the places."""
    rank = tensor.shape.rank
    if tensor.op.type != "Transpose" or rank is None or rank < 3:
        return False
    return _order(tensor.op) == to_first(rank)


def with_channels_first(tensor: tf.Tensor) -> tf.Tensor:
    """Moves the channels before the places.

    Args:
        tensor: (N, ..., channels), in a graph.

    Returns:
        (N, channels, ...).
    """
    return tf.transpose(tensor, to_first(tensor.shape.rank), name=_TO_FIRST)


def is_channels_first(op: tf.Operation) -> bool:
    """Says whether an operation itself puts the channels before the places."""
    return op.type in FORMATTED_OPS and op.get_attr("data_format") in _FIRST_FORMATS


def channels_first_tensors(inputs: tf.Tensor, *, channels_first: bool = False) -> set[str]:
    """Finds the tensors of a graph that have the channels first.

    A tensor has them where the operation puts them that it comes from or, if that knows
    nothing of channels, where that operation's inputs have them.

    Args:
        inputs: The network's input.
        channels_first: Whether that itself has the channels first.

    Returns:
        The names of those that are computed from the input.
    """
    reached = {inputs.name}
    found = {inputs.name} if channels_first else set()
    for op in inputs.graph.get_operations():
        sources = [tensor.name for tensor in op.inputs if tensor.name in reached]
        if not sources:
            continue
        names = [tensor.name for tensor in op.outputs]
        reached.update(names)
        # In networks with the channels last, axes are moved in the same way for other reasons.
        is_known = bool(found) or op.name.rpartition("/")[2].startswith(_TO_FIRST)
        if _puts_first(op, not found.isdisjoint(sources), is_known):
            found.update(names)
    return found


def _puts_first(op: tf.Operation, are_first: bool, can_move: bool) -> bool:
    """Says whether what an operation returns has the channels first.

    Args:
        op: The operation.
        are_first: Whether what it is given has them first.
        can_move: Whether it can be that axes are moved to have the channels first.
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
