"""Finds which layer outputs are feature maps, and where their cells lie in the picture.

A feature map isn't defined by its number of axes but by its cells: they are rows and columns of
the picture. These are followed from the input through all operations
(`gradcam_cli.networks.place_rules`) in any layout: as rows and columns, as tokens beside a class
token, as windows.

The distance between adjacent cells is the product of the strides before them (Araujo, Norris and
Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019). A trained
network sees the centre of its input with the centre of its map. Dividing the input evenly among
the cells would be right only if every convolution padded its input.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import tensorflow as tf

from gradcam_cli.networks.operations import SIZE_OPERATIONS, operation_names
from gradcam_cli.networks.place_rules.step import Step, Used, ids_of
from gradcam_cli.networks.place_rules.table import follow, input_places
from gradcam_cli.networks.places import (
    PATCHES,
    Batch,
    Cells,
    Other,
    Places,
    Repeated,
    Tokens,
    cells_of,
    fused,
    plain_places,
    product,
)
from gradcam_cli.networks.sized_copy import SizedCopy, known_shape

# (vertical, horizontal), in input pixels; as many numbers as the input has spatial axes.
Pitch: TypeAlias = tuple[float, ...]

# Why a tensor on another branch of a network has no grid.
INDEPENDENT = "does not depend on the explained picture"
_SUMS = operation_names("Add", "AddN", "AddV2")
# An unusual size, so that the batch can't be confused with anything else.
_BATCH = 7919
# Convolutions without padding leave a map that covers less than its input. Cropping leaves much
# less, and padding makes it cover more. A factor beyond these limits is an error of ours.
_LEAST_COVERED, _MOST_COVERED = 0.05, 2.5


@dataclass(frozen=True)
class Grid:
    """A layer's output as feature maps.

    Attributes:
        places: The meaning of its axes.
        channels: The index of the channel axis.
        size: Rows and columns; as many numbers as the input has spatial axes.
        pitch: The distance between adjacent cells.
        before: The number of extra tokens before the patches.
        after: The number of extra tokens after them.
        are_tokens: Whether rows and columns share an axis.
        is_even: Whether the pitch is the input divided evenly, because the pitch that follows
            from the operations is impossible.
    """

    places: Places
    channels: int
    size: tuple[int, ...]
    pitch: Pitch
    before: int
    after: int
    are_tokens: bool
    is_even: bool

    @property
    def number_of_channels(self) -> int:
        """K, the number of feature maps."""
        return product(self.places.axes[self.channels])

    @property
    def cells_in_words(self) -> str:
        """The number of cells: "14×14 tokens + 1"."""
        cells = "×".join(map(str, self.size))
        kind = "tokens" if self.are_tokens else "cells"
        others = self.before + self.after
        return f"{cells} {kind} + {others}" if others else f"{cells} {kind}"

    def describe(self) -> str:
        """Describes the cells: "14×14 tokens + 1, 16 px apart"."""
        pitch = "×".join(f"{step:.4g}" for step in dict.fromkeys(self.pitch))
        even = " (a guess: the input divided evenly)" if self.is_even else ""
        return f"{self.cells_in_words}, {pitch} px apart{even}"


@dataclass(frozen=True)
class NoGrid:
    """Why a layer's output isn't made of feature maps.

    Attributes:
        reason: In words that follow the output's name.
        lost: The operation in which the positions were lost; None if that isn't the reason.
    """

    reason: str
    lost: str | None = None


class GridTrace:
    """The positions of all tensors on the way from an input to a network's scores."""

    def __init__(
        self,
        inputs: tf.Tensor,
        logits: tf.Tensor,
        layer_outputs: Collection[tf.Tensor],
        size: Sequence[int],
    ) -> None:
        """Follows the picture's rows and columns through the graph.

        Args:
            inputs: The network's input, (N, ..., channels), in a graph.
            logits: The scores.
            layer_outputs: Other tensors of interest.
            size: The size of an input, without batch and channels, if the graph accepts any.
        """
        batch, *known, channels = inputs.shape.as_list()
        spatial = [length or usual for length, usual in zip(known, size, strict=True)]
        self._inputs = inputs
        shape = [batch or _BATCH, *spatial, channels or 1]
        self._copy = SizedCopy(inputs, shape, [logits, *layer_outputs])
        self._steps: list[Step] = []
        self._places: dict[str, Places] = {}
        self._follow()
        self._used = self._find_used(logits)
        self._grids: dict[str, Grid | NoGrid] = {}

    def find(self, tensor: tf.Tensor) -> Grid | NoGrid:
        """Returns a tensor as feature maps, or why it has none."""
        if tensor.name not in self._grids:
            self._grids[tensor.name] = self._find(tensor)
        return self._grids[tensor.name]

    def find_without_channels(self, tensor: tf.Tensor) -> Grid | NoGrid:
        """Returns a tensor (N, ...) as a feature map without an axis of channels."""
        copy = self.copy(tensor)
        if copy is None:
            return self.find(tensor)
        places = self._places[copy.name]
        return self.grid_of(replace(places, axes=(*places.axes, ())))

    def uses_patches(self, tensor: tf.Tensor) -> bool:
        """Returns whether the scores depend on a tensor's patches, not only on extra tokens."""
        copy = self.copy(tensor)
        used = None if copy is None else self.used(copy)
        if used is None or copy is None:
            return False
        tokens = self._places[copy.name].tokens()
        return all(PATCHES in used.get(token.key, ids_of(token)) for token in tokens)

    def is_sum(self, tensor: tf.Tensor) -> bool:
        """Returns whether a tensor is a sum of feature maps, as at the end of a residual block."""
        copy = self.copy(tensor)
        if copy is None or copy.op.type not in _SUMS:
            return False
        operands = [self._places.get(operand.name) for operand in copy.op.inputs]
        return all(operand is not None and operand.has_cells for operand in operands)

    @property
    def steps(self) -> Sequence[Step]:
        """The operations, in the order of computation, in a copy with known sizes."""
        return self._steps

    @property
    def input(self) -> tf.Tensor:
        """The network's input in the copy of the graph."""
        return self._copy.input

    def used(self, copy: tf.Tensor) -> Used | None:
        """Returns the tokens of a copied tensor that the scores depend on; None if on nothing."""
        return self._used.get(copy.name)

    def places_of(self, copy: tf.Tensor) -> Places | None:
        """Returns the places of a copied tensor; None if it doesn't depend on the input."""
        return self._places.get(copy.name)

    def copy(self, tensor: tf.Tensor) -> tf.Tensor | None:
        """Returns the copy of a tensor; None if it doesn't depend on the input."""
        return self._copy.tensors.get(tensor.name)

    def original(self, copy: tf.Tensor) -> tf.Tensor | None:
        """Returns the original of a copied tensor; None for those inside called functions."""
        name = self._copy.originals.get(copy.name)
        return None if name is None else self._inputs.graph.get_tensor_by_name(name)

    def _follow(self) -> None:
        numbers = itertools.count(PATCHES + 1)
        first = self._copy.input
        self._note(first, input_places(known_shape(first)))
        for op in self._copy.operations:
            places = [self._places.get(tensor.name) or _unknown(tensor) for tensor in op.inputs]
            step = Step(op, places, numbers)
            self._steps.append(step)
            for tensor, found in zip(op.outputs, follow(step), strict=True):
                self._note(tensor, found)

    def _note(self, tensor: tf.Tensor, places: Places) -> None:
        """Stores a tensor's places, and whether it can give their number at run time."""
        name = self._copy.originals.get(tensor.name)
        if name is not None:
            for axis, frame in enumerate(places.frames):
                found = [
                    (index, cells)
                    for index, factors in enumerate(places.axes)
                    for cells in cells_of(factors)
                    if cells.axis == axis
                ]
                if len(found) != 1:
                    continue
                index, cells = found[0]
                if places.axes[index] == (cells,) and places.spans(cells):
                    measured = replace(frame, measured=(name, index))
                    places = places.with_frame(axis, measured)
        self._places[tensor.name] = places

    def _find_used(self, logits: tf.Tensor) -> dict[str, Used]:
        """Finds the tokens of each tensor that the scores depend on."""
        copy = self.copy(logits)
        if copy is None:
            return {}
        used: dict[str, Used] = {copy.name: {}}
        for step in reversed(self._steps):
            of_outputs = [used[tensor.name] for tensor in step.op.outputs if tensor.name in used]
            if not of_outputs or step.type in SIZE_OPERATIONS:
                continue
            of_all = _united(of_outputs)
            for index, tensor in enumerate(step.op.inputs):
                found = step.read(index, of_all)
                if found is not None:
                    before = [used[tensor.name]] if tensor.name in used else []
                    used[tensor.name] = _united([*before, found])
        return used

    def _find(self, tensor: tf.Tensor) -> Grid | NoGrid:
        copy = self.copy(tensor)
        if copy is None:
            return NoGrid(INDEPENDENT)
        return self.grid_of(self._places[copy.name])

    def grid_of(self, places: Places) -> Grid | NoGrid:
        """Returns a tensor with these places as feature maps, or why it has none."""
        if places.lost is not None:
            reason = f"can't be traced back to positions in the picture, because of {places.lost}"
            return NoGrid(reason, places.lost)
        if not places.has_cells:
            return NoGrid("has no rows and columns of the picture")
        refusal = _refusal(places)
        if refusal is not None:
            return NoGrid(refusal)
        channels = _channel_axis(places)
        pitch, size = [], []
        for axis in range(len(places.frames)):
            found = _whole(places, channels, axis)
            if found is None:
                return NoGrid("has only a part of the picture's rows and columns")
            frame = places.frames[axis]
            size.append(product(found) - frame.before - frame.after)
            pitch.append(found[-1].pitch)
        if math.prod(size) == 1:
            return NoGrid("has a single cell")
        if None in self._inputs.shape.as_list()[1:-1]:
            if not _is_same_at_any_size(places, channels):
                return NoGrid("can be explained only at a fixed size of the input")
        else:
            frames = tuple(replace(frame, measured=None) for frame in places.frames)
            places = replace(places, frames=frames)
        tokens = next(places.tokens(), None)
        pitches, is_even = self._plausible(size, pitch)
        return Grid(
            places,
            channels,
            tuple(size),
            pitches,
            0 if tokens is None else len(tokens.before),
            0 if tokens is None else len(tokens.after),
            any(len(list(cells_of(factors))) > 1 for factors in places.axes),
            is_even,
        )

    def _plausible(self, size: Sequence[int], pitch: Sequence[float]) -> tuple[Pitch, bool]:
        """Returns the pitch, or if it is impossible that of cells that divide the input evenly."""
        lengths = known_shape(self._copy.input)[1:-1]
        covered = [
            cells * step / length for cells, step, length in zip(size, pitch, lengths, strict=True)
        ]
        if all(_LEAST_COVERED <= share <= _MOST_COVERED for share in covered):
            return tuple(pitch), False
        return tuple(length / cells for cells, length in zip(size, lengths, strict=True)), True


