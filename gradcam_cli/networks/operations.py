"""The names of TensorFlow's operations, by which graphs are read.

Graphs tell what they compute by these names alone, and TensorFlow promises only those that
`tf.raw_ops` has. One that it drops or renames wouldn't be noticed: a graph with the new name
would be read as if it said something else.
"""

from __future__ import annotations

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
