"""The inputs of a classifier beside the explained picture, and which pictures are explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradcam_cli.errors import UnsupportedModelError, UsageError, suggestion
from gradcam_cli.models.preprocessing import Preprocessing
from gradcam_cli.networks.conditions import Condition, Conditions
from gradcam_cli.networks.inputs import NetworkInput, name_channels

# An axis of any length has this one until the first value is known.
_USUAL_LENGTH = 16
_NUMBERS = np.dtype("float32").kind + "iub"


@dataclass(frozen=True)
class OtherInput:
    """An input that gets a value beside the explained picture.

    Attributes:
        network_input: Its name, shape and dtype.
        preprocess: What is done with its pictures, in [0, 255]; None if it takes numbers.
    """

    network_input: NetworkInput
    preprocess: Preprocessing | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.network_input.name

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of one value; None for axes of any length."""
        return self.network_input.shape

    @property
    def takes_picture(self) -> bool:
        """Whether it takes a picture."""
        return self.preprocess is not None

    def having(self, shape: tuple[int, ...] | None) -> OtherInput:
        """Returns it with another shape; None to leave it as it is."""
        if shape is None:
            return self
        return replace(self, network_input=replace(self.network_input, shape=shape))

    def condition(self, any_size: bool) -> Condition:
        """Returns how its values travel beside the explained picture.

        Args:
            any_size: Whether the explained picture may have any size. Other pictures of any size
                then get the size of that one.
        """
        if self.takes_picture and any_size:
            return Condition(self.name, self.shape)
        return Condition(self.name, tuple(length or _USUAL_LENGTH for length in self.shape))

    def describe(self) -> str:
        """Says what it takes: "1 number", "12 numbers", "an array 4×2", "a picture 64×64 RGB"."""
        return describe_input(self.network_input)


@dataclass(frozen=True)
class DescribedInput:
    """What an input takes, for people and JSON.

    Attributes:
        name: Its name.
        shape: The shape of one value; None for axes of any length.
        dtype: The name of its dtype.
        takes: What it takes, in words.
        is_explained: Whether its pictures are explained.
        preprocess: What is done with its pictures; None if it takes numbers.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    takes: str
    is_explained: bool
    preprocess: Preprocessing | None


def choose_explained(
    path: str, inputs: Sequence[NetworkInput], wanted: Sequence[str]
) -> list[NetworkInput]:
    """Finds the inputs whose pictures are explained.

    Args:
        path: The path of the model, for messages.
        inputs: The inputs of the model.
        wanted: The names that the user gave; empty for all inputs that take pictures.

    Returns:
        At least one; the picture that the user names first belongs to the first of them.

    Raises:
        UsageError: The model has no such input, or it takes no picture.
        UnsupportedModelError: No input takes a picture, or one takes text.
    """
    for one in inputs:
        if not _is_number(one):
            raise UnsupportedModelError(
                f"{path}: its input {one.name} takes {one.dtype} values; only models of pictures "
                f"and numbers can be explained"
            )
    by_name = {one.name: one for one in inputs}
    chosen = []
    for name in wanted:
        check_input_name(name, by_name)
        if not by_name[name].takes_picture:
            raise UsageError(
                f"--input {name}: takes {describe_input(by_name[name])}, no picture to explain; "
                f"give it a value: --input {name}=VALUE"
            )
        chosen.append(by_name[name])
    chosen = chosen or [one for one in inputs if one.takes_picture]
    if not chosen:
        shapes = ", ".join(f"{one.name} {(None, *one.shape)}" for one in inputs)
        raise UnsupportedModelError(
            f"{path}: none of its {len(inputs)} inputs takes pictures with 1, 3 or 4 channels, "
            f"(None, height, width, channels): {shapes}"
        )
    return chosen


def check_input_name(name: str, known: Mapping[str, object]) -> None:
    """Raises UsageError if a model has no input of this name."""
    if name not in known:
        hint = suggestion(name, known) or f"; its inputs are {', '.join(known)}"
        raise UsageError(f"--input {name}: the model has no such input{hint}")


def arrange(others: Sequence[OtherInput], any_size: bool) -> Conditions:
    """Arranges the values of the other inputs beside the explained picture."""
    return Conditions(tuple(other.condition(any_size) for other in others))


def describe_input(one: NetworkInput) -> str:
    """Says what an input takes: "1 number", "12 numbers", "an array 4×2", "a picture 64×64 RGB"."""
    lengths = ["any" if length is None else str(length) for length in one.shape]
    if one.takes_picture:
        colors = name_channels(one.shape[-1] or 0)
        size = "of any size" if "any" in lengths[:2] else "×".join(lengths[:2])
        return f"a picture {size}, {colors}"
    kind = {"b": "true or false", "i": "whole number", "u": "whole number"}.get(
        np.dtype(one.dtype).kind if one.dtype != "bfloat16" else "f", "number"
    )
    if one.shape in ((), (1,)):
        return kind if kind == "true or false" else f"1 {kind}"
    if len(one.shape) == 1:
        several = "values true or false" if kind == "true or false" else f"{kind}s"
        return f"{'any number of' if lengths == ['any'] else lengths[0]} {several}"
    return f"an array {'×'.join(lengths)} of {kind}s"


def _is_number(one: NetworkInput) -> bool:
    return one.dtype == "bfloat16" or (
        one.dtype != "string" and np.dtype(one.dtype).kind in _NUMBERS
    )
