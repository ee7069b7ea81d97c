"""ONNX files with the weights of Keras networks, as PyTorch exports them."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def parts_of(model):
    """Converts a Keras network of plain layers to ONNX nodes and weights, channels first.

    Returns the nodes, the weights and the name of the last tensor, before the softmax.
    """
    nodes, weights, last = [], [], "input"

    def add(kind, values, *others, **attributes):
        nonlocal last
        named = []
        for value in values:
            named.append(f"w{len(weights)}")
            weights.append(numpy_helper.from_array(np.ascontiguousarray(value), named[-1]))
        output = f"t{len(nodes)}"
        name = f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, [last, *named], [output], name=name, **attributes))
        last = output

    for layer in model.layers:
        kind = type(layer).__name__
        values = [np.asarray(value) for value in layer.get_weights()]
        if kind == "Conv2D":
            values[0] = values[0].transpose(3, 2, 0, 1)
            size = layer.kernel_size[0]
            add("Conv", values, pads=[size // 2] * 4, strides=list(layer.strides))
        elif kind == "BatchNormalization":
            add("BatchNormalization", values, epsilon=layer.epsilon)
        elif kind == "AveragePooling2D":
            add("AveragePool", [], kernel_shape=[4, 4], strides=[4, 4])
        elif kind == "GlobalAveragePooling2D":
            add("GlobalAveragePool", [])
            add("Flatten", [])
        elif kind == "Dense":
            add("Gemm", [values[0].T, values[1]], transB=1)
        if getattr(getattr(layer, "activation", None), "__name__", "") == "relu" or kind == "ReLU":
            add("Relu", [])
    return nodes, weights, last


def save_onnx(
    path,
    model,
    *,
    batch="batch",
    size=None,
    softmax="Softmax",
    before=(),
    before_weights=(),
    after=(),
    dtype=TensorProto.FLOAT,
    metadata=None,
    shape=None,
    outputs=None,
    more=(),
):
    """Saves a Keras network as an ONNX file with the channels first.

    ``before`` are nodes from "picture" to "input", and ``after`` nodes from "scores" to "output".
    """
    nodes, weights, last = parts_of(model)
    channels = model.input_shape[-1]
    start = "picture" if before else "input"
    rows, columns = size or model.input_shape[1:3]
    end = [helper.make_node(softmax, [last], ["output"], axis=1)] if softmax else []
    if softmax == "Sigmoid":
        end = [helper.make_node("Sigmoid", [last], ["output"])]
    if after:
        end = [helper.make_node("Identity", [last], ["scores"]), *after]
    name = "output" if end else last
    taken = helper.make_tensor_value_info(start, dtype, shape or [batch, channels, rows, columns])
    given = outputs or [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, model.output_shape[-1]])
    ]
    graph = helper.make_graph(
        [*before, *nodes, *end, *more],
        "main_graph",
        [taken],
        given,
        [*weights, *(numpy_helper.from_array(*one) for one in before_weights)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(made, metadata or {})
    onnx.save(made, path)
    return path
