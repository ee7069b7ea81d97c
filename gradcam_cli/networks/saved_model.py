"""TensorFlow SavedModels as networks to explain.

A SavedModel has operations but no layers. It is inlined into one flat graph with its weights as
constants. Operations that share a name scope, like those of one layer, count as a layer.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.networks.channels_last import ChannelsLastCopy, needs_copy
from gradcam_cli.networks.forward import LayerNode, Recording
from gradcam_cli.networks.gradient_overrides import with_overrides
from gradcam_cli.networks.inputs import (
    PICTURE_CHANNELS,
    NetworkInput,
    find_explained,
    with_grey_pictures,
)
from gradcam_cli.networks.internals import with_constants
from gradcam_cli.networks.keras_network import choose_output
from gradcam_cli.networks.layout import with_channels_first, without_channel
from gradcam_cli.networks.operations import operation_names

# (N, rows, columns, channels), and tokens (N, rows * columns, channels).
_RANKS = (3, 4)
_PREFIX = "saved_model"
_ARGUMENT = "_user_specified_name"
_OWN_GRADIENT = "_gradient_op_type"
# Keras 3 adds this to every name in an exported model, because it has called the model before.
_SECOND_CALL = "_1"
_TRANSPARENT_OPS = operation_names(
    *("MaxPool", "AvgPool", "Pad", "PadV2", "MirrorPad", "Reshape", "Transpose")
)
# The operations that define the kind of a scope; other scopes take that of their last operation.
_TELLING_OPS = operation_names("Conv2D", "DepthwiseConv2dNative", "FusedBatchNormV3", "MatMul")


class GraphNetwork:
    """The serving function of a SavedModel.

    Attributes:
        name: The name that the user gave.
        nodes: Its layers: the scopes with possibly spatial outputs, in the order of computation.
        inputs: Its inputs, in the order of the graph.
        explained_input: The input whose pictures are explained.
        input_shape: The (height, width, channels) of its explained input; None for axes of any
            length.
        is_constant: Always true.
    """

    is_constant = True

    def __init__(
        self,
        name: str,
        function: Any,
        output: str | None = None,
        *,
        explained: str | None = None,
    ) -> None:
        """Flattens the function of a SavedModel's signature.

        Args:
            name: The name that the user gave.
            function: A concrete function of named inputs.
            output: The name of the output with the class scores, if there are several.
            explained: The name of the input whose pictures are explained; None for the first
                that takes pictures.

        Raises:
            UnsupportedModelError: This version of TensorFlow can't flatten it.
        """
        self.name = name
        self._output = output
        try:
            frozen = with_constants(function)
        # A graph that changes a variable fails with a ValueError, a foreign one in other ways.
        except Exception as error:
            raise UnsupportedModelError(
                f"{name}: TensorFlow can't inline this SavedModel; layers that augment pictures, "
                f"such as RandomFlip, keep a state in it: save the model as a .keras file, or "
                f"export it without them"
            ) from error
        if frozen is None:
            raise UnsupportedModelError(
                f"{name}: TensorFlow {tf.__version__} can't inline a SavedModel; save the model "
                f"as a .keras file"
            )
        # The function needs the loaded model; its copy with constants doesn't.
        self._frozen = frozen
        self._output_names = sorted(function.structured_outputs)
        shapes = {_input_name(tensor): tuple(tensor.shape[1:]) for tensor in frozen.inputs}
        self._turned = {one for one, shape in shapes.items() if _has_channels_first(shape)}
        self._ranks = {one: len(shape) + 1 for one, shape in shapes.items()}
        self.inputs = with_grey_pictures(
            NetworkInput(
                one,
                (*shape[1:], shape[0]) if one in self._turned else shape,
                tensor.dtype.name,
            )
            for (one, shape), tensor in zip(shapes.items(), frozen.inputs, strict=True)
        )
        self.parameters = sum(
            op.outputs[0].shape.num_elements() or 0
            for op in frozen.graph.get_operations()
            if op.type == "Const" and op.outputs[0].dtype.is_floating
        )
        self._choose(explained)

    def _choose(self, explained: str | None) -> None:
        """Chooses the explained input, on which the layers depend."""
        frozen = self._frozen
        self.explained_input = find_explained(self.name, self.inputs, explained)
        self.input_shape = self.explained_input.shape
        self._explained = self.explained_input.name
        self._channels_first = self._explained in self._turned
        self._tensors = {_input_name(tensor): tensor.name for tensor in frozen.inputs}
        outputs = (tensor.name for tensor in frozen.outputs)
        self._outputs = dict(zip(self._output_names, outputs, strict=True))
        self._scopes = _spatial_scopes(frozen.graph, self._tensors[self._explained])
        self._graph_def = self._explainable(frozen.graph)
        self.nodes = [
            LayerNode(path, index, kind, 0, kind in _TRANSPARENT_OPS)
            for index, (path, (kind, _)) in enumerate(self._scopes.items())
        ]

    def explaining(self, name: str) -> GraphNetwork:
        """Returns the same network with another explained input."""
        other = copy(self)
        other._choose(name)
        return other

    def weights(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields its constants, floating-point ones only: the layer, the name, the values."""
        paths = {tensor.rpartition("/")[0]: path for path, (_, tensor) in self._scopes.items()}
        users: dict[str, Any] = {}
        for node in self._graph_def.node:
            for name in node.input:
                users.setdefault(name.partition(":")[0].lstrip("^"), node)
        for node in self._graph_def.node:
            if node.op != "Const" or not tf.as_dtype(node.attr["dtype"].type).is_floating:
                continue
            user = users.get(node.name)
            while user is not None and user.op == "Identity":
                user = users.get(user.name)
            scope = "" if user is None else user.name.rpartition("/")[0]
            layer = paths.get(scope) or scope.rpartition("/")[2].removesuffix(_SECOND_CALL)
            values = tf.make_ndarray(node.attr["value"].tensor)
            # The original names aren't in the file.
            yield layer or self.name, "a constant", values

    def record(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor] | None = None) -> Recording:
        """Imports the graph into the one that is being traced.

        Raises:
            UsageError: The model has several outputs and none was named, or none has the name,
                or an input is missing.
            UnsupportedModelError: The output isn't a score for each class.
        """
        given = {**(others or {}), self._explained: inputs}
        missing = self._tensors.keys() - given.keys()
        if missing:
            raise UsageError(
                f"{self.name} has {len(self.inputs)} inputs, and {min(missing)} has no value"
            )
        dtypes = {one.name: one.dtype for one in self.inputs}
        fed = {
            tensor: tf.cast(
                with_channels_first(given[name])
                if name in self._turned
                else without_channel(given[name], self._ranks[name]),
                dtypes[name],
            )
            for name, tensor in self._tensors.items()
        }
        wanted = [*self._outputs.values(), *(tensor for _, tensor in self._scopes.values())]
        tensors = tf.graph_util.import_graph_def(
            with_overrides(self._graph_def), fed, wanted, name=_PREFIX
        )
        outputs = dict(zip(self._outputs, tensors[: len(self._outputs)], strict=True))
        layer_outputs = dict(zip(self._scopes, tensors[len(self._outputs) :], strict=True))
        return Recording(choose_output(outputs, self._output), layer_outputs)

    def _explainable(self, graph: tf.Graph) -> Any:
        """Returns the graph, or an equivalent one that has gradients."""
        inputs = graph.get_tensor_by_name(self._tensors[self._explained])
        if self._channels_first or needs_copy(graph):
            layers = [tensor for _, tensor in self._scopes.values()]
            last = ChannelsLastCopy(inputs, layers, channels_first=self._channels_first)
            self._tensors = {name: last.tensor(tensor) for name, tensor in self._tensors.items()}
            self._outputs = {name: last.tensor(tensor) for name, tensor in self._outputs.items()}
            self._scopes = {
                path: (kind, last.layer(tensor)) for path, (kind, tensor) in self._scopes.items()
            }
            graph = last.graph
        definition = graph.as_graph_def()
        for node in definition.node:
            # Custom gradients were registered in the process that saved the graph, not here.
            node.attr.pop(_OWN_GRADIENT, None)
        return definition


