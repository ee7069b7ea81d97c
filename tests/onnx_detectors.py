"""ONNX files of detectors of coloured squares whose weights are set by hand."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# The sides of the input, and of the objects in it, in pixels.
SIDE, OBJECT = 96, 20
STRIDES = (8, 16, 32)
NAMES = ("red", "blue")
# The window in which the place of an object is measured.
_WINDOW = 28
_SHARPNESS, _THRESHOLD = 20.0, 0.6


class _Graph:
    """Adds nodes, with the names of their outputs as handles."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, values, dtype=np.float32):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def add(self, kind, *inputs, number=1, name=None, **attributes):
        outputs = [name or f"{kind}{len(self.nodes)}_{index}" for index in range(number)]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs[0] if number == 1 else outputs


def _rows(graph, copies):
    """Boxes (N, candidates, 4), by centre and size, and scores (N, candidates, 2) of all cells."""
    kernel = np.zeros((2, 3, 1, 1))
    # 1 on the one colour, 0 on the other, on grey and on the reddish colour of borders.
    kernel[0, :, 0, 0] = np.array([1, -0.5, -0.5]) * 255 / 180
    kernel[1, :, 0, 0] = np.array([-0.5, -0.5, 1]) * 255 / 170
    colors = graph.add("Conv", "images", graph.constant(kernel), graph.constant([-0.1, -0.1]))
    colors = graph.add("Mul", graph.add("Relu", colors), graph.constant(1 / 0.9))
    boxes, scores = [], []
    for stride in STRIDES:
        places = np.arange(_WINDOW) - (_WINDOW - 1) / 2
        moments = np.stack([np.ones((_WINDOW,) * 2), *np.meshgrid(places, places)], axis=0)
        moments = np.repeat(moments[:, None], 2, axis=1)
        border = [(_WINDOW - stride) // 2, _WINDOW - stride - (_WINDOW - stride) // 2]
        border = [max(0, side) for side in border]
        cells = SIDE // stride
        padding = {"pads": [border[0], border[0], border[1], border[1]]}
        seen = colors
        if stride > _WINDOW:
            first = (stride - _WINDOW) // 2
            seen = graph.add(
                "Slice",
                *(colors, graph.constant([first, first], np.int64)),
                *(graph.constant([SIDE, SIDE], np.int64), graph.constant([2, 3], np.int64)),
            )
        measured = graph.add(
            "Conv", seen, graph.constant(moments), strides=[stride, stride], **padding
        )
        mass, x, y = graph.add("Split", measured, number=3, axis=1, num_outputs=3)
        some = graph.add("Max", mass, graph.constant(1.0))
        centres = (np.arange(cells) + 0.5) * stride
        left, top = np.meshgrid(centres, centres)
        x = graph.add("Add", graph.add("Div", x, some), graph.constant(left[None, None]))
        y = graph.add("Add", graph.add("Div", y, some), graph.constant(top[None, None]))
        side = graph.add("Sqrt", some)
        box = graph.add("Concat", x, y, side, side, axis=1)
        window = np.zeros((2, 2, _WINDOW, _WINDOW))
        inner = slice((_WINDOW - OBJECT) // 2, (_WINDOW + OBJECT) // 2)
        window[[0, 1], [0, 1], inner, inner] = _SHARPNESS / OBJECT**2
        score = graph.add(
            "Conv",
            *(seen, graph.constant(window), graph.constant([-_SHARPNESS * _THRESHOLD] * 2)),
            strides=[stride, stride],
            **padding,
        )
        for parts, values, length in ((boxes, box, 4), (scores, score, 2)):
            flat = graph.add("Reshape", values, graph.constant([0, length, -1], np.int64))
            parts.extend([graph.add("Transpose", flat, perm=[0, 2, 1])] * copies)
    return graph.add("Concat", *boxes, axis=1), graph.add("Concat", *scores, axis=1)


def _yolov8(graph):
    boxes, scores = _rows(graph, 1)
    joined = graph.add("Concat", boxes, graph.add("Sigmoid", scores), axis=2)
    graph.add("Transpose", joined, perm=[0, 2, 1], name="output0")
    return {"output0": ["batch", 4 + len(NAMES), None]}


def _yolov5(graph):
    boxes, scores = _rows(graph, 3)
    scores = graph.add("Sigmoid", scores)
    axis = graph.constant([2], np.int64)
    sure = graph.add("ReduceMax", scores, axis, keepdims=1)
    # The class given that there is an object.
    shares = graph.add("Div", scores, graph.add("ReduceSum", scores, axis, keepdims=1))
    graph.add("Concat", boxes, sure, shares, axis=2, name="output")
    return {"output": ["batch", None, 5 + len(NAMES)]}


def _corners(graph, boxes):
    centre, size = graph.add("Split", boxes, number=2, axis=2, num_outputs=2)
    half = graph.add("Mul", size, graph.constant(0.5))
    return graph.add(
        "Concat", graph.add("Sub", centre, half), graph.add("Add", centre, half), axis=2
    )


def _best(graph, count):
    """The corners, the scores and the classes of the best boxes, each (N, count, ...)."""
    boxes, scores = _rows(graph, 1)
    scores = graph.add("Sigmoid", scores)
    axis = graph.constant([2], np.int64)
    best = graph.add("ReduceMax", scores, axis, keepdims=0)
    score, index = graph.add("TopK", best, graph.constant([count], np.int64), number=2, axis=1)
    kind = graph.add("ArgMax", scores, axis=2, keepdims=0)
    kind = graph.add("GatherElements", kind, index, axis=1)
    column = graph.add("Unsqueeze", index, axis)
    wide = graph.add("Expand", column, graph.constant([1, 1, 4], np.int64))
    return graph.add("GatherElements", _corners(graph, boxes), wide, axis=1), score, kind


def _end_to_end(graph):
    corners, score, kind = _best(graph, 30)
    axis = graph.constant([2], np.int64)
    kind = graph.add("Cast", kind, to=TensorProto.FLOAT)
    columns = [graph.add("Unsqueeze", one, axis) for one in (score, kind)]
    graph.add("Concat", corners, *columns, axis=2, name="output0")
    return {"output0": ["batch", 30, 6]}


def _torchvision(graph):
    """Without a batch axis, and only boxes with a score of at least 0.05."""
    corners, score, kind = _best(graph, 30)
    axis = graph.constant([0], np.int64)
    corners, score, kind = (graph.add("Squeeze", one, axis) for one in (corners, score, kind))
    good = graph.add("Greater", score, graph.constant(0.05))
    graph.add("Compress", corners, good, axis=0, name="boxes")
    graph.add("Compress", kind, good, axis=0, name="labels")
    graph.add("Compress", score, good, axis=0, name="scores")
    return {"boxes": ["found", 4], "labels": ["found"], "scores": ["found"]}


def _detr(graph):
    boxes, scores = _rows(graph, 1)
    graph.add("Mul", boxes, graph.constant(1 / SIDE), name="pred_boxes")
    graph.add("Identity", scores, name="logits")
    return {"logits": ["batch", None, 2], "pred_boxes": ["batch", None, 4]}


def _ssd(graph):
    """Boxes and scores of an SSD, with a background as the first class."""
    boxes, scores = _rows(graph, 1)
    sure = graph.add("ReduceMax", scores, graph.constant([2], np.int64), keepdims=1)
    every = graph.add("Concat", graph.add("Neg", sure), scores, axis=2)
    graph.add("Softmax", every, axis=2, name="scores")
    graph.add("Mul", _corners(graph, boxes), graph.constant(1 / SIDE), name="boxes")
    return {"scores": ["batch", None, 3], "boxes": ["batch", None, 4]}


def _yolox(graph):
    """Boxes that aren't decoded."""
    _, scores = _rows(graph, 1)
    scores = graph.add("Sigmoid", scores)
    sure = graph.add("ReduceMax", scores, graph.constant([2], np.int64), keepdims=1)
    offsets = graph.add("Concat", scores, graph.add("Sub", scores, graph.constant(0.5)), axis=2)
    graph.add("Concat", offsets, sure, scores, axis=2, name="output")
    return {"output": ["batch", None, 7]}


_FORMS = {
    "yolov8": _yolov8,
    "yolov5": _yolov5,
    "end-to-end": _end_to_end,
    "torchvision": _torchvision,
    "detr": _detr,
    "ssd": _ssd,
    "yolox": _yolox,
}
_INTEGERS = ("labels",)


def save_detector(path, form, metadata=None):
    """Writes a detector of squares.

    Args:
        path: The file.
        form: A key of `_FORMS`.
        metadata: What the file says about itself; None for what Ultralytics writes.
    """
    graph = _Graph()
    outputs = _FORMS[form](graph)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            form,
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
            [
                helper.make_tensor_value_info(
                    name, TensorProto.INT64 if name in _INTEGERS else TensorProto.FLOAT, shape
                )
                for name, shape in outputs.items()
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    if metadata is None:
        metadata = {
            "author": "Ultralytics",
            "task": "detect",
            "names": str(dict(enumerate(NAMES))),
            "imgsz": f"[{SIDE}, {SIDE}]",
            "stride": "32",
        }
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
