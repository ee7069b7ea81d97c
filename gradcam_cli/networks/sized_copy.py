"""Copies a graph for one input size, so that every size in it is known.

A graph for pictures of any size knows only the number of axes of many tensors. TensorFlow infers
most sizes when the operations are made again for a fixed input size. What a network computes from
sizes is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf

from gradcam_cli.networks.internals import (
    functions_of,
    graph_of,
    make_capturing_graph,
    tell_variable_shape,
)
from gradcam_cli.networks.operations import (
    attributes_of,
    compute,
    copied,
    operation_names,
    operations_between,
)

_SIZES = operation_names("Rank", "Shape", "Size")
_CALLS = operation_names("PartitionedCall", "StatefulPartitionedCall")
# Integers can determine how something is computed, so their values are needed, not only their
# shapes. Larger integer tensors are data.
_MOST_NUMBERS = 1_000_000


class SizedCopy:
    """A copy of the graph between a network's input and some tensors, for one input size.

    Called functions are copied in place of their calls. Weights are left out, because nothing is
    computed.

    Attributes:
        operations: The copied operations, in the order of computation.
        tensors: The copy of each original tensor that depends on the input, by the name of the
            original.
        originals: The name of the original of each copied tensor. Tensors inside called
            functions have none.
    """

    def __init__(
        self, inputs: tf.Tensor, shape: Sequence[int], wanted: Collection[tf.Tensor]
    ) -> None:
        """Copies the operations.

        Args:
            inputs: The network's input, (N, ..., channels), in a graph.
            shape: The complete shape of the input in the copy.
            wanted: The tensors to copy up to.
        """
        self.operations: list[tf.Operation] = []
        self.tensors: dict[str, tf.Tensor] = {}
        self.originals: dict[str, str] = {}
        # Only a function's graph allows leaving it with ``tf.init_scope`` to compute numbers.
        self._graph = make_capturing_graph("sizes") or tf.Graph()
        # Values that depend only on sizes, by the name of the tensor in the copy.
        self._numbers: dict[str, np.ndarray] = {}
        self._batch = shape[0]
        needed = operations_between(inputs, wanted)
        has_calls = any(op.type in _CALLS for op in needed)
        self._functions = functions_of(inputs.graph.as_graph_def()) if has_calls else {}
        with self._graph.as_default():
            copy = tf.compat.v1.placeholder(inputs.dtype, shape)
            self.tensors = self._copy(needed, {inputs.name: copy})
        self.originals = {tensor.name: name for name, tensor in self.tensors.items()}
        self.input: tf.Tensor = copy

    def _copy(
        self, operations: Sequence[tf.Operation], given: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        copies = dict(given)
        leaves: dict[str, tf.Tensor] = {}
        for op in operations:
            inputs = []
            for tensor in op.inputs:
                if tensor.name in copies:
                    inputs.append(copies[tensor.name])
                    continue
                if tensor.name not in leaves:
                    leaves[tensor.name] = self._leaf(tensor)
                inputs.append(leaves[tensor.name])
            outputs = self._outputs(op, inputs)
            for tensor, output in zip(op.outputs, outputs, strict=True):
                copies[tensor.name] = output
        return copies

    def _outputs(self, op: tf.Operation, inputs: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        if op.type in _CALLS:
            called = graph_of(self._functions.get(op.get_attr("f").name))
            if called is not None:
                names = [argument.name for argument in called.inputs]
                operations = [inner for inner in called.get_operations() if inner.inputs]
                constants = [inner for inner in called.get_operations() if not inner.inputs]
                given = dict(zip(names, inputs, strict=True))
                given |= {
                    tensor.name: self._leaf(tensor)
                    for inner in constants
                    for tensor in inner.outputs
                    if tensor.name not in given
                }
                copies = self._copy(operations, given)
                return [copies[tensor.name] for tensor in called.outputs]
        known = self._computed(op, inputs)
        if known is not None:
            return known
        try:
            outputs = copied(op, inputs, self._graph)
        # A network may require a certain batch size, and TensorFlow may then raise any error.
        except (ValueError, TypeError, tf.errors.OpError):
            return [tf.compat.v1.placeholder(tensor.dtype) for tensor in op.outputs]
        if outputs:
            self.operations.append(outputs[0].op)
        return outputs

    def _computed(
        self, op: tf.Operation, inputs: Sequence[tf.Tensor]
    ) -> Sequence[tf.Tensor] | None:
        """Computes what depends only on sizes; None if it depends on more."""
        if op.type in _SIZES and inputs[0].shape.is_fully_defined():
            shape = known_shape(inputs[0])
            value = {"Shape": shape, "Size": math.prod(shape), "Rank": len(shape)}[op.type]
            return [self._number(np.array(value, op.outputs[0].dtype.as_numpy_dtype))]
        values = [self._numbers.get(tensor.name) for tensor in inputs]
        if not values or any(value is None for value in values):
            return None
        try:
            with tf.init_scope():
                found = compute(op, values, attributes_of(op))
                several = found if isinstance(found, (list, tuple)) else [found]
                arrays = [tensor.numpy() for tensor in several]
        # TensorFlow's own shape inference has to do for operations that can't be run like this.
        except (AttributeError, TypeError, ValueError, tf.errors.OpError):
            return None
        return [self._number(array) for array in arrays]

    def _number(self, value: np.ndarray) -> tf.Tensor:
        constant: tf.Tensor = tf.constant(value)
        self._numbers[constant.name] = value
        return constant

    def _leaf(self, tensor: tf.Tensor) -> tf.Tensor:
        """Makes the replacement of a tensor that doesn't depend on the input."""
        is_number = tensor.dtype.is_integer or tensor.dtype.is_bool
        if is_number and (tensor.shape.num_elements() or 0) <= _MOST_NUMBERS:
            value = tf.get_static_value(tensor)
            if value is not None:
                return self._number(np.asarray(value, tensor.dtype.as_numpy_dtype))
            known = self._computed(tensor.op, [self._leaf(before) for before in tensor.op.inputs])
            if known is not None:
                return known[tensor.value_index]
        elif tensor.shape.rank == 0 and tensor.op.type == "Const":
            return self._number(tf.get_static_value(tensor))
        leaf: tf.Tensor = tf.compat.v1.placeholder(tensor.dtype, self._with_batch(tensor.shape))
        if tensor.dtype == tf.resource:
            tell_variable_shape(tensor, leaf)
        return leaf

    def _with_batch(self, shape: tf.TensorShape) -> tf.TensorShape:
        """Completes the shape of what comes from other inputs, whose batch is the same."""
        if shape.rank and shape[0] is None and shape[1:].is_fully_defined():
            return tf.TensorShape([self._batch, *shape[1:]])
        return shape


def known_shape(tensor: tf.Tensor) -> list[int]:
    """Returns the shape of a tensor whose sizes are all known."""
    return [size for size in tensor.shape.as_list() if size is not None]
