"""Finds the attention probabilities of a transformer in its graph.

Keras computes attention with an ordinary softmax, even when it calls the attention fused,
because it has no fused kernel for TensorFlow. So no layer needs to be known. Attention is a
contraction over positions of the picture in which one operand comes from a softmax.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import tensorflow as tf

from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.grids import Grid, GridTrace, NoGrid
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.place_rules.contraction import contraction
from gradcam_cli.networks.place_rules.step import Step, ids_of
from gradcam_cli.networks.places import (
    PATCHES,
    Batch,
    Places,
    Tokens,
    cells_of,
    continues,
)
from gradcam_cli.networks.single_tensors import single_tensors

_NORMALIZING = operation_names("Exp", "Softmax")
# The operations allowed between a softmax over positions and the product with the values.
_REARRANGING = operation_names(
    "Cast", "ExpandDims", "Identity", "Mul", "RealDiv", "Reshape", "Squeeze", "Transpose"
)
_IN_PARTS = "attends within parts of the picture, such as windows or rows, not over all of it"


@dataclass(frozen=True)
class AttentionBlock:
    """The attention of one block.

    Attributes:
        probabilities: The weights of the values, in the graph's own layout.
        tokens: The tokens that leave the block for the next one, or from the last block for
            the classifier; None if they aren't a single tensor.
        order: The axes of the probabilities: those of inputs and heads, queries, keys.
        queries: The axes of the queries.
        keys: The axes of the keys.
        heads: The number of heads.
        heads_outside: Whether heads come before the inputs of a batch.
    """

    probabilities: tf.Tensor
    tokens: tf.Tensor | None
    order: Sequence[int]
    queries: Sequence[int]
    keys: Sequence[int]
    heads: int
    heads_outside: bool

    def matrices(self, values: tf.Tensor) -> tf.Tensor:
        """Arranges the probabilities, or their gradients.

        Args:
            values: A tensor in the graph's own layout.

        Returns:
            (N, heads, queries, keys) float32; extra tokens stay at the network's positions.
        """
        shape = tf.shape(values)
        rows = tf.reduce_prod(tf.gather(shape, list(self.queries)))
        columns = tf.reduce_prod(tf.gather(shape, list(self.keys)))
        ordered = tf.transpose(tf.cast(values, tf.float32), self.order)
        if self.heads_outside:
            split = tf.reshape(ordered, tf.stack([self.heads, -1, rows, columns]))
            return tf.transpose(split, [1, 0, 2, 3])
        return tf.reshape(ordered, tf.stack([-1, self.heads, rows, columns]))


@dataclass(frozen=True)
class SelfAttention:
    """All attention of a network whose blocks relate the same tokens to one another.

    Attributes:
        blocks: In the order of computation; at least one.
        grid: The tokens as feature maps with a single channel.
        before: A number for each extra token before the patches.
        after: A number for each extra token after them.
        read: The numbers of the last block's output tokens on which the scores depend, with
            `PATCHES` for all patches.
    """

    blocks: Sequence[AttentionBlock]
    grid: Grid
    before: Sequence[int]
    after: Sequence[int]
    read: frozenset[int]

    def read_rows(self, matrices: tf.Tensor) -> tf.Tensor:
        """Selects the rows of the tokens that the scores are computed from.

        Args:
            matrices: (N, queries, keys).

        Returns:
            (N, keys): the row of a class token, or the mean of the rows of all patches if these
            are pooled or flattened. If the scores depend on several of these, the mean of
            their results.
        """
        last = tf.shape(matrices)[1] - len(self.after)
        rows = [matrices[:, place] for place, key in enumerate(self.before) if key in self.read]
        if PATCHES in self.read:
            rows.append(tf.reduce_mean(matrices[:, len(self.before) : last], axis=1))
        rows += [
            matrices[:, last + place] for place, key in enumerate(self.after) if key in self.read
        ]
        return tf.add_n(rows) / len(rows)

    def to_maps(self, values: tf.Tensor) -> tf.Tensor:
        """Arranges values as the picture, without those of extra tokens.

        Args:
            values: (N, tokens) float32.

        Returns:
            (N, rows, columns) float32.
        """
        block = self.blocks[0]
        shape = tf.shape(block.probabilities)
        lengths = [shape[axis] for axis in block.queries]
        laid = tf.reshape(values, tf.stack([-1, *lengths, 1]))
        maps = Arrangement(self.grid, block.probabilities.graph).to_maps(laid)
        return tf.squeeze(maps, -1)


@dataclass(frozen=True)
class NoAttention:
    """Why there is no self-attention over all tokens, in words that follow "the network"."""

    reason: str


def find_attention(trace: GridTrace) -> SelfAttention | NoAttention:
    """Finds the self-attention over all tokens between a picture and the scores.

    Args:
        trace: The places of all tensors in between.
    """
    found: list[_Product] = []
    for step in trace.steps:
        if trace.used(step.op.outputs[0]) is None:
            continue
        seen = _look_at(trace, step)
        if isinstance(seen, NoAttention):
            return seen
        if seen is not None:
            found.append(seen)
    if not found:
        return NoAttention("has no attention that relates the picture's positions to one another")
    first, last = found[0], found[-1]
    if not all(_is_alike(seen.grid, first.grid) for seen in found):
        return NoAttention("merges or removes tokens between its blocks")
    handed_on = _handed_on(trace, found)
    blocks = [
        replace(seen.block, tokens=tokens) for seen, tokens in zip(found, handed_on, strict=True)
    ]
    queries = last.tokens
    if queries is None:
        return SelfAttention(blocks, first.grid, (), (), frozenset([PATCHES]))
    used = trace.used(last.copy) or {}
    read = used.get(queries.key, ids_of(queries))
    return SelfAttention(blocks, first.grid, queries.before, queries.after, read)


@dataclass(frozen=True)
class _Product:
    """A product of attention probabilities and values.

    Attributes:
        copy: The probabilities in the copy of the graph.
        block: The attention, whose output tokens aren't known yet.
        grid: The queries as feature maps with a single channel.
        tokens: The queries, if there are extra ones beside the patches.
    """

    copy: tf.Tensor
    block: AttentionBlock
    grid: Grid
    tokens: Tokens | None


_Seen: TypeAlias = _Product | NoAttention | None


def _look_at(trace: GridTrace, step: Step) -> _Seen:
    """Returns how an operation weights values by attention; None if it doesn't."""
    named = contraction(step)
    if named is None or not all(places.has_cells for places in step.places):
        return None
    labels, output = named
    for index, (names, places) in enumerate(zip(labels, step.places, strict=True)):
        keys = [
            axis
            for axis, name in enumerate(names)
            if name not in output and any(True for _ in cells_of(places.axes[axis]))
        ]
        if not keys:
            continue
        copy = step.op.inputs[index]
        if not _relates(places):
            if _weighs_places(copy):
                return NoAttention(
                    "gathers its tokens with queries that aren't tokens themselves (learned ones, "
                    "or only a class token)"
                )
        elif _is_normalized(trace, copy):
            return _product(trace, copy, places, keys)
    return None


