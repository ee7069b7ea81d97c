"""What the first operations of a graph say about its input: its layout and its preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradcam_cli.networks.inputs import PICTURE_CHANNELS

_RANK = 4
_LEAST_SIDE = 8
# Stacks of pictures: the frames of a clip, or the slices of a volume.
_OF_STACKS = ("NCTHW", "NTCHW", "NTHWC")


@dataclass(frozen=True)
class Arithmetic:
    """What a graph computes with its input before its first layer: x times scale plus offset.

    Attributes:
        scale: One factor, or one for each channel.
        offset: One value to add, or one for each channel.
        by_statistics: Whether it is a normalization by stored means and variances, of which this
            has only the means and the deviations.
    """

    scale: np.ndarray
    offset: np.ndarray
    by_statistics: bool = False

    def followed_by(self, step: Arithmetic) -> Arithmetic | None:
        """Returns both steps as one; None if their numbers of channels differ."""
        if len({self.scale.size, self.offset.size, step.scale.size, step.offset.size} - {1}) > 1:
            return None
        return Arithmetic(
            self.scale * step.scale,
            self.offset * step.scale + step.offset,
            self.by_statistics or step.by_statistics,
        )


def step_with(kind: str, constant: np.ndarray, *, is_first: bool) -> Arithmetic | None:
    """Returns the step of an operation of the input and a constant.

    Args:
        kind: "Add", "Sub", "Mul" or "Div".
        constant: The constant.
        is_first: Whether the input comes before the constant.

    Returns:
        The step; None if it isn't the same at all places, or no step of this kind.
    """
    value = _by_channel(np.asarray(constant, np.float64))
    if value is None:
        return None
    one, none = np.ones_like(value), np.zeros_like(value)
    if kind == "Add":
        return Arithmetic(one, value)
    if kind == "Mul":
        return Arithmetic(value, none)
    if kind == "Sub":
        return Arithmetic(one, -value) if is_first else Arithmetic(-one, value)
    return Arithmetic(1 / value, none) if is_first and value.all() else None


@dataclass(frozen=True)
class Beginning:
    """How a graph begins after one of its inputs.

    Attributes:
        axes: The meaning of the input's axes, as in `gradcam_cli.networks.black_box.BoxInput`; ""
            if the operations don't tell.
        channels: The number of channels that its first convolution takes; None if that isn't known.
        arithmetic: What it computes first; None for nothing.
        quantized: The (lowest, highest) value that its first quantization can hold; None if there
            is none.
    """

    axes: str = ""
    channels: int | None = None
    arithmetic: Arithmetic | None = None
    quantized: tuple[float, float] | None = None


def axes_of(
    shape: Sequence[int | None], beginning: Beginning | None = None, *, first: str = "NCHW"
) -> str:
    """Finds the meaning of the axes of an input.

    Args:
        shape: Its shape.
        beginning: What the operations after it say; None if nothing is known of them.
        first: What it is if the shape fits both "NCHW" and "NHWC".

    Returns:
        As in `gradcam_cli.networks.black_box.BoxInput`; "" for what can't be a picture.
    """
    if beginning is not None and beginning.axes:
        return beginning.axes
    if len(shape) == _RANK:
        fitting = [axes for axes in ("NCHW", "NHWC") if shape[axes.index("C")] in PICTURE_CHANNELS]
        if not fitting:
            return _axes_of_bands(shape)
        return first if first in fitting else fitting[0]
    if len(shape) == len(_OF_STACKS[0]):
        order = _OF_STACKS if first == "NCHW" else _OF_STACKS[::-1]
        # There may be as many pictures as some have channels, but colours are likeliest.
        for channels in (3, 1, 4):
            for axes in order:
                sides = (shape[axes.index(side)] for side in "HW")
                if shape[axes.index("C")] == channels and all(map(_is_side, sides)):
                    return axes
        return "" if first == "NCHW" else order[0]
    if len(shape) == _RANK - 1:
        if shape[2] in PICTURE_CHANNELS and _is_side(shape[0]) and _is_side(shape[1]):
            return "HWC"
        if shape[0] not in (None, 1) and shape[0] in PICTURE_CHANNELS:
            return "CHW"
        if all(length is not None and _is_side(length) for length in shape[1:]):
            return "NHW"
    return ""


def _axes_of_bands(shape: Sequence[int | None]) -> str:
    """Finds the channels of square pictures of bands; "" if nothing tells."""
    _, second, third, fourth = shape
    if third == fourth and second not in (None, third):
        return "NCHW"
    return "NHWC" if second == third and fourth not in (None, third) else ""


def _is_side(length: int | None) -> bool:
    return length is None or length >= _LEAST_SIDE


def _by_channel(values: np.ndarray) -> np.ndarray | None:
    """Returns one value, or one for each channel; None if values differ from place to place."""
    if values.size == 1:
        return values.reshape(1)
    if values.size in PICTURE_CHANNELS and max(values.shape) == values.size:
        return values.reshape(-1)
    return None
