"""TensorFlow's operations: their names, by which graphs are read, and how to run one again.

Graphs tell what they compute by these names alone, and TensorFlow promises only those that
`tf.raw_ops` has. One that it drops or renames wouldn't be noticed: a graph with the new name
would be read as if it said something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
