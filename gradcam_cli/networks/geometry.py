"""Where in the input a cell of a feature map lies.

A feature map is often drawn as if its cells divided the whole input between them. That
is right only if every convolution pads its input: without padding the cells stay closer
together than that, the more so the nearer they are to the border. What always holds is
that neighbouring cells lie as many pixels apart as the product of the strides up to them
(Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill, 2019), and that a trained network sees the middle of its input with the middle
of its map.
"""

from __future__ import annotations

import tensorflow as tf

from gradcam_cli.networks.layout import channels_first_tensors, is_channels_first, to_last
from gradcam_cli.networks.operations import operation_names

Pitch = tuple[float, float]

_TRANSPOSED_CONVOLUTIONS = operation_names("Conv2DBackpropInput")
# What tells by the change of shape alone how it resamples.
_RESAMPLING_OPS = operation_names(
    "DepthToSpace",
    "PartitionedCall",
    "Reshape",
    "ResizeArea",
    "ResizeBicubic",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "ScaleAndTranslate",
    "SpaceToDepth",
    "StatefulPartitionedCall",
    "StridedSlice",
)
# A change of size below this comes from padding or cropping, not from resampling.
_RESAMPLING_RATIO = 1.5


def cell_pitch(inputs: tf.Tensor, feature_map: tf.Tensor) -> Pitch:
    """Finds the distance between neighbouring cells of a feature map.

    Args:
        inputs: The network's input, (N, height, width, channels), in a graph.
        feature_map: A tensor (N, rows, columns, channels) computed from it.

    Returns:
        The vertical and the horizontal distance of two cells, in pixels of the input.

    Raises:
        ValueError: The feature map isn't computed from these inputs.
    """
    pitches: dict[str, Pitch] = {inputs.name: (1.0, 1.0)}
    # The last spatial shape on the way to each tensor: some resampling reshapes to more
    # dimensions and back.
    shapes = {inputs.name: inputs.shape}
    channels_first = channels_first_tensors(inputs)
    for op in inputs.graph.get_operations():
        found = [tensor.name for tensor in op.inputs if tensor.name in pitches]
        if not found:
            continue
        source = max(found, key=pitches.__getitem__)
        for tensor in op.outputs:
            shape = tensor.shape
            if shape.rank == 4 and list(shape[1:]).count(1) >= 2:
                # A single cell, as that of attention beside the maps, lies nowhere.
                continue
            if shape.rank == 4 and tensor.name in channels_first:
                shape = tf.TensorShape([shape[axis] for axis in to_last(4)])
            vertical, horizontal = _step(op, shapes[source], shape)
            pitch = pitches[source]
            pitches[tensor.name] = pitch[0] * vertical, pitch[1] * horizontal
            is_map = shape.rank == 4 and op.type != "Transpose"
            shapes[tensor.name] = shape if is_map else shapes[source]
    try:
        return pitches[feature_map.name]
    except KeyError:
        raise ValueError("the feature map does not depend on the inputs") from None


def _step(op: tf.Operation, before: tf.TensorShape, after: tf.TensorShape) -> Pitch:
    """Says how many cells of an operation's input lie between two of its output."""
    attributes = op.node_def.attr
    if "strides" in attributes and len(attributes["strides"].list.i) == 4:
        strides = attributes["strides"].list.i
        rows, columns = (2, 3) if is_channels_first(op) else (1, 2)
        vertical, horizontal = float(strides[rows]), float(strides[columns])
        if op.type in _TRANSPOSED_CONVOLUTIONS:
            return 1 / vertical, 1 / horizontal
        return vertical, horizontal
    if op.type in _RESAMPLING_OPS and before.rank == after.rank == 4:
        return _ratio(before[1], after[1]), _ratio(before[2], after[2])
    return 1.0, 1.0


def _ratio(before: int | None, after: int | None) -> float:
    if not before or not after:
        return 1.0
    ratio = before / after
    return ratio if max(ratio, 1 / ratio) >= _RESAMPLING_RATIO else 1.0
