"""Finds the last feature maps from which a detector makes both boxes and scores."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from gradcam_cli.networks.detection import DetectedBoxes
from gradcam_cli.networks.operations import operation_names

_CONVOLUTIONS = operation_names("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput")
# Deformable attention and the choice of the best candidates take values from several places.
_SAMPLING = operation_names("GatherNd", "GatherV2", "ResourceGather")
_PRODUCTS = operation_names("BatchMatMul", "BatchMatMulV2", "Einsum", "MatMul")


def last_shared(
    detected: DetectedBoxes, inputs: tf.Tensor, features: Mapping[str, str]
) -> set[str]:
    """Finds the feature maps from which boxes and scores are made directly.

    Args:
        detected: The boxes and scores.
        inputs: The input of the network.
        features: The layers to choose from: the path of each by the name of its output.

    Returns:
        The paths of those from which scores are computed without another one in between. Between
        them and the scores is an operation that sees several cells, if there are such layers.
    """
    of_boxes = _before(detected.boxes)
    from_picture = _after(inputs)
    found: tuple[set[str], set[str]] = (set(), set())
    seen: set[tuple[str, bool]] = set()
    waiting = [(detected.logits, False)]
    while waiting:
        tensor, is_wide = waiting.pop()
        if (tensor.name, is_wide) in seen:
            continue
        seen.add((tensor.name, is_wide))
        path = features.get(tensor.name)
        if path is not None and tensor.name in of_boxes:
            found[is_wide].add(path)
            if is_wide:
                continue
        is_wide = is_wide or _sees_several_cells(tensor.op, from_picture)
        # Whole numbers, such as the places of the best candidates, have no gradient.
        waiting += [(one, is_wide) for one in tensor.op.inputs if one.dtype.is_floating]
    return found[True] or found[False]


def _before(tensor: tf.Tensor) -> set[str]:
    """Returns the names of all tensors that another one is computed from."""
    found: set[str] = set()
    waiting = [tensor]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found.add(one.name)
            waiting += list(one.op.inputs)
    return found


def _after(tensor: tf.Tensor) -> set[str]:
    """Returns the names of all tensors that are computed from another one."""
    found = {tensor.name}
    waiting = list(tensor.consumers())
    while waiting:
        op = waiting.pop()
        for output in op.outputs:
            if output.name not in found:
                found.add(output.name)
                waiting += list(output.consumers())
    return found


def _sees_several_cells(op: tf.Operation, from_picture: set[str]) -> bool:
    if op.type in _CONVOLUTIONS:
        rows, columns, *_ = op.inputs[1].shape
        return (rows, columns) != (1, 1)
    if op.type in _SAMPLING:
        return op.inputs[0].name in from_picture
    # Products of two tensors of the picture, such as attention, mix its positions.
    return op.type in _PRODUCTS and all(one.name in from_picture for one in list(op.inputs)[:2])
