"""One operation of a graph, and which tokens of its inputs are used."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import tensorflow as tf

from gradcam_cli.networks.places import PATCHES, Places, Tokens, plain_places
from gradcam_cli.networks.sized_copy import known_shape

# Of the tokens that are told apart, by their key, those that are used. An input that isn't used
# at all has None.
Used: TypeAlias = Mapping[int, frozenset[int]]
Reader: TypeAlias = Callable[[Used], "Used | None"]


@dataclass
class Step:
    """One operation, and what is known of its inputs.

    Attributes:
        op: The operation; all of its shapes are known.
        places: Of each input.
        numbers: Gives numbers that nothing else has.
        readers: For inputs whose tokens aren't all used as those of the output are: which
            of them are, given those of the output.
    """

    op: tf.Operation
    places: Sequence[Places]
    numbers: itertools.count[int]
    readers: dict[int, Reader] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """What the operation is."""
        return str(self.op.type)

    def shape(self, output: int = 0) -> list[int]:
        """The shape of an output."""
        return known_shape(self.op.outputs[output])

    def value(self, index: int) -> Any:
        """The value of an input, an array; None if it isn't the same for all pictures."""
        return tf.get_static_value(self.op.inputs[index])

    def attribute(self, name: str) -> Any:
        """An attribute of the operation."""
        return self.op.get_attr(name)

    def lost(self, output: int = 0) -> Places:
        """Describes an output whose places can't be told."""
        reason = f"the operation {self.type}"
        tensor = self.op.outputs[output]
        if not tensor.shape.is_fully_defined():
            return Places((), (), reason)
        return plain_places(known_shape(tensor), reason)

    def read(self, index: int, used: Used) -> Used | None:
        """Says which tokens of an input are used, given those of the outputs."""
        if index in self.readers:
            return self.readers[index](used)
        return {
            token.key: used.get(token.key, ids_of(token)) for token in self.places[index].tokens()
        }


def ids_of(tokens: Tokens) -> frozenset[int]:
    """The numbers of all tokens; the patches have one together."""
    return frozenset((*tokens.before, PATCHES, *tokens.after))


def reader_of_factor(places: Places, kept: Mapping[int, int]) -> Reader:
    """Makes a reader for an input some of whose tokens go on to the output.

    Args:
        places: Of the input.
        kept: The keys of those tokens in the output, by their keys in the input. Of all others
            every token is used.
    """

    def read(used: Used) -> Used:
        return {
            tokens.key: used.get(kept[tokens.key], ids_of(tokens))
            if tokens.key in kept
            else ids_of(tokens)
            for tokens in places.tokens()
        }

    return read
