"""Tensors through which a whole computation passes, and recomputation from other tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tensorflow as tf

from gradcam_cli.networks.operations import copied, operations_between


def single_tensors(source: tf.Tensor, operations: Sequence[tf.Operation]) -> Iterator[tf.Tensor]:
    """Yields the tensors on which alone everything after them depends.

    Args:
        source: The input.
        operations: All operations between it and an output, in the order of computation.
    """
    last_uses = {tensor.name: place for place, op in enumerate(operations) for tensor in op.inputs}
    needed_until = last_uses.get(source.name, -1)
    for place, op in enumerate(operations):
        first, *others = [last_uses.get(tensor.name, -1) for tensor in op.outputs]
        needed_until = max(needed_until, *others, -1)
        if needed_until <= place:
            yield op.outputs[0]
        needed_until = max(needed_until, first)


def follow_from(tensor: tf.Tensor, replacement: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Recomputes in the same graph what depends on a tensor, from another tensor.

    Args:
        tensor: A tensor of a graph.
        replacement: The tensor to use in its place, of the same shape.
        wanted: A tensor computed from the first one.

    Returns:
        The same computed from the replacement. Operations that don't depend on the tensor are
        shared.
    """
    graph: tf.Graph = tensor.graph
    copies = {tensor.name: replacement}
    for op in operations_between(tensor, [wanted]):
        inputs = [copies.get(given.name, given) for given in op.inputs]
        outputs = copied(op, inputs, graph, with_hints=True)
        copies.update((output.name, copy) for output, copy in zip(op.outputs, outputs, strict=True))
    return copies.get(wanted.name, wanted)
