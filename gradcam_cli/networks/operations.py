"""TensorFlow's operations: their names, by which graphs are read, and how to make one again.

Graphs tell what they compute by these names alone, and TensorFlow promises only those that
`tf.raw_ops` has. One that it drops or renames wouldn't be noticed: a graph with the new name
would be read as if it said something else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf

RELU6 = "Relu6"
RELU6_LIMIT = 6.0
_named: set[str] = set()


def operation_names(*names: str) -> frozenset[str]:
    """Puts names together, and remembers them for `unknown_operations`."""
    _named.update(names)
    return frozenset(names)


def unknown_operations() -> set[str]:
    """Finds the names that are looked for and that this TensorFlow doesn't have."""
    return {name for name in _named if not hasattr(tf.raw_ops, name)}


def attributes_of(op: tf.Operation) -> dict[str, Any]:
    """Gives the attributes that tell what an operation computes, but for types of its inputs."""
    inferred = {argument.type_attr for argument in op.op_def.input_arg}
    inferred |= {argument.number_attr for argument in op.op_def.input_arg}
    return {
        attribute.name: op.get_attr(attribute.name)
        for attribute in op.op_def.attr
        if attribute.name not in inferred
    }


def compute(op: tf.Operation, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Runs an operation of the same type, or adds it to the graph that is being made.

    Args:
        op: The operation.
        inputs: What it is given now.
        attributes: What it computes.

    Returns:
        Its output; several as a tuple.
    """
    pending = list(inputs)
    arguments: dict[str, Any] = {}
    for argument in op.op_def.input_arg:
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
            arguments[argument.name] = [pending.pop(0) for _ in range(count)]
        else:
            arguments[argument.name] = pending.pop(0)
    return getattr(tf.raw_ops, op.type)(**arguments, **attributes)


def operations_between(source: tf.Tensor, wanted: Collection[tf.Tensor]) -> list[tf.Operation]:
    """Finds what depends on a tensor and is needed for others.

    Args:
        source: A tensor in a graph.
        wanted: Tensors of the same graph.

    Returns:
        The operations, in the order of computation.
    """
    needed: set[str] = set()
    pending = [tensor.op for tensor in wanted]
    while pending:
        op = pending.pop()
        if op.name not in needed:
            needed.add(op.name)
            pending += [tensor.op for tensor in op.inputs]
    reached = {source.name}
    found = []
    for op in source.graph.get_operations():
        if op.name in needed and any(tensor.name in reached for tensor in op.inputs):
            reached.update(tensor.name for tensor in op.outputs)
            found.append(op)
    return found


def copied(
    op: tf.Operation,
    inputs: Sequence[tf.Tensor],
    graph: tf.Graph,
    *,
    name: str | None = None,
    with_hints: bool = False,
) -> list[tf.Tensor]:
    """Adds an operation to a graph once more.

    Args:
        op: The operation, maybe of another graph.
        inputs: What stands for its inputs.
        graph: The graph that gets it.
        name: What it is to be called.
        with_hints: Keep what it tells TensorFlow besides, such as whose gradient it has. That
            may not fit another graph.

    Returns:
        Its outputs.
    """
    attributes = op.node_def.attr.items()
    copy = graph.create_op(
        op.type,
        inputs,
        [tensor.dtype for tensor in op.outputs],
        name=name,
        attrs={key: value for key, value in attributes if with_hints or not key.startswith("_")},
        op_def=op.op_def,
    )
    return list(copy.outputs)
