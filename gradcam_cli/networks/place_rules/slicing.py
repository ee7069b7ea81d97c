"""Operations that take a part of a tensor."""

from __future__ import annotations

from dataclasses import replace

from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.place_rules.step import Reader, Step, Used, ids_of
from gradcam_cli.networks.places import (
    PATCHES,
    Axis,
    Cells,
    Factor,
    Frame,
    Places,
    Tokens,
    is_plain,
    plain,
    product,
)
from gradcam_cli.networks.sized_copy import known_shape


def _split(step: Step) -> list[Places | None]:
    tensor, axis = (1, 0) if step.type == "Split" else (0, 2)
    places, value = step.places[tensor], step.value(axis)
    if value is None:
        return [None] * len(step.op.outputs)
    index = int(value) % len(places.axes)
    found: list[Places | None] = []
    start = 0
    for output in range(len(step.op.outputs)):
        length = step.shape(output)[index]
        found.append(sliced(step, tensor, places, index, (start, length, 1)))
        start += length
    # Which output is used isn't distinguished, so all tokens of the input count as used.
    step.readers.pop(tensor, None)
    return found


def _unstack(step: Step) -> list[Places | None]:
    places = step.places[0]
    index = int(step.attribute("axis")) % len(places.axes)
    axes = places.axes[:index] + places.axes[index + 1 :]
    left = replace(places, axes=axes)
    return [left] * len(step.op.outputs)


def _slice(step: Step) -> Places | None:
    places, begins, lengths = step.places[0], step.value(1), step.shape()
    for index, length in enumerate(lengths):
        start = None if begins is None else int(begins[index])
        places = sliced(step, 0, places, index, (start, length, 1))
    return places


def _strided_slice(step: Step) -> Places | None:
    places = step.places[0]
    begins, steps = step.value(1), step.value(3)
    (count,) = known_shape(step.op.inputs[1])
    masks = {
        name: _bits(step.attribute(f"{name}_mask"), count)
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    taken = count - sum(masks["new_axis"]) - sum(masks["ellipsis"])
    axes: list[Axis] = []
    source = 0
    for spec in range(count):
        if masks["ellipsis"][spec]:
            rest = len(places.axes) - taken
            axes += places.axes[source : source + rest]
            source += rest
            continue
        if masks["new_axis"][spec]:
            axes.append(())
            continue
        whole = product(places.axes[source])
        begin = None if begins is None else int(begins[spec])
        stride = 1 if steps is None else int(steps[spec])
        if masks["shrink_axis"][spec]:
            start = None if begin is None else begin % whole
            sliced(step, 0, places, source, (start, 1, 1))
            source += 1
            continue
        start = 0 if masks["begin"][spec] else begin
        if start is not None:
            start = min(start + whole if start < 0 else start, whole)
        length = step.shape()[len(axes)]
        places = sliced(step, 0, places, source, (start, length, stride))
        axes.append(places.axes[source])
        source += 1
    axes += places.axes[source:]
    return replace(places, axes=tuple(axes))


def _bits(mask: int, count: int) -> list[bool]:
    return [bool(mask >> bit & 1) for bit in range(count)]


def sliced(
    step: Step, tensor: int, places: Places, index: int, part: tuple[int | None, int, int]
) -> Places:
    """Describes what remains of an axis after slicing.

    Args:
        step: The slicing operation.
        tensor: The index of its sliced input.
        places: The places before.
        index: The index of the axis.
        part: The start (None if it isn't known), the number of elements, and the distance
            between them.
    """
    start, length, stride = part
    factors = places.axes[index]
    size = product(factors)
    if length == size and stride == 1:
        return places
    only = factors[0] if len(factors) == 1 else None
    if is_plain(factors) or start is None or stride < 1:
        return places.with_axis(index, plain(length))
    if isinstance(only, Tokens) and stride == 1:
        left = _part_of_tokens(only, start, start + length)
        if left is not None:
            axis, ids = left
            step.readers[tensor] = _reader_of_slice(step.places[tensor], only.key, ids)
            return places.with_axis(index, axis)
    if not isinstance(only, Cells) or not places.spans(only) or places.frames[only.axis].roll:
        return places.with_axis(index, plain(length))
    frame = places.frames[only.axis]
    before, after = frame.before - start, frame.after - (size - start - length)
    pitch = only.pitch * stride
    kept = Frame(length * pitch, max(before, 0), max(after, 0))
    if stride > 1:
        kept = Frame(length * pitch)
    return places.with_axis(index, (Cells(only.axis, length, pitch),)).with_frame(only.axis, kept)


def _part_of_tokens(
    tokens: Tokens, start: int, end: int
) -> tuple[tuple[Factor, ...], frozenset[int]] | None:
    """Finds the remaining tokens and their numbers; None if the patches are divided."""
    patches = product(tokens.cells)
    first, last = len(tokens.before), len(tokens.before) + patches
    before = tokens.before[start : min(end, first)] if start < first else ()
    after = tokens.after[max(start - last, 0) : end - last] if end > last else ()
    if end <= first or start >= last:
        ids = before or after
        return plain(len(ids)), frozenset(ids)
    if start > first or end < last:
        return None
    ids = (*before, PATCHES, *after)
    if not before and not after:
        return tokens.cells, frozenset(ids)
    return (replace(tokens, before=before, after=after),), frozenset(ids)


def _reader_of_slice(places: Places, key: int, ids: frozenset[int]) -> Reader:
    def read(used: Used) -> Used:
        found = {tokens.key: used.get(tokens.key, ids_of(tokens)) for tokens in places.tokens()}
        found[key] = used.get(key, ids) & ids
        return found

    return read


def _gather(step: Step) -> Places | None:
    places, indices, value = step.places[0], step.value(1), step.value(2)
    if value is None or (step.attribute("batch_dims") or 0) or step.places[1].has_cells:
        return None
    index = int(value) % len(places.axes)
    chosen = places.axes[index]
    shape = known_shape(step.op.inputs[1])
    if is_plain(chosen):
        axes = (*places.axes[:index], *map(plain, shape), *places.axes[index + 1 :])
        return replace(places, axes=axes)
    if indices is None or indices.size == 0:
        return None
    flat = [int(number) % product(chosen) for number in indices.reshape(-1)]
    if flat != list(range(flat[0], flat[0] + len(flat))) or len(shape) > 1:
        return None
    places = sliced(step, 0, places, index, (flat[0], len(flat), 1))
    if shape:
        return places
    return replace(places, axes=places.axes[:index] + places.axes[index + 1 :])


RULES = {
    **dict.fromkeys(operation_names("GatherV2"), _gather),
    **dict.fromkeys(operation_names("Slice"), _slice),
    **dict.fromkeys(operation_names("Split", "SplitV"), _split),
    **dict.fromkeys(operation_names("StridedSlice"), _strided_slice),
    **dict.fromkeys(operation_names("Unpack"), _unstack),
}
