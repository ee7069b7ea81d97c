"""Runs channels-first networks on CPUs, whose kernels need the channels last.

TensorFlow's own CPU kernels compute convolutions, pooling and some more only with the
channels last. (The kernels of oneDNN can do more, but they are disabled on many CPUs and lack
some operations too.) So each channels-first operation is replaced, while the network is
traced, by a channels-last one between two transpositions. Gradients then are those of the
replacement and have kernels as well.

Operations made from Python are replaced as they are made. Custom gradients of a layer, such as
that of SiLU, then use the replacement too. Operations of a saved graph are replaced while the
graph is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError
from gradcam_cli.networks.internals import functions_of, graph_of, replaced_operations
from gradcam_cli.networks.layout import (
    channels_first_tensors,
    is_channels_first,
    to_last,
    was_channels_last,
    with_channels_first,
    with_channels_last,
)
from gradcam_cli.networks.operations import attributes_of, compute, copied, operation_names

_LAST_FORMATS = {b"NCHW": "NHWC", b"NCDHW": "NDHWC"}
_CALLS = operation_names("PartitionedCall", "StatefulPartitionedCall")
_LOOPS = operation_names("NextIteration", "RefNextIteration")
_CONVOLUTIONS = operation_names("Conv2D", "Conv3D")
# Operations that treat each cell of each channel separately, in networks at inference.
_CELL_BY_CELL = operation_names(
    *("Add", "AddV2", "Maximum", "Minimum", "Mul", "RealDiv", "Sub"),
    *("Elu", "LeakyRelu", "Relu", "Relu6", "Sigmoid", "Tanh"),
)
# Arguments with a number for each axis: attributes, and inputs by their index.
_BY_AXIS = {"dilations", "ksize", "strides"}
_BY_AXIS_INPUTS = {
    "Conv2DBackpropInput": (0,),
    "Conv3DBackpropInputV2": (0,),
    "DepthwiseConv2dNativeBackpropInput": (0,),
    "MaxPoolV2": (1, 2),
}


@contextmanager
def channels_last_operations() -> Iterator[None]:
    """Makes the operations that this thread adds to graphs put the channels last.

    It does nothing if there is a GPU, whose kernels support both layouts.
    """
    if _has_gpu():
        yield
        return
    with replaced_operations(_replaced_outputs):
        yield


def _has_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


def _replaced_outputs(op: tf.Operation) -> Sequence[tf.Tensor] | None:
    return _replaced(op, op.inputs)


def _replaced(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor] | None:
    """Returns replacements for an operation's outputs; None if it can stay unchanged."""
    if is_channels_first(op):
        return _replacement(op, inputs)
    return _moved(op, inputs) if op.type in _CELL_BY_CELL else None


def _moved(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor] | None:
    """Computes cell by cell before the channels are moved, which saves moving them back."""
    ranks = {tensor.shape.rank for tensor in inputs} - {0}
    if len(ranks) > 1 or not any(map(was_channels_last, inputs)):
        return None
    inputs = [with_channels_last(tensor) if tensor.shape.rank else tensor for tensor in inputs]
    return [with_channels_first(compute(op, inputs, attributes_of(op)))]


