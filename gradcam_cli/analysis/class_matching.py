"""Which classes of two models are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradcam_cli.errors import UsageError
from gradcam_cli.models.labels import Labels
from gradcam_cli.networks.tasks import VALUE

_NAMES_SHOWN = 3


@dataclass(frozen=True)
class ClassMatch:
    """The classes of two models that are the same.

    Attributes:
        indices: For each class of the first model, the index of the same class of the second; None
            if that has no such class.
        note: How they were matched, if the user should know: a sentence; else "".
    """

    indices: Sequence[int | None]
    note: str = ""


def match_classes(labels: tuple[Labels, Labels], names: tuple[str, str]) -> ClassMatch:
    """Finds the classes of one model among those of another.

    Args:
        labels: The classes of both models.
        names: The names of the models.

    Raises:
        UsageError: The models have nothing to compare: one returns values and the other classes,
            or no class of one is a class of the other.
    """
    first, second = labels
    if (first.quantity == VALUE) != (second.quantity == VALUE):
        with_values = names[0] if first.quantity == VALUE else names[1]
        with_classes = names[1] if first.quantity == VALUE else names[0]
        raise UsageError(
            f"{with_values} returns values and {with_classes} classes, which can't be compared; if "
            f"both mean the same, choose it with --task"
        )
    counts = " and ".join(
        f"{name} has {len(one)} {one.noun if len(one) == 1 else one.plural}"
        for name, one in zip(names, labels, strict=True)
    )
    if first.are_numbers or second.are_numbers:
        if len(first) != len(second):
            raise UsageError(
                f"{counts}, and not all have names; give them with --labels FILE, once for each "
                f"model"
            )
        # A single output needs no name.
        note = f"The {first.plural} have no names in at least one model: they are matched by index."
        return ClassMatch(range(len(first)), note if len(first) > 1 else "")
    indices = first.matching(second)
    shared = sum(index is not None for index in indices)
    if not shared:
        raise UsageError(
            f"no {first.noun} of {names[0]} ({_some(first)}) is a {second.noun} of {names[1]} "
            f"({_some(second)}); if the names are wrong, give them with --labels FILE, once for "
            f"each model"
        )
    note = ""
    if shared < max(len(first), len(second)):
        note = f"{counts}: {shared} have the same name, and only their maps are compared."
    return ClassMatch(indices, note)


def _some(labels: Labels) -> str:
    shown = [labels.name(index) for index in range(min(_NAMES_SHOWN, len(labels)))]
    return ", ".join([*shown, *["…"] * (len(labels) > _NAMES_SHOWN)])
