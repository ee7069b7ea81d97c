"""Replaces the gradients of operations, however a network puts them into a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf

# `tf.Graph.gradient_override_map` uses the same attribute, which is also saved in files.
_ATTRIBUTE = "_gradient_op_type"
_overrides: ContextVar[Mapping[str, str]] = ContextVar("overrides")


@contextmanager
def overridden_gradients(graph: tf.Graph, gradients: Mapping[str, str]) -> Iterator[None]:
    """Replaces the gradients of operations that are added to a graph in this context.

    Args:
        graph: The graph.
        gradients: The name given to `tf.RegisterGradient`, by the type of the operation.
    """
    before = _overrides.get({})
    with graph.gradient_override_map(dict(gradients)):
        try:
            _overrides.set({**before, **gradients})
            yield
        finally:
            _overrides.set(before)


def with_overrides(graph_def: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """Does the same for a graph to be imported, which TensorFlow's own function leaves out.

    Returns:
        The given graph if nothing is overridden, otherwise a copy.
    """
    overrides = _overrides.get({})
    if not overrides:
        return graph_def
    copy = tf.compat.v1.GraphDef()
    copy.CopyFrom(graph_def)
    for node in copy.node:
        if node.op in overrides:
            node.attr[_ATTRIBUTE].s = overrides[node.op].encode()
    return copy
