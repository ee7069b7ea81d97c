"""Converts a layer's output to feature maps, whatever its layout, and puts changed maps back."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

import tensorflow as tf

from gradcam_cli.networks.grids import Grid
from gradcam_cli.networks.places import Batch, Cells, Factor, Tokens, product

# A size that isn't known before the graph runs is a tensor.
_Size = int | tf.Tensor


class Arrangement:
    """The conversion between one layer's output and feature maps."""

    def __init__(self, grid: Grid, graph: tf.Graph) -> None:
        """Plans the conversion.

        Args:
            grid: The layout of the output.
            graph: The graph of the output.
        """
        self._grid = grid
        self._graph = graph
        places = grid.places
        flat = [
            (factor, index == grid.channels)
            for index, axis in enumerate(places.axes)
            for part in axis
            for factor in _patches_of(part)
        ]
        self._order = sorted(range(len(flat)), key=lambda index: _rank(*flat[index]))
        self._sizes = self._sizes_of([factor for factor, _ in flat])
        self._patch_shape = self._shape_of_patches()
        rolled = any(frame.roll for frame in places.frames)
        self.is_trivial = (
            self._order == list(range(len(flat)))
            and not (rolled or self.has_others)
            and [len(axis) for axis in places.axes[:-1]] == [1] * (len(places.frames) + 1)
        )

    @property
    def has_others(self) -> bool:
        """Whether the output contains more than feature maps: extra tokens or padding."""
        frames = self._grid.places.frames
        padded = any(frame.before or frame.after for frame in frames)
        return bool(padded or self._grid.before or self._grid.after)

    def repeated(self, output: tf.Tensor, count: int) -> tf.Tensor:
        """Repeats the layer's output for one input.

        Args:
            output: The layer's output for one input.
            count: The number of repetitions.

        Returns:
            The layer's output for as many equal inputs.
        """
        axes = self._grid.places.axes
        batch = next(
            index for index, axis in enumerate(axes) if any(isinstance(f, Batch) for f in axis)
        )
        # A batch of windows holds the windows input by input, or the inputs window by window.
        if isinstance(axes[batch][0], Batch):
            multiples = [count if axis == batch else 1 for axis in range(len(axes))]
            found: tf.Tensor = tf.tile(output, multiples)
        else:
            found = tf.repeat(output, count, axis=batch)
        return found

    def to_maps(self, output: tf.Tensor) -> tf.Tensor:
        """Converts a layer's output, or a tensor of its shape, to feature maps.

        Args:
            output: The tensor, in the layer's own layout.

        Returns:
            (N, rows, columns, K), with as many spatial axes as the input has. Extra tokens and
            padding are left out.
        """
        if self.is_trivial:
            return output
        frames = self._grid.places.frames
        begin = [frame.before for frame in frames]
        size = [
            self._length(axis) - frame.before - frame.after for axis, frame in enumerate(frames)
        ]
        maps = tf.slice(self._with_padding(output), [0, *begin, 0], [-1, *size, -1])
        maps.set_shape([None, *(n if isinstance(n, int) else None for n in size), maps.shape[-1]])
        return maps

    def to_output(self, maps: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """Replaces the feature maps in a layer's output.

        Args:
            maps: (N, rows, columns, K).
            output: The layer's output, which provides extra tokens and padding. It isn't used
                if there are none.

        Returns:
            A tensor in the layer's own layout.
        """
        if self.is_trivial:
            return maps
        frames = self._grid.places.frames
        if any(frame.before or frame.after for frame in frames):
            margins = [(0, 0), *((frame.before, frame.after) for frame in frames), (0, 0)]
            is_inside = tf.pad(tf.ones_like(maps, tf.bool), margins)
            maps = tf.where(is_inside, tf.pad(maps, margins), self._with_padding(output))
        parts = tf.reshape(self._rolled(maps, 1), [self._sizes[index] for index in self._order])
        back = sorted(range(len(self._order)), key=self._order.__getitem__)
        patches = tf.reshape(tf.transpose(parts, back), self._patch_shape)
        if not (self._grid.before or self._grid.after):
            return patches
        axis = self._token_axis()
        sizes = tf.stack([self._grid.before, tf.shape(patches)[axis], self._grid.after])
        before, _, after = tf.split(output, sizes, axis, num=3)
        return tf.concat([before, patches, after], axis)

    def _with_padding(self, output: tf.Tensor) -> tf.Tensor:
        """Returns (N, rows, columns, K) with the padding of rows and columns."""
        if self._grid.before or self._grid.after:
            axis = self._token_axis()
            length = tf.shape(output)[axis] - self._grid.before - self._grid.after
            sizes = tf.stack([self._grid.before, length, self._grid.after])
            _, output, _ = tf.split(output, sizes, axis, num=3)
        parts = tf.transpose(tf.reshape(output, self._sizes), self._order)
        lengths = [self._length(axis) for axis in range(len(self._grid.places.frames))]
        channels = product(self._grid.places.axes[self._grid.channels])
        return self._rolled(tf.reshape(parts, [-1, *lengths, channels]), -1)

    def _rolled(self, maps: tf.Tensor, direction: int) -> tf.Tensor:
        """Rolls maps as the network did (1) or back (-1)."""
        for axis, frame in enumerate(self._grid.places.frames):
            if frame.roll:
                maps = tf.roll(maps, direction * frame.roll, axis + 1)
        return maps

    def _shape_of_patches(self) -> list[_Size]:
        """Returns the shape of the output without extra tokens; -1 for the batch axis."""
        shape: list[_Size] = []
        sizes = iter(self._sizes)
        for axis in self._grid.places.axes:
            lengths = [next(sizes) for factor in axis for _ in _patches_of(factor)]
            has_batch = any(isinstance(factor, Batch) for factor in axis)
            shape.append(-1 if has_batch else functools.reduce(operator.mul, lengths, 1))
        return shape

    def _token_axis(self) -> int:
        return next(
            index
            for index, axis in enumerate(self._grid.places.axes)
            if any(isinstance(factor, Tokens) for factor in axis)
        )

    def _length(self, axis: int) -> _Size:
        """Returns the number of cells along an axis, with padding."""
        frame = self._grid.places.frames[axis]
        if frame.measured is not None:
            name, index = frame.measured
            return tf.shape(self._graph.get_tensor_by_name(name))[index]
        return self._grid.size[axis] + frame.before + frame.after

    def _sizes_of(self, factors: Sequence[Factor]) -> list[_Size]:
        sizes: list[_Size] = []
        for factor in factors:
            if isinstance(factor, Batch):
                sizes.append(-1)
            elif isinstance(factor, Cells) and self._grid.places.frames[factor.axis].measured:
                # Cells are never divided if the size isn't fixed.
                sizes.append(self._length(factor.axis))
            else:
                sizes.append(factor.size)
        return sizes


def _patches_of(factor: Factor) -> tuple[Factor, ...]:
    return factor.cells if isinstance(factor, Tokens) else (factor,)


def _rank(factor: Factor, in_channels: bool) -> tuple[float, ...]:
    """Sorts factors: the batch, then rows and columns (outermost first), then channels."""
    if isinstance(factor, Batch):
        return (0,)
    if isinstance(factor, Cells) and not in_channels:
        return 1, factor.axis, -factor.pitch
    return (2,)
