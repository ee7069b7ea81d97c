"""What the user says about the inputs of a model, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradcam_cli.errors import UsageError


@dataclass(frozen=True)
class InputChoice:
    """What the user says about the inputs of a model.

    Attributes:
        explained: The names of the inputs whose pictures are explained; empty for all.
        values: The value of each other input as a text, by name.
    """

    explained: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()


def parse_inputs(texts: Sequence[str]) -> InputChoice:
    """Parses the values of ``--input``.

    Args:
        texts: "NAME" for an explained input, "NAME=VALUE" for the value of another one.

    Raises:
        UsageError: A name or a value is missing, or an input has two values.
    """
    explained: list[str] = []
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not name or (equals and not value):
            raise UsageError(f"--input {text}: expected NAME or NAME=VALUE")
        if not equals:
            explained.append(name)
        elif name in values:
            raise UsageError(f"--input {name}: has two values, {values[name]} and {value}")
        else:
            values[name] = value
    return InputChoice(tuple(dict.fromkeys(explained)), tuple(values.items()))
