"""What a network takes beside one picture: the values of its other inputs, or a region.

Such values belong to one picture, like its target class. Methods that change or copy an input
must repeat both. So both travel together, as one row of numbers for each input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import tensorflow as tf

# The name of the condition that says which region of an input is explained: the weight of each
# position in [0, 1], or `NO_REGION` at all of them. Borders around a picture are `OUTSIDE`.
# No input of a network has a colon in its name.
REGION = ":region"
NO_REGION = -1.0
OUTSIDE = -2.0
# The name of the condition that says which candidate of a detector is explained: its index, or
# `BEST_CANDIDATE` for the best one of each class.
CANDIDATE = ":candidate"
BEST_CANDIDATE = -1.0


@dataclass(frozen=True)
class Condition:
    """One value or array that belongs to each input.

    Attributes:
        name: Its name, unique among the conditions.
        shape: The shape for one input. None stands for the rows (the first time) and the columns
            (the second time) of the input.
    """

    name: str
    shape: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Conditions:
    """The arrangement of all conditions of an input in one row.

    Attributes:
        parts: The conditions, in order.
    """

    parts: tuple[Condition, ...] = ()

    def __add__(self, others: Conditions) -> Conditions:
        """Returns these conditions, followed by others."""
        return Conditions((*self.parts, *others.parts))

    @property
    def length(self) -> int | None:
        """The number of values in a row; None if it depends on the size of the input."""
        lengths = [length for part in self.parts for length in part.shape]
        if None in lengths:
            return None
        return sum(prod(length or 0 for length in part.shape) for part in self.parts)

    def of_regions(self) -> Conditions:
        """Returns the part that says which region is explained, if there is one."""
        return Conditions(tuple(part for part in self.parts if part.name == REGION))

    def pack(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Arranges the conditions of one input in a row.

        Args:
            values: An array for each condition, by name, in its shape.

        Returns:
            (values,) float32.
        """
        rows = [np.asarray(values[part.name], np.float32).ravel() for part in self.parts]
        return np.concatenate(rows) if rows else np.zeros(0, np.float32)

    def mirrored(self, rows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Mirrors the regions of the inputs, for mirrored inputs.

        Args:
            rows: (N, values) float32.
            size: (height, width) of the inputs.
        """
        rows = rows.copy()
        for part, place in self._places(size):
            if part.name == REGION:
                values = rows[:, place].reshape(len(rows), *size, -1)
                rows[:, place] = values[:, :, ::-1].reshape(len(rows), -1)
        return rows

    def with_regions(
        self, rows: np.ndarray | None, regions: np.ndarray | float, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Sets the region of each input.

        Args:
            rows: (N, values) float32; None for zeros.
            regions: (N, height, width): weights in [0, 1], `NO_REGION` or `OUTSIDE`.
            shape: (N, height, width) of the inputs.

        Returns:
            (N, values) float32.
        """
        places = list(self._places((shape[1], shape[2])))
        length = max((place.stop for _, place in places), default=0)
        rows = np.zeros((shape[0], length), np.float32) if rows is None else rows.copy()
        for part, place in places:
            if part.name == REGION:
                rows[:, place] = np.broadcast_to(regions, shape).reshape(shape[0], -1)
        return rows

    def _places(self, size: tuple[int, int]) -> Iterator[tuple[Condition, slice]]:
        """Yields where each condition lies in a row, for inputs of one (height, width)."""
        start = 0
        for part in self.parts:
            sides = iter(size)
            lengths = [next(sides) if length is None else length for length in part.shape]
            yield part, slice(start, start := start + prod(lengths))

    def split(self, rows: tf.Tensor, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Takes the rows of a batch apart, in a graph.

        Args:
            rows: (N, values) float32.
            inputs: (N, height, width, channels), the inputs to which the rows belong.

        Returns:
            For each condition (N, ...) float32, by name.
        """
        sizes = tf.shape(inputs)
        found: dict[str, tf.Tensor] = {}
        start: int | tf.Tensor = 0
        for part in self.parts:
            axes = iter((1, 2))
            shape = [sizes[next(axes)] if length is None else length for length in part.shape]
            end = start + tf.reduce_prod(tf.stack([1, *shape]))
            values = tf.reshape(rows[:, start:end], tf.stack([-1, *shape]))
            values.set_shape((None, *part.shape))
            found[part.name] = values
            start = end
        return found