def _product(
    trace: GridTrace, copy: tf.Tensor, places: Places, keys: Sequence[int]
) -> _Product | NoAttention:
    having = [axis for axis, factors in enumerate(places.axes) if any(cells_of(factors))]
    queries = [axis for axis in having if axis not in keys]
    rest = [axis for axis in range(len(places.axes)) if axis not in having]
    batch = [axis for axis in rest if any(isinstance(f, Batch) for f in places.axes[axis])]
    # Windows are part of the batch.
    in_windows = [axis for axis in queries if any(isinstance(f, Batch) for f in places.axes[axis])]
    if in_windows or len(batch) != 1:
        return NoAttention(_IN_PARTS)
    of_queries, of_keys = (_grid_along(trace, places, axes) for axes in (queries, keys))
    if isinstance(of_queries, NoGrid) or isinstance(of_keys, NoGrid):
        return NoAttention(_IN_PARTS)
    if not _is_alike(of_queries, of_keys):
        return NoAttention("attends to fewer keys than it has tokens")
    original = trace.original(copy)
    if original is None:
        return NoAttention("computes its attention in called functions, which can't be accessed")
    outside = not isinstance(places.axes[batch[0]][0], Batch)
    others = [axis for axis in rest if axis not in batch]
    order = [*others, *batch] if outside else [*batch, *others]
    heads = math.prod(
        factor.size
        for axis in rest
        for factor in places.axes[axis]
        if not isinstance(factor, Batch)
    )
    tokens = [f for axis in queries for f in places.axes[axis] if isinstance(f, Tokens)]
    block = AttentionBlock(original, None, [*order, *queries, *keys], queries, keys, heads, outside)
    return _Product(copy, block, of_queries, tokens[0] if tokens else None)


