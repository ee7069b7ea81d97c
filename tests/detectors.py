"""Detectors of coloured squares whose weights are set by hand, and pictures for them."""

import keras
import numpy as np
from PIL import Image

SIDE, CELL, OBJECT = 96, 4, 20
CELLS = SIDE // CELL
RED, BLUE, GREY = (220, 40, 40), (40, 60, 220), (128, 128, 128)
NAMES = ("red", "blue")
_SHARPNESS, _THRESHOLD = 20.0, 0.6


def to_format(corners, box_format):
    """Converts left, top, right and bottom in pixels to a format of boxes."""
    left, top, right, bottom = np.split(corners, 4, axis=-1)
    if box_format.startswith("rel_"):
        return to_format(corners / SIDE, box_format[4:])
    centre = (left + right) / 2, (top + bottom) / 2
    size = right - left, bottom - top
    parts = {
        "xyxy": (left, top, right, bottom),
        "yxyx": (top, left, bottom, right),
        "xywh": (left, top, *size),
        "center_xywh": (*centre, *size),
        "center_yxhw": (*centre[::-1], *size[::-1]),
    }
    return np.concatenate(parts[box_format], axis=-1)


def _anchors(cell, side):
    """(candidates, 4): a square of one size around the centre of each cell, as corners."""
    centres = (np.arange(SIDE // cell) + 0.5) * cell
    x, y = np.meshgrid(centres, centres)
    half = side / 2
    return np.stack([x - half, y - half, x + half, y + half], -1).reshape(-1, 4)


def _colors(inputs):
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    # 1 on the one colour, 0 on the other, on grey and on the reddish colour of borders.
    kernel[0, 0, :, 0] = np.array([1, -0.5, -0.5]) / 180
    kernel[0, 0, :, 1] = np.array([-0.5, -0.5, 1]) / 170
    layer = keras.layers.Conv2D(2, 1, activation="relu", name="colors")
    outputs = layer(inputs)
    layer.set_weights([kernel, np.float32([-0.1, -0.1])])
    return outputs


def _level(colors, cell, side, box_format, name, width=7, classes=2):
    """Boxes (candidates, 4) and logits (candidates, classes) of the objects of one size."""
    pooled = keras.layers.AveragePooling2D(cell, name=f"pool{name}")(colors)
    layer = keras.layers.Conv2D(2, 1, name=f"features{name}")
    features = layer(pooled)
    layer.set_weights([np.eye(2, dtype=np.float32)[None, None], np.zeros(2, np.float32)])
    scores = keras.layers.Conv2D(classes, width, padding="same", name=f"class_head{name}")
    logits = scores(features)
    kernel = np.zeros((width, width, 2, classes), np.float32)
    first = classes - 2
    for index in range(2):
        # A frame of the colour around the square speaks against it: it is part of a larger one.
        kernel[:, :, index, first + index] = -1.2 * _SHARPNESS / (4 * width - 4)
        kernel[1:-1, 1:-1, index, first + index] = 1.2 * _SHARPNESS / (width - 2) ** 2
    bias = np.full(classes, -_SHARPNESS * _THRESHOLD, np.float32)
    bias[:first] = 0
    scores.set_weights([kernel, bias])
    logits = keras.layers.Reshape((-1, classes), name=f"scores{name}")(logits)
    sizes = keras.layers.Conv2D(4, width, padding="same", name=f"box_head{name}")
    boxes = sizes(features)
    sizes.set_weights([np.zeros((width, width, 2, 4), np.float32), np.zeros(4, np.float32)])
    boxes = keras.layers.Reshape((-1, 4), name=f"offsets{name}")(boxes)
    anchors = to_format(_anchors(cell, side), box_format)
    place = keras.layers.EinsumDense(
        "bac,cd->bad", output_shape=anchors.shape, bias_axes="ad", name=f"place{name}"
    )
    placed = place(boxes)
    place.set_weights([np.eye(4, dtype=np.float32), anchors.astype(np.float32)])
    return placed, logits


def square_detector(box_format="xyxy", activation="sigmoid", names=("boxes", "scores"), levels=1):
    """Makes a detector of red (0) and blue (1) squares of 20 pixels.

    With a softmax, class 0 is the background. With two levels, it also finds squares of 40 pixels.
    """
    inputs = keras.Input((SIDE, SIDE, 3), name="picture")
    colors = _colors(inputs)
    classes = 3 if activation == "softmax" else 2
    parts = [_level(colors, CELL, OBJECT, box_format, "", classes=classes)]
    if levels == 2:
        parts.append(_level(colors, 2 * CELL, 2 * OBJECT, box_format, "2", classes=classes))
    boxes, scores = zip(*parts, strict=True)
    if levels == 2:
        boxes = [keras.layers.Concatenate(axis=1, name="all_boxes")(list(boxes))]
        scores = [keras.layers.Concatenate(axis=1, name="all_scores")(list(scores))]
    boxes, scores = boxes[0], scores[0]
    if activation is not None:
        scores = keras.layers.Activation(activation, name="probabilities")(scores)
    if len(names) == 1:
        joined = keras.layers.Concatenate(name=names[0])([boxes, scores])
        return keras.Model(inputs, joined, name="squares")
    return keras.Model(inputs, dict(zip(names, (boxes, scores), strict=True)), name="squares")


def draw_squares(squares, size=(SIDE, SIDE)):
    """Makes a grey picture with squares: (left, top, side, colour) each."""
    pixels = np.full((size[1], size[0], 3), GREY, np.uint8)
    for left, top, side, color in squares:
        pixels[top : top + side, left : left + side] = color
    return Image.fromarray(pixels)
