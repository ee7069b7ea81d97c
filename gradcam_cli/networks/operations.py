"""The names of TensorFlow's operations, and functions to find, run and copy operations.

Graphs identify operations only by name, and TensorFlow guarantees only the names in
`tf.raw_ops`. Code that looks for a dropped or renamed operation would fail silently: it would
misread a graph with the new name. `unknown_operations` finds such names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf

RELU6 = "Relu6"
RELU6_LIMIT = 6.0
_named: set[str] = set()


def operation_names(*names: str) -> frozenset[str]:
    """Collects names, and registers them for `unknown_operations`."""
    _named.update(names)
    return frozenset(names)


# They use only the size of a tensor, not its values.
SIZE_OPERATIONS = operation_names("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike")


def unknown_operations() -> set[str]:
    """Returns the registered names that this version of TensorFlow doesn't have."""
    return {name for name in _named if not hasattr(tf.raw_ops, name)}


def attributes_of(op: tf.Operation) -> dict[str, Any]:
    """Returns the attributes that define an operation, without the types of its inputs."""
    inferred = {argument.type_attr for argument in op.op_def.input_arg}
    inferred |= {argument.number_attr for argument in op.op_def.input_arg}
    return {
        attribute.name: op.get_attr(attribute.name)
        for attribute in op.op_def.attr
        if attribute.name not in inferred
    }


def compute(op: tf.Operation, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Runs an operation of the same type, or adds it to the current graph.

    Args:
        op: The operation.
        inputs: The new inputs.
        attributes: The new attributes.

    Returns:
        Its output, or a tuple of several.
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
    """Finds the operations that depend on a tensor and lead to others.

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
    """Adds a copy of an operation to a graph.

    Args:
        op: The operation, maybe from another graph.
        inputs: The inputs of the copy.
        graph: The graph that gets the copy.
        name: The name of the copy.
        with_hints: Whether to keep annotations such as a custom gradient, which may not fit
            another graph.

    Returns:
        The outputs of the copy.
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
