"""The table of rules: the effect of each operation on the positions of its inputs.

An operation without a rule loses all positions, so that nothing unknown is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.place_rules import contraction, joining, resampling, slicing
from gradcam_cli.networks.place_rules.step import Step
from gradcam_cli.networks.places import (
    Axis,
    Batch,
    Cells,
    Frame,
    Places,
    common_loss,
    plain,
    regrouped,
)

_REDUCTIONS = operation_names(
    "All", "Any", "EuclideanNorm", "Max", "Mean", "Min", "Prod", "Sum", "ArgMax", "ArgMin"
)
_RESHAPES = operation_names("ExpandDims", "Reshape", "Squeeze")


def _reduce(step: Step) -> Places | None:
    (places, *_), value = step.places, step.value(1)
    if value is None:
        return None
    rank = len(places.axes)
    reduced = {int(axis) % rank for axis in value.reshape(-1)}
    keeps = step.type not in ("ArgMax", "ArgMin") and step.attribute("keep_dims")
    axes = [
        () if index in reduced else axis
        for index, axis in enumerate(places.axes)
        if keeps or index not in reduced
    ]
    return replace(places, axes=tuple(axes))


def _reshape(step: Step) -> Places | None:
    axes = regrouped(step.places[0].axes, step.shape())
    return None if axes is None else replace(step.places[0], axes=axes)


def _transpose(step: Step) -> Places | None:
    order = step.value(1)
    if order is None:
        return None
    return replace(step.places[0], axes=tuple(step.places[0].axes[axis] for axis in order))


_Rule: TypeAlias = Callable[[Step], "Places | list[Places | None] | None"]
_RULES: dict[str, _Rule] = {
    **joining.RULES,
    **slicing.RULES,
    **resampling.RULES,
    **contraction.RULES,
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(_RESHAPES, _reshape),
    **dict.fromkeys(operation_names("Transpose"), _transpose),
}


def follow(step: Step) -> list[Places]:
    """Describes the outputs of an operation.

    Args:
        step: The operation, whose readers are filled in.

    Returns:
        The places of each output.
    """
    rule = _RULES.get(step.type)
    count = len(step.op.outputs)
    if not any(places.has_cells for places in step.places):
        loss = common_loss(step.places, ())
        return [replace(step.lost(output), lost=loss) for output in range(count)]
    if rule is None or not _fit(step):
        return [step.lost(output) for output in range(count)]
    found = rule(step)
    known = found if isinstance(found, list) else [found]
    rest = [replace(step.lost(output), lost=None) for output in range(len(known), count)]
    return [
        step.lost(output) if places is None else places for output, places in enumerate(known)
    ] + rest


def _fit(step: Step) -> bool:
    """Returns whether all shapes that a rule needs are known."""
    return (
        all(
            tensor.shape.is_fully_defined() and len(places.axes) == tensor.shape.rank
            for tensor, places in zip(step.op.inputs, step.places, strict=True)
        )
        and step.op.outputs[0].shape.is_fully_defined()
    )


def input_places(shape: Sequence[int]) -> Places:
    """Describes a network's input.

    Args:
        shape: (N, ..., channels); the axes in between are those of the picture.
    """
    spatial = [Cells(axis, size, 1.0) for axis, size in enumerate(shape[1:-1])]
    axes: list[Axis] = [(Batch(shape[0]),), *((cells,) for cells in spatial), plain(shape[-1])]
    return Places(tuple(axes), tuple(Frame(float(cells.size)) for cells in spatial))