def _grid_along(trace: GridTrace, places: Places, axes: Sequence[int]) -> Grid | NoGrid:
    """Returns the grid of the tokens along some axes."""
    kept = tuple(places.axes[axis] for axis in axes)
    return trace.grid_of(Places(((Batch(1),), *kept, ()), places.frames))


def _is_alike(one: Grid, other: Grid) -> bool:
    return (one.size, one.before, one.after) == (other.size, other.before, other.after)


def _relates(places: Places) -> bool:
    """Returns whether positions occur twice, not only as rows and columns of windows."""
    cells = sorted(places.cells(), key=lambda cells: (cells.axis, -cells.pitch))
    return any(
        outer.axis == inner.axis and not continues(outer, inner)
        for outer, inner in itertools.pairwise(cells)
    )


def _is_normalized(trace: GridTrace, tensor: tf.Tensor) -> bool:
    """Returns whether the weights between positions come from a softmax, however written."""
    pending, seen = [tensor.op], set()
    while pending:
        op = pending.pop()
        if op.type in _NORMALIZING:
            return True
        for before in op.inputs:
            places = trace.places_of(before)
            if before.name not in seen and places is not None and _relates(places):
                seen.add(before.name)
                pending.append(before.op)
    return False


def _weighs_places(tensor: tf.Tensor) -> bool:
    """Returns whether a tensor is the output of a softmax."""
    op = tensor.op
    while op.type in _REARRANGING:
        op = op.inputs[0].op
    return op.type in _NORMALIZING


def _handed_on(trace: GridTrace, products: Sequence[_Product]) -> list[tf.Tensor | None]:
    """Finds the output of each block: its last single tensor before the next attention.

    Nothing marks the start of the classifier after the last block, but the last block has as
    many single tensors as the others.
    """
    used = [step.op for step in trace.steps if trace.used(step.op.outputs[0]) is not None]
    parts: list[list[tf.Tensor]] = [[] for _ in products]
    ends = {seen.copy.name: number for number, seen in enumerate(products)}
    part = -1
    single = {tensor.name for tensor in single_tensors(trace.input, used)}
    for op in used:
        part = next((ends[tensor.name] for tensor in op.inputs if tensor.name in ends), part)
        if part >= 0 and op.outputs[0].name in single:
            places = trace.places_of(op.outputs[0])
            found = None if places is None else trace.grid_of(places)
            if isinstance(found, Grid) and _is_alike(found, products[0].grid):
                parts[part].append(op.outputs[0])
    *before, last = parts
    if before:
        last = last[: len(before[-1])]
    kinds = {tuple(tensor.op.type for tensor in part) for part in (*before, last)}
    if len(kinds) > 1 or not last:
        return [None] * len(products)
    return [trace.original(tensors[-1]) for tensors in (*before, last)]