def _unknown(tensor: tf.Tensor) -> Places:
    is_known = tensor.shape.is_fully_defined()
    return plain_places(known_shape(tensor)) if is_known else Places(())


def _united(of_several: Sequence[Used]) -> Used:
    if len(of_several) == 1:
        return of_several[0]
    keys = {key for used in of_several for key in used}
    return {
        key: frozenset().union(*(used[key] for used in of_several if key in used)) for key in keys
    }


def _refusal(places: Places) -> str | None:
    """Returns why a tensor with cells of the picture has no feature maps; None if it has."""
    kinds = [factor for axis in places.axes for factor in axis]
    axes = [cells.axis for cells in places.cells()]
    seen = [(cells.axis, cells.pitch) for cells in places.cells()]
    if len(set(seen)) < len(seen) or sum(isinstance(kind, Tokens) for kind in kinds) > 1:
        return "relates positions to positions, as attention scores do"
    if set(axes) != set(range(len(places.frames))):
        return "has only rows or only columns of the picture"
    if not any(isinstance(kind, Batch) for kind in kinds):
        return "mixes the pictures of a batch"
    if any(isinstance(kind, Repeated) for kind in kinds):
        return "repeats the picture's positions"
    having = _axes_with_channels(places)
    if len(having) > 1:
        return "splits its channels among several axes, as attention heads do"
    if not having and () not in places.axes:
        return "has no channels"
    return None


def _axes_with_channels(places: Places) -> list[int]:
    return [
        index
        for index, axis in enumerate(places.axes)
        if any(isinstance(factor, Other) for factor in axis)
    ]


def _channel_axis(places: Places) -> int:
    empty = [index for index, axis in enumerate(places.axes) if not axis]
    return (_axes_with_channels(places) or empty[-1:])[0]


def _whole(places: Places, channels: int, axis: int) -> list[Cells] | None:
    """Finds the parts of the rows or columns, outermost first; None if one is missing.

    Finer parts may have become channels, as in patches.
    """
    parts = [
        cells
        for index, factors in enumerate(places.axes)
        if index != channels
        for cells in cells_of(factors)
        if cells.axis == axis
    ]
    parts.sort(key=lambda cells: -cells.pitch)
    if not parts or not places.spans(parts[0]):
        return None
    joined = list(fused(parts))
    return parts if len(joined) == 1 else None


def _is_same_at_any_size(places: Places, channels: int) -> bool:
    return all(
        frame.measured is not None
        and not (frame.before or frame.after or frame.roll)
        and len(_whole(places, channels, axis) or ()) == 1
        for axis, frame in enumerate(places.frames)
    )