def _input_name(tensor: tf.Tensor) -> str:
    """Returns the name of an argument, which the operation's name has without special signs."""
    try:
        return str(tensor.op.get_attr(_ARGUMENT).decode())
    except ValueError:
        return str(tensor.name.partition(":")[0])


def _has_channels_first(shape: Sequence[int | None]) -> bool:
    """Returns whether an input of this shape, without the batch, has the channels first."""
    return len(shape) == 3 and shape[0] in PICTURE_CHANNELS and shape[2] not in PICTURE_CHANNELS


def _spatial_scopes(graph: tf.Graph, input_name: str) -> dict[str, tuple[str, str]]:
    """Finds the scopes that stand for layers: the kind and the output tensor by path."""
    reached = {input_name}
    scopes: dict[str, tuple[str, str]] = {}
    for op in graph.get_operations():
        if not any(tensor.name in reached for tensor in op.inputs):
            continue
        reached.update(tensor.name for tensor in op.outputs)
        output = op.outputs[0] if op.outputs else None
        if output is None or output.shape.rank not in _RANKS or not output.dtype.is_floating:
            continue
        if op.type == "Identity":
            continue
        scope = op.name.rpartition("/")[0] or op.name
        kind, _ = scopes.pop(scope, (op.type, ""))
        scopes[scope] = kind if kind in _TELLING_OPS else op.type, output.name
    return _without_common_parts(scopes)


def _without_common_parts(scopes: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Removes the outer scopes and the ending that all names share."""
    parents = [path.rpartition("/")[0] for path in scopes if "/" in path]
    prefix = f"{posixpath.commonpath(parents)}/" if parents else ""
    paths = [path.removeprefix(prefix) for path in scopes]
    if all(name.endswith(_SECOND_CALL) for path in paths for name in path.split("/")):
        paths = [
            "/".join(name.removesuffix(_SECOND_CALL) for name in path.split("/")) for path in paths
        ]
    short = dict(zip(paths, scopes.values(), strict=True))
    return short if len(short) == len(scopes) else scopes
