"""Operations that change rows and columns: convolutions, pooling, resizing, padding, rolling."""

from __future__ import annotations

import math
from dataclasses import replace

from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.place_rules.slicing import sliced
from gradcam_cli.networks.place_rules.step import Step
from gradcam_cli.networks.places import (
    Cells,
    Factor,
    Frame,
    Places,
    cells_of,
    is_plain,
    plain,
    product,
    regrouped,
)

# The index of the input that is convolved or pooled.
_WINDOWS = dict.fromkeys(
    operation_names(
        "AvgPool",
        "AvgPool3D",
        "Conv2D",
        "Conv3D",
        "DepthwiseConv2dNative",
        "Dilation2D",
        "ExtractImagePatches",
        "MaxPool",
        "MaxPool3D",
        "MaxPoolV2",
    ),
    0,
) | dict.fromkeys(
    operation_names(
        "Conv2DBackpropInput", "Conv3DBackpropInputV2", "DepthwiseConv2dNativeBackpropInput"
    ),
    2,
)
_KEEPING_CHANNELS = operation_names("AvgPool", "AvgPool3D", "MaxPool", "MaxPool3D", "MaxPoolV2")
_RESIZES = operation_names(
    "ResizeArea",
    "ResizeBicubic",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "ScaleAndTranslate",
)
_BLOCKS = operation_names("DepthToSpace", "SpaceToDepth")
_PADS = operation_names("MirrorPad", "Pad", "PadV2")


def _spatial_axes(step: Step, rank: int) -> range:
    names = step.op.node_def.attr
    is_first = "data_format" in names and step.attribute("data_format").startswith(b"NC")
    return range(2, rank) if is_first else range(1, rank - 1)


def _window(step: Step) -> Places | None:
    index = _WINDOWS[step.type]
    places, shape = step.places[index], step.shape()
    strides = step.value(2) if step.type == "MaxPoolV2" else step.attribute("strides")
    if strides is None or not places.has_cells:
        return None
    spatial = _spatial_axes(step, len(shape))
    for axis, length in enumerate(shape):
        if axis in spatial:
            stride = float(strides[axis])
            places = _resampled(places, axis, length, 1 / stride if index else stride)
        elif axis and (step.type not in _KEEPING_CHANNELS or length != product(places.axes[axis])):
            places = places.with_axis(axis, plain(length))
    return places


def _resampled(places: Places, index: int, length: int, ratio: float) -> Places:
    """Describes places after the cells of an axis have changed.

    Args:
        places: The places before.
        index: The index of the axis.
        length: The new number of cells.
        ratio: The new pitch divided by the old one.
    """
    axis = places.axes[index]
    if is_plain(axis) or (ratio == 1 and length == product(axis)):
        return places.with_axis(index, axis if product(axis) == length else plain(length))
    if len(axis) != 1 or not isinstance(axis[0], Cells):
        return places.with_axis(index, plain(length))
    cells = axis[0]
    if places.frames[cells.axis].roll:
        return places.with_axis(index, plain(length))
    after = Cells(cells.axis, length, cells.pitch * ratio)
    spans = places.spans(cells)
    places = replace(places, axes=(*places.axes[:index], (after,), *places.axes[index + 1 :]))
    return places.with_frame(cells.axis, Frame(length * after.pitch)) if spans else places


def _resize(step: Step) -> Places | None:
    places, shape = step.places[0], step.shape()
    for axis in (1, 2):
        before = product(places.axes[axis])
        places = _resampled(places, axis, shape[axis], before / shape[axis])
    return places


def _move_blocks(step: Step) -> Places | None:
    places, shape = step.places[0], step.shape()
    block = step.attribute("block_size")
    for axis, length in enumerate(shape):
        if axis in _spatial_axes(step, len(shape)):
            ratio = 1 / block if step.type == "DepthToSpace" else block
            places = _resampled(places, axis, length, ratio)
        elif axis:
            places = places.with_axis(axis, plain(length))
    return places


def _roll(step: Step) -> Places | None:
    places, shifts, axes = step.places[0], step.value(1), step.value(2)
    if shifts is None or axes is None:
        return None
    for shift, axis in zip(shifts.reshape(-1), axes.reshape(-1), strict=True):
        index = int(axis) % len(places.axes)
        factors = places.axes[index]
        if is_plain(factors):
            continue
        if len(factors) != 1 or not isinstance(factors[0], Cells) or not places.spans(factors[0]):
            return None
        cells = factors[0]
        frame = places.frames[cells.axis]
        roll = (frame.roll + int(shift)) % cells.size
        places = places.with_frame(cells.axis, replace(frame, roll=roll))
    return places


def _pad(step: Step) -> Places | None:
    places, margins = step.places[0], step.value(1)
    if margins is None:
        return None
    for index, (before, after) in enumerate(margins.tolist()):
        if before or after:
            places = _padded(places, index, before, after)
    return places


def _padded(places: Places, index: int, before: int, after: int) -> Places:
    factors = places.axes[index]
    length = product(factors) + before + after
    cells = factors[0] if len(factors) == 1 else None
    if not isinstance(cells, Cells) or not places.spans(cells):
        return places.with_axis(index, plain(length))
    frame = places.frames[cells.axis]
    if frame.roll:
        return places.with_axis(index, plain(length))
    frame = Frame(length * cells.pitch, frame.before + before, frame.after + after)
    return places.with_axis(index, (replace(cells, size=length),)).with_frame(cells.axis, frame)


def _space_to_batch(step: Step) -> Places | None:
    """Follows dilated convolutions that TensorFlow emulates: cells move to the batch."""
    places, blocks, margins = step.places[0], step.value(1), step.value(2)
    if blocks is None or margins is None:
        return None
    inner: list[Factor] = []
    for number, (block, (before, after)) in enumerate(zip(blocks, margins, strict=True)):
        index = number + 1
        if before or after:
            places = _padded(places, index, int(before), int(after))
        outer = product(places.axes[index]) // int(block)
        parts = regrouped([places.axes[index]], [outer, int(block)])
        if parts is None:
            return None
        places = places.with_axis(index, parts[0])
        inner += parts[1]
    return places.with_axis(0, (*inner, *places.axes[0]))


def _batch_to_space(step: Step) -> Places | None:
    places, blocks, crops = step.places[0], step.value(1), step.value(2)
    if blocks is None or crops is None:
        return None
    sizes = [int(block) for block in blocks]
    parts = regrouped([places.axes[0]], [*sizes, product(places.axes[0]) // math.prod(sizes)])
    if parts is None:
        return None
    *inner, batch = parts
    places = places.with_axis(0, batch)
    for number, (part, (before, after)) in enumerate(zip(inner, crops, strict=True)):
        index = number + 1
        places = places.with_axis(index, (*places.axes[index], *part))
        cells = next(cells_of(places.axes[index]), None)
        if cells is not None:
            # The margins were only there for the convolution in between.
            extent = cells.size * cells.pitch
            places = places.with_frame(cells.axis, Frame(extent))
        length = product(places.axes[index]) - int(before) - int(after)
        places = sliced(step, 0, places, index, (int(before), length, 1))
    return places


RULES = {
    **dict.fromkeys(_WINDOWS, _window),
    **dict.fromkeys(_RESIZES, _resize),
    **dict.fromkeys(_BLOCKS, _move_blocks),
    **dict.fromkeys(_PADS, _pad),
    **dict.fromkeys(operation_names("BatchToSpaceND"), _batch_to_space),
    **dict.fromkeys(operation_names("Roll"), _roll),
    **dict.fromkeys(operation_names("SpaceToBatchND"), _space_to_batch),
}
