"""The inputs of a network: their names, shapes and types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gradcam_cli.errors import UnsupportedModelError

# Grey, RGB, RGB and opacity.
_COLORS = {1: "grey", 3: "RGB", 4: "RGB and opacity"}
PICTURE_CHANNELS = frozenset(_COLORS)
_RANK_OF_PICTURES = 3
# Smaller ones are steps with features.
_LEAST_SIDE = 8


@dataclass(frozen=True)
class NetworkInput:
    """One input of a network.

    Attributes:
        name: Its name, unique among the inputs of the network.
        shape: The shape of one input, without the batch and with the channels of a picture last;
            None for axes of any length.
        dtype: The name of its dtype, such as "float32".
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def takes_picture(self) -> bool:
        """Whether it takes pictures: rows, columns and 1, 3 or 4 channels."""
        return len(self.shape) == _RANK_OF_PICTURES and self.shape[-1] in PICTURE_CHANNELS


def name_channels(channels: int) -> str:
    """Says what an input with these channels takes: "grey", "RGB", "13 bands"."""
    return _COLORS.get(channels) or f"{channels} bands"


def with_grey_pictures(inputs: Iterable[NetworkInput]) -> list[NetworkInput]:
    """Takes inputs of rows and columns for grey pictures, if no other of several takes pictures.

    Args:
        inputs: The inputs of a network.

    Returns:
        The inputs. A grey picture has a last axis of length 1, which the network doesn't take.
    """
    found = list(inputs)
    if len(found) == 1 or any(one.takes_picture for one in found):
        return found
    return [replace(one, shape=(*one.shape, 1)) if _is_large(one.shape) else one for one in found]


def _is_large(shape: tuple[int | None, ...]) -> bool:
    return len(shape) == 2 and all(length is not None and length >= _LEAST_SIDE for length in shape)


def find_explained(
    name: str, inputs: Sequence[NetworkInput], explained: str | None
) -> NetworkInput:
    """Finds the input whose pictures are explained.

    Args:
        name: The name of the network, for messages.
        inputs: Its inputs, at least one.
        explained: The name of the input; None for the first that takes pictures, or the first.

    Raises:
        UnsupportedModelError: There is no such input.
    """
    if explained is None:
        return next((one for one in inputs if one.takes_picture), inputs[0])
    for one in inputs:
        if one.name == explained:
            return one
    names = ", ".join(one.name for one in inputs)
    raise UnsupportedModelError(f"{name} has no input {explained!r}, only {names}")
