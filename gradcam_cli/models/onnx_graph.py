"""Reads off the graph of an ONNX file what it takes and how it ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gradcam_cli.models.input_start import Arithmetic, Beginning, step_with
from gradcam_cli.networks.black_box import Port

# Operations that don't change which axis is which.
_KEEPING = frozenset(
    {
        *("Add", "BatchNormalization", "Cast", "CastLike", "Clip", "DequantizeLinear", "Div"),
        *("Identity", "InstanceNormalization", "Mul", "Pad", "QuantizeLinear", "Resize", "Sub"),
    }
)
# Operations after the last activation that leave the numbers as they are.
_TRANSPARENT = frozenset(("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"))
_ACTIVATIONS = {"Softmax": "Softmax", "LogSoftmax": "Softmax", "Sigmoid": "Sigmoid"}
_TO_FIRST, _TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
_RANK = 4
_LEAST_SIDE = 8
_LEAST_VARIANCE = 1e-12


class OnnxGraph:
    """The main graph of a model, with its constants."""

    def __init__(self, model: Any) -> None:
        """Takes a loaded model, whose weights are in it."""
        self._model = model
        self._graph = model.graph
        self._users: dict[str, list[Any]] = {}
        self._makers: dict[str, Any] = {}
        for node in self._graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
            for name in node.output:
                self._makers[name] = node
        self._constants = {one.name: one for one in self._graph.initializer}
        # PaddlePaddle's exporter stores weights in nodes. Single values are those of formulas.
        self._constants |= {
            node.output[0]: attribute.t
            for node in self._graph.node
            if node.op_type == "Constant" and node.output
            for attribute in node.attribute
            if attribute.name == "value" and math.prod(attribute.t.dims) > 1
        }

    def constant(self, name: str) -> np.ndarray | None:
        """Returns the value of an initializer or a constant; None for anything else."""
        import onnx

        if name in self._constants:
            return np.asarray(onnx.numpy_helper.to_array(self._constants[name]))
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in ("Constant", "Identity"):
            return None
        if maker.op_type == "Identity":
            return self.constant(maker.input[0])
        for attribute in maker.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            if attribute.name == "value":
                return np.asarray(onnx.numpy_helper.to_array(value))
            if attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
                return np.asarray(value)
        return None

    def weights(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields the floating-point weights: the layer that uses each, the name, the values."""
        import onnx

        for name, tensor in self._constants.items():
            if tensor.data_type not in (
                *(onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16),
                *(onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16),
            ):
                continue
            users = self._users.get(name, ())
            layer = (users[0].name or users[0].op_type) if users else self._graph.name
            yield layer, name, np.asarray(onnx.numpy_helper.to_array(tensor))

    def names(self) -> set[str]:
        """Returns all parts of the names of its nodes, among them the names of Keras's layers."""
        return {part for node in self._graph.node for part in node.name.split("/")}

    def beginning(self, port: Port) -> Beginning:
        """Finds out what an input takes from the operations after it.

        Args:
            port: The input.
        """
        tensor, order = port.name, list(range(len(port.shape)))
        arithmetic, quantized, is_turned = None, None, False
        passed: set[str] = set()
        while tensor not in passed:
            passed.add(tensor)
            users = self._users.get(tensor, [])
            if not users:
                break
            node = users[0]
            kind = node.op_type
            if kind == "Conv" and tensor == node.input[0]:
                axes, channels = self._before_convolution(node, order)
                return Beginning(axes, channels, arithmetic, quantized)
            if len(users) > 1 and len({one.op_type for one in users}) > 1:
                break
            if kind == "Transpose":
                permutation = _ints(node, "perm")
                if len(permutation) != len(order) or is_turned:
                    break
                is_turned = True
                order = [order[axis] for axis in permutation]
            elif kind == "QuantizeLinear" and quantized is None:
                quantized = self._range(node)
            elif kind not in _KEEPING:
                break
            step = self._step(node, tensor)
            if step is not None:
                joined = step if arithmetic is None else arithmetic.followed_by(step)
                if joined is None:
                    break
                arithmetic = joined
            tensor = node.output[0]
        axes = ""
        if is_turned and len(order) == _RANK:
            axes = "NHWC" if order == _TO_FIRST else "NCHW" if order == _TO_LAST else ""
        return Beginning(axes, None, arithmetic, quantized)

    def _before_convolution(self, node: Any, order: Sequence[int]) -> tuple[str, int | None]:
        """Returns the axes of an input that reaches a convolution, which has the channels first."""
        weights = self.constant(node.input[1])
        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        channels = None if weights is None or weights.ndim < 2 else weights.shape[1] * groups
        # What is at each place before the convolution was at `order` of the input.
        letters = {_RANK: "NCHW", _RANK + 1: "NCTHW"}.get(len(order), "")
        if not letters or (weights is not None and weights.ndim != len(letters)):
            return "", channels
        placed = dict(zip(order, letters, strict=True))
        return "".join(placed[axis] for axis in range(len(order))), channels

    def _range(self, node: Any) -> tuple[float, float] | None:
        scale = self.constant(node.input[1])
        zero = self.constant(node.input[2]) if len(node.input) > 2 else np.zeros((), np.uint8)
        if scale is None or zero is None or scale.size != 1 or zero.dtype.kind not in "ui":
            return None
        limits = np.iinfo(zero.dtype)
        lowest, highest = (
            float((limit - int(zero.ravel()[0])) * scale.ravel()[0])
            for limit in (limits.min, limits.max)
        )
        return lowest, highest

    def _step(self, node: Any, tensor: str) -> Arithmetic | None:
        """Returns a node's arithmetic with constants; None for other nodes."""
        kind = node.op_type
        if kind == "BatchNormalization":
            values = [self.constant(name) for name in node.input[1:5]]
            if len(values) != 4 or any(one is None for one in values):
                return None
            _, _, mean, variance = (np.asarray(one, np.float64) for one in values)
            factor = 1 / np.sqrt(np.maximum(variance, _LEAST_VARIANCE))
            return Arithmetic(factor.ravel(), (-mean * factor).ravel(), by_statistics=True)
        if kind not in ("Sub", "Add", "Mul", "Div"):
            return None
        is_first = node.input[0] == tensor
        other = self.constant(node.input[1 if is_first else 0])
        return None if other is None else step_with(kind, other, is_first=is_first)

    def leave_out_activation(self, output: str) -> tuple[str, str] | None:
        """Adds an output with the scores before the final softmax or sigmoid of another output.

        The model is changed: the new output takes the place of the old one.

        Args:
            output: The name of the output.

        Returns:
            The name of the new output and the activation; None if there is no such activation.
        """
        import onnx

        after: list[Any] = []
        tensor = output
        while True:
            maker = self._makers.get(tensor)
            if maker is None or not maker.input:
                return None
            if maker.op_type in _ACTIVATIONS and maker.domain in ("", "ai.onnx"):
                break
            if maker.op_type not in _TRANSPARENT or len(after) > len(self._graph.node):
                return None
            after.append(maker)
            tensor = maker.input[0]
        place = next(number for number, one in enumerate(self._graph.output) if one.name == output)
        scores = maker.input[0]
        taken = {*self._makers, *self._constants, *self._users}
        for number, node in enumerate(reversed(after)):
            again = onnx.NodeProto()
            again.CopyFrom(node)
            again.name = ""
            again.input[0] = scores
            scores = _free_name(f"{output}_scores_{number}", taken)
            del again.output[:]
            again.output.append(scores)
            self._graph.node.append(again)
        if not after:
            # An output must be made by a node, and must not be an output already.
            named = _free_name(f"{output}_scores", taken)
            self._graph.node.append(onnx.helper.make_node("Identity", [scores], [named]))
            scores = named
        self._graph.output[place].name = scores
        return scores, _ACTIVATIONS[maker.op_type]


def _ints(node: Any, name: str) -> list[int]:
    return next((list(one.ints) for one in node.attribute if one.name == name), [])


def _free_name(wanted: str, taken: set[str]) -> str:
    while wanted in taken:
        wanted += "_"
    taken.add(wanted)
    return wanted
