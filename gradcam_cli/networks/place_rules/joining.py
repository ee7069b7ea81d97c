"""Element-wise operations, and operations that join or repeat tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.place_rules.step import Reader, Step, Used, ids_of, reader_of_factor
from gradcam_cli.networks.places import (
    Axis,
    Cells,
    Places,
    Repeated,
    Tokens,
    common_frames,
    is_plain,
    joined,
    plain,
    product,
)

_BY_ELEMENT = operation_names(
    "Abs",
    "Add",
    "AddN",
    "AddV2",
    "BiasAdd",
    "Cast",
    "Ceil",
    "CheckNumerics",
    "ClipByValue",
    "Cos",
    "Div",
    "DivNoNan",
    "Elu",
    "EnsureShape",
    "Equal",
    "Erf",
    "Erfc",
    "Exp",
    "Expm1",
    "Floor",
    "FloorDiv",
    "FloorMod",
    "FusedBatchNorm",
    "FusedBatchNormV2",
    "FusedBatchNormV3",
    "Greater",
    "GreaterEqual",
    "Identity",
    "Inv",
    "IsFinite",
    "IsNan",
    "LRN",
    "LeakyRelu",
    "Less",
    "LessEqual",
    "Log",
    "Log1p",
    "LogSoftmax",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "Maximum",
    "Minimum",
    "Mul",
    "MulNoNan",
    "Neg",
    "NotEqual",
    "OnesLike",
    "Pow",
    "PreventGradient",
    "QuantizeAndDequantizeV2",
    "FakeQuantWithMinMaxArgs",
    "FakeQuantWithMinMaxVars",
    "FakeQuantWithMinMaxVarsPerChannel",
    "RealDiv",
    "Reciprocal",
    "Relu",
    "Relu6",
    "Rint",
    "Round",
    "Rsqrt",
    "Select",
    "SelectV2",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Snapshot",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Square",
    "SquaredDifference",
    "StopGradient",
    "Sub",
    "Tan",
    "Tanh",
    "Xdivy",
    "Xlogy",
    "ZerosLike",
)
_ONE_TO_ONE = operation_names("IdentityN")


def _by_element(step: Step) -> Places | None:
    # The statistics of a normalization lie along its channels, wherever these are.
    places = step.places[:1] if step.type.startswith("FusedBatchNorm") else step.places
    result = joined(places, step.shape())
    if result is None:
        return None
    for number, operand in enumerate(places):
        kept = {
            own.key: factor.key
            for before, after in zip(reversed(operand.axes), reversed(result.axes), strict=False)
            for own, factor in zip(before, after, strict=False)
            if isinstance(own, Tokens) and isinstance(factor, Tokens)
        }
        if kept:
            step.readers[number] = reader_of_factor(operand, kept)
    return result


def _one_to_one(step: Step) -> list[Places | None]:
    return list(step.places)


def _concatenate(step: Step) -> Places | None:
    *operands, _ = step.places
    axis, shape = step.value(len(operands)), step.shape()
    if axis is None:
        return None
    index = int(axis) % len(shape)
    beside = [places.with_axis(index, ()) for places in operands]
    result = joined(beside, [1 if axis == index else size for axis, size in enumerate(shape)])
    if result is None:
        return None
    parts = [places.axes[index] for places in operands]
    having = [number for number, part in enumerate(parts) if not is_plain(part)]
    frames = common_frames(operands)
    if not having or frames is None:
        return result.with_axis(index, plain(shape[index]))
    result = replace(result, frames=frames)
    tokens = _with_tokens(step, parts, having)
    if tokens is None:
        return replace(
            result.with_axis(index, plain(shape[index])), lost=f"the operation {step.type}"
        )
    return replace(result.with_axis(index, (tokens,)), lost=None)


def _with_tokens(step: Step, parts: Sequence[Axis], having: Sequence[int]) -> Tokens | None:
    """Joins patches and extra tokens to one axis; None if several parts contain patches."""
    if len(having) != 1:
        return None
    core = parts[having[0]]
    tokens = core[0] if len(core) == 1 and isinstance(core[0], Tokens) else None
    if tokens is None:
        cells = tuple(factor for factor in core if isinstance(factor, Cells))
        if len(cells) != len(core):
            return None
        tokens = Tokens(0, (), cells, ())
    key = next(step.numbers)
    before, after = list(tokens.before), list(tokens.after)
    first: list[int] = []
    for number, part in enumerate(parts):
        ids = [next(step.numbers) for _ in range(product(part))] if number not in having else []
        if number < having[0]:
            first += ids
        else:
            after += ids
        wanted = frozenset(ids) if ids else ids_of(tokens)
        step.readers[number] = _reader_of_part(key, tokens.key if not ids else None, wanted)
    return Tokens(key, (*first, *before), tokens.cells, tuple(after))


def _reader_of_part(key: int, own_key: int | None, ids: frozenset[int]) -> Reader:
    def read(used: Used) -> Used | None:
        wanted = used.get(key, ids) & ids
        if not wanted:
            return None
        return {} if own_key is None else {own_key: wanted}

    return read


def _stack(step: Step) -> Places | None:
    shape = step.shape()
    index = int(step.attribute("axis")) % len(shape)
    inner = joined(step.places, shape[:index] + shape[index + 1 :])
    if inner is None:
        return None
    axes = (*inner.axes[:index], plain(shape[index]), *inner.axes[index:])
    return replace(inner, axes=axes)


def _tile(step: Step) -> Places | None:
    places = step.places[0]
    for index, length in enumerate(step.shape()):
        if length != product(places.axes[index]):
            places = places.with_axis(index, _repeated(places.axes[index], length))
    return places


def _repeated(axis: Axis, length: int) -> Axis:
    return plain(length) if axis else (Repeated(length),)


def _broadcast(step: Step) -> Places | None:
    places = joined(step.places[:1], step.shape())
    given = step.places[0].axes
    for index, length in enumerate(step.shape() if places and len(given) > 1 else ()):
        own = index - len(step.shape()) + len(given)
        if places and length > 1 and own >= 0 and not given[own]:
            places = places.with_axis(index, (Repeated(length),))
    return places


RULES = {
    **dict.fromkeys(_BY_ELEMENT, _by_element),
    **dict.fromkeys(_ONE_TO_ONE, _one_to_one),
    **dict.fromkeys(operation_names("BroadcastTo"), _broadcast),
    **dict.fromkeys(operation_names("ConcatV2"), _concatenate),
    **dict.fromkeys(operation_names("Pack"), _stack),
    **dict.fromkeys(operation_names("Tile"), _tile),
}
