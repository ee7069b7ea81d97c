"""One operation of a graph, and the tokens of its inputs that are used."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import tensorflow as tf

from gradcam_cli.networks.places import PATCHES, Places, Tokens, plain_places
from gradcam_cli.networks.sized_copy import known_shape

# The used ones among distinguished tokens, by key. An input that isn't used at all has None.
Used: TypeAlias = Mapping[int, frozenset[int]]
Reader: TypeAlias = Callable[[Used], "Used | None"]


@dataclass
class Step:
    """One operation, and what is known about its inputs.

    Attributes:
        op: The operation; all of its shapes are known.
        places: The places of each input.
        numbers: Yields unique numbers.
        readers: For inputs whose used tokens aren't those of the output: a function from the
            used tokens of the output to those of the input.
    """

    op: tf.Operation
    places: Sequence[Places]
    numbers: itertools.count[int]
    readers: dict[int, Reader] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The type of the operation."""
        return str(self.op.type)

    def shape(self, output: int = 0) -> list[int]:
        """Returns the shape of an output."""
        return known_shape(self.op.outputs[output])

    def value(self, index: int) -> Any:
        """Returns the value of an input, an array; None if it depends on the picture."""
        return tf.get_static_value(self.op.inputs[index])

    def attribute(self, name: str) -> Any:
        """Returns an attribute of the operation."""
        return self.op.get_attr(name)

    def lost(self, output: int = 0) -> Places:
        """Describes an output whose positions aren't known."""
        reason = f"the operation {self.type}"
        tensor = self.op.outputs[output]
        if not tensor.shape.is_fully_defined():
            return Places((), (), reason)
        return plain_places(known_shape(tensor), reason)

    def read(self, index: int, used: Used) -> Used | None:
        """Returns the used tokens of an input, given those of the outputs."""
        if index in self.readers:
            return self.readers[index](used)
        return {
            token.key: used.get(token.key, ids_of(token)) for token in self.places[index].tokens()
        }


def ids_of(tokens: Tokens) -> frozenset[int]:
    """Returns the numbers of all tokens; the patches share one."""
    return frozenset((*tokens.before, PATCHES, *tokens.after))


def reader_of_factor(places: Places, kept: Mapping[int, int]) -> Reader:
    """Makes a reader for an input some of whose tokens continue in the output.

    Args:
        places: The places of the input.
        kept: The keys of these tokens in the output, by their keys in the input. All others
            count as used.
    """

    def read(used: Used) -> Used:
        return {
            tokens.key: used.get(kept[tokens.key], ids_of(tokens))
            if tokens.key in kept
            else ids_of(tokens)
            for tokens in places.tokens()
        }

    return read
