"""Sums of products: matrix products and Einstein sums, which make up attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.place_rules.step import Step, reader_of_factor
from gradcam_cli.networks.places import (
    Axis,
    Places,
    Tokens,
    common_axis,
    common_frames,
    common_loss,
    fused,
    is_plain,
    plain,
    product,
)

_EINSUMS = operation_names("Einsum")
_MATRIX_PRODUCTS = operation_names("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "MatMul")


def contraction(step: Step) -> tuple[list[list[str]], list[str]] | None:
    """Names the axes of a sum of products as in Einstein notation; None if it isn't one.

    Returns:
        The axis names of each input, and those of the output.
    """
    if step.type in _MATRIX_PRODUCTS:
        return _names_in_matrix_product(step)
    return _names_in_einsum(step) if step.type in _EINSUMS else None


def _names_in_matrix_product(step: Step) -> tuple[list[list[str]], list[str]]:
    first, second = (len(places.axes) for places in step.places[:2])
    prefix = "adj_" if step.type.startswith("Batch") else "transpose_"
    names = ("x", "y") if step.type.startswith("Batch") else ("a", "b")
    flips = [bool(step.attribute(f"{prefix}{name}")) for name in names]
    batch = [f"b{number}" for number in range(max(first, second) - 2, 0, -1)]
    labels = [batch[len(batch) - (first - 2) :] + (["k", "i"] if flips[0] else ["i", "k"])]
    labels += [batch[len(batch) - (second - 2) :] + (["j", "k"] if flips[1] else ["k", "j"])]
    return labels, [*batch, "i", "j"]


def _names_in_einsum(step: Step) -> tuple[list[list[str]], list[str]] | None:
    equation = step.attribute("equation").decode().replace(" ", "")
    given, arrow, output = equation.partition("->")
    if not arrow:
        return None
    ranks = [len(places.axes) for places in step.places]
    terms = given.split(",")
    hidden = [rank - len(term.replace("...", "")) for rank, term in zip(ranks, terms, strict=True)]
    widest = max([0, *(n for n, term in zip(hidden, terms, strict=True) if "..." in term)])
    rest = [f"…{number}" for number in range(widest)]
    labels = [
        _labels(term, rest[widest - count :] if "..." in term else [])
        for term, count in zip(terms, hidden, strict=True)
    ]
    return labels, _labels(output, rest)


def _labels(term: str, rest: Sequence[str]) -> list[str]:
    before, dots, after = term.partition("...")
    return [*before, *(rest if dots else ()), *after]


def _contracted(step: Step) -> Places | None:
    """Describes a sum of products: axes of one name are matched, those that end are summed."""
    named = contraction(step)
    if named is None:
        return None
    labels, output = named
    if any(len(set(names)) != len(names) for names in (*labels, output)):
        return None
    axes: list[Axis] = []
    taken: set[int] = set()
    survivors: list[dict[int, int]] = [{} for _ in labels]
    for label, length in zip(output, step.shape(), strict=True):
        axis: Axis | None = ()
        for names, places in zip(labels, step.places, strict=True):
            own = places.axes[names.index(label)] if label in names else ()
            if axis is not None and product(own) == length:
                axis = common_axis(axis, own)
        if axis is None:
            return None
        renamed = []
        for factor in axis:
            # In attention the same tokens occur twice, as queries and as keys.
            if isinstance(factor, Tokens):
                key = next(step.numbers) if factor.key in taken else factor.key
                taken.add(key)
                for names, places, kept in zip(labels, step.places, survivors, strict=True):
                    if label in names and factor in places.axes[names.index(label)]:
                        kept[factor.key] = key
                factor = replace(factor, key=key)
            renamed.append(factor)
        axes.append(plain(length) if is_plain(axis) else fused(renamed))
    frames = common_frames(step.places)
    if frames is None:
        return None
    for index, kept in enumerate(survivors):
        step.readers[index] = reader_of_factor(step.places[index], kept)
    return Places(tuple(axes), frames, common_loss(step.places, axes))


RULES = dict.fromkeys(_MATRIX_PRODUCTS | _EINSUMS, _contracted)
