"""A TensorFlow Lite file that ends in the choice of boxes of TensorFlow's object detection."""

import importlib

import flatbuffers
import keras
import numpy as np
import tensorflow as tf
from flatbuffers import flexbuffers

SIDE, CELLS = 64, 8
OPERATION = "TFLite_Detection_PostProcess"


def _scoring():
    """Makes a network that scores "red" and "blue" in each cell, beside the background."""
    inputs = keras.Input((SIDE, SIDE, 3), batch_size=1)
    x = keras.layers.AveragePooling2D(SIDE // CELLS)(inputs)
    scores = keras.layers.Conv2D(3, 1, activation="sigmoid", name="scores")
    boxes = keras.layers.Conv2D(4, 1, name="offsets")
    outputs = [
        keras.layers.Reshape((CELLS**2, 4))(boxes(x)),
        keras.layers.Reshape((CELLS**2, 3))(scores(x)),
    ]
    model = keras.Model(inputs, outputs)
    # Inputs are in [-1, 1]: grey is near 0, red (0.7, -0.7, -0.7).
    kernel = np.array([[0, 4, -4], [0, -4, -4], [0, -4, 4]], np.float32)[None, None]
    scores.set_weights([kernel, np.float32([-9, -4, -4])])
    boxes.set_weights([np.zeros((1, 1, 3, 4), np.float32), np.zeros(4, np.float32)])
    return model


def _anchors():
    """Lists the boxes of all cells: the centre's y and x, height and width, as fractions."""
    rows, columns = np.mgrid[:CELLS, :CELLS]
    centres = (np.stack([rows.ravel(), columns.ravel()], axis=1) + 0.5) / CELLS
    return np.concatenate([centres, np.full_like(centres, 2 / CELLS)], axis=1).astype(np.float32)


def save_tflite_detector(path, detections=10):
    """Saves the detector; of each picture it lists the best boxes, up to a number."""
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    content = tf.lite.TFLiteConverter.from_keras_model(_scoring()).convert()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))
    (graph,) = model.subgraphs
    shapes = {index: list(graph.tensors[index].shape) for index in graph.outputs}
    offsets = next(index for index, shape in shapes.items() if shape[-1] == 4)
    scores = next(index for index, shape in shapes.items() if shape[-1] == 3)

    def add_tensor(name, shape, values=None):
        buffer = schema.BufferT()
        if values is not None:
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, shape, schema.TensorType.FLOAT32
        tensor.buffer = len(model.buffers) - 1
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    anchors = _anchors()
    places = add_tensor("anchors", list(anchors.shape), anchors)
    shapes = ([1, detections, 4], [1, detections], [1, detections], [1])
    endings = ("", ":1", ":2", ":3")
    outputs = [
        add_tensor(OPERATION + ending, shape) for ending, shape in zip(endings, shapes, strict=True)
    ]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = OPERATION, 1
    model.operatorCodes.append(code)
    options = {
        "max_detections": detections,
        "max_classes_per_detection": 1,
        "detections_per_class": 100,
        "num_classes": 2,
        "nms_score_threshold": 0.0,
        "nms_iou_threshold": 0.5,
        "use_regular_nms": False,
        **{f"{axis}_scale": 10.0 for axis in "xy"},
        **{f"{axis}_scale": 5.0 for axis in "hw"},
    }
    chosen = schema.OperatorT()
    chosen.opcodeIndex = len(model.operatorCodes) - 1
    chosen.inputs, chosen.outputs = [offsets, scores, places], outputs
    chosen.customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)
    graph.operators.append(chosen)
    graph.outputs = outputs
    model.signatureDefs = None
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path