def _replacement(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> list[tf.Tensor] | None:
    """Computes the same as an operation with the channels last, group by group.

    Args:
        op: One of `FORMATTED_OPS`, maybe from another graph.
        inputs: The replacements of its inputs.

    Returns:
        The replacements of its outputs, in their own layout; None if the number of axes isn't
        known.
    """
    # A transposed convolution takes the image after the shape of its output.
    place = 2 if op.type.endswith(("BackpropInput", "BackpropInputV2")) else 0
    rank = inputs[place].shape.rank
    if rank is None or rank < 3:
        return None
    turns = is_channels_first(op)
    order = to_last(rank) if turns else list(range(rank))
    inputs = list(inputs)
    if turns:
        inputs[place] = with_channels_last(inputs[place])
        for other in _BY_AXIS_INPUTS.get(op.type, ()):
            inputs[other] = tf.gather(inputs[other], order)
    attributes = _reordered(op, order)

    def computed(*tensors: tf.Tensor) -> Any:
        return compute(op, tensors, attributes)

    results = _in_groups(computed, *inputs) if op.type in _CONVOLUTIONS else computed(*inputs)
    image, *others = results if isinstance(results, tuple) else [results]
    # TensorFlow can't always infer the known part of the shape from the reordered inputs.
    shape = op.outputs[0].shape
    image.set_shape(shape if shape.rank is None else [shape[axis] for axis in order])
    return [with_channels_first(image) if turns else image, *others]


def _reordered(op: tf.Operation, order: Sequence[int]) -> dict[str, Any]:
    """Returns the attributes that define an operation, with its axes in another order."""
    attributes = attributes_of(op)
    data_format = attributes.get("data_format")
    if data_format in _LAST_FORMATS:
        attributes["data_format"] = _LAST_FORMATS[data_format]
    for name in _BY_AXIS & attributes.keys():
        attributes[name] = [attributes[name][axis] for axis in order]
    paddings = attributes.get("explicit_paddings")
    if paddings:
        attributes["explicit_paddings"] = [
            paddings[2 * axis + side] for axis in order for side in (0, 1)
        ]
    return attributes


def _in_groups(
    convolve: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], image: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Convolves groups of channels one by one, because a grouped convolution has no gradient."""
    groups = (image.shape[-1] or 0) // (weights.shape[-2] or 1)
    if groups <= 1:
        return convolve(image, weights)
    parts = zip(tf.split(image, groups, -1), tf.split(weights, groups, -1), strict=True)
    return tf.concat([convolve(*part) for part in parts], -1)


def needs_copy(graph: tf.Graph) -> bool:
    """Returns whether a graph can only be explained through a `ChannelsLastCopy`."""
    operations = graph.get_operations()
    return any(op.type in _CALLS or is_channels_first(op) for op in operations) and not any(
        op.type in _LOOPS for op in operations
    )


class ChannelsLastCopy:
    """A copy of a graph without channels-first operations.

    Called functions are copied in place of their calls, because TensorFlow has no gradients for
    functions marked for compilation as a whole. If there is a GPU, operations keep their layout.

    Attributes:
        graph: The copy.
    """

    def __init__(self, inputs: tf.Tensor, layers: Sequence[str], *, channels_first: bool) -> None:
        """Copies a computation from a graph without variables and loops.

        Args:
            inputs: The graph's input.
            layers: The names of the layers' output tensors.
            channels_first: Whether the input has the channels first, also in the copy.

        Raises:
            UnsupportedModelError: The graph has loops.
        """
        if any(op.type in _LOOPS for op in inputs.graph.get_operations()):
            raise UnsupportedModelError(
                "the model is channels-first and has loops; save it as channels-last instead"
            )
        definition = inputs.graph.as_graph_def()
        first = channels_first_tensors(inputs, channels_first=channels_first)
        self.graph = tf.Graph()
        self._functions = functions_of(definition)
        self._replaces = not _has_gpu()
        self._layers: dict[str, str] = {}
        with self.graph.as_default():
            # Other operations than calls may use them too.
            library = tf.compat.v1.GraphDef(library=definition.library)
            tf.graph_util.import_graph_def(library, name="")
            self._tensors = self._copy(inputs.graph, {}, first.intersection(layers))

    def tensor(self, name: str) -> str:
        """Returns the name of the copy of a tensor."""
        return str(self._tensors[name].name)

    def layer(self, name: str) -> str:
        """Returns the name of the copy of a layer's output, with the channels last."""
        return self._layers.get(name) or self.tensor(name)

    def _copy(
        self, source: tf.Graph, given: Mapping[str, tf.Tensor], turned: Collection[str] = ()
    ) -> dict[str, tf.Tensor]:
        """Copies operations.

        Args:
            source: Their graph.
            given: The tensors that exist already, by the names of their originals.
            turned: The names of layer outputs that have the channels first.

        Returns:
            The copy of each tensor, by the name of its original.
        """
        copies = dict(given)
        for op in source.get_operations():
            if not op.outputs or op.outputs[0].name in given:
                continue
            outputs = self._outputs(op, [copies[tensor.name] for tensor in op.inputs])
            for tensor, output in zip(op.outputs, outputs, strict=True):
                copies[tensor.name] = output
                if tensor.name in turned:
                    # The network must continue with the tensor that stands for the layer.
                    feature_map = with_channels_last(output)
                    self._layers[tensor.name] = feature_map.name
                    copies[tensor.name] = with_channels_first(feature_map)
        return copies

    def _outputs(self, op: tf.Operation, inputs: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        called = graph_of(self._functions[op.get_attr("f").name]) if op.type in _CALLS else None
        if called is not None:
            names = [argument.name for argument in called.inputs]
            copies = self._copy(called, dict(zip(names, inputs, strict=True)))
            return [copies[tensor.name] for tensor in called.outputs]
        replaced = None
        if self._replaces:
            # Grouped convolutions are split, whatever their layout.
            is_convolution = op.type in _CONVOLUTIONS
            replaced = _replacement(op, inputs) if is_convolution else _replaced(op, inputs)
        if replaced is not None:
            return replaced
        return copied(op, inputs, self.graph, name=op.name)
