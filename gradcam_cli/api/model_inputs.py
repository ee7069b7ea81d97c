"""The inputs of a Keras model with several, as users pass them to it: lists, dictionaries, both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.networks.conditions import Condition, Conditions
from gradcam_cli.networks.forward import length_of
from gradcam_cli.networks.keras_network import KerasNetwork


class ModelInputs:
    """Takes the inputs of a model apart: the explained one, and those beside it."""

    def __init__(self, network: KerasNetwork) -> None:
        """Takes a network.

        Args:
            network: The network, with the input that is explained.
        """
        try:
            self._names = [one.name for one in network.inputs]
        # A model that was never called takes what it is given.
        except UnsupportedModelError:
            self._names = []
        self._network = network

    @property
    def are_several(self) -> bool:
        """Whether the model has several inputs."""
        return len(self._names) > 1

    def split(self, inputs: Any) -> tuple[Any, dict[str, Any]]:
        """Takes the inputs apart.

        Args:
            inputs: One array for a model of one input; else a list, a dictionary or the structure
                of both that the model was made with. In place of arrays, it may hold anything.

        Returns:
            The explained input, and the others by name.

        Raises:
            UsageError: Inputs are missing, or there are too many.
        """
        if not self.are_several:
            return inputs, {}
        found = dict(zip(self._names, self._in_order(inputs), strict=True))
        return found.pop(self._network.explained_input.name), found

    def _in_order(self, inputs: Any) -> Sequence[Any]:
        """Returns the inputs in the order of their names."""
        names = self._names
        if isinstance(inputs, Mapping) and set(names) <= inputs.keys():
            return [inputs[name] for name in names]
        is_list = isinstance(inputs, list | tuple) and len(inputs) == len(names)
        if is_list and not any(isinstance(part, Mapping | tuple) for part in inputs):
            return list(inputs)
        try:
            structure = self._network.model.input
            tf.nest.assert_same_structure(structure, inputs, check_types=False)
        except (AttributeError, TypeError, ValueError):
            raise UsageError(
                f"{self._network.name} takes {len(names)} inputs: give a list in this order, or a "
                f"dictionary with these names: {', '.join(names)}"
            ) from None
        by_name = {
            str(symbolic.name).partition(":")[0]: value
            for symbolic, value in zip(
                tf.nest.flatten(structure), tf.nest.flatten(inputs), strict=True
            )
        }
        return [by_name[name] for name in names]


@dataclass(frozen=True)
class Arrangement:
    """How the target of an input and the values beside it share one row.

    Methods that change or copy an input repeat its row.

    Attributes:
        target_shape: The shape of the target of one input.
        beside: The values beside it.
    """

    target_shape: tuple[int, ...]
    beside: Conditions = field(default_factory=Conditions)

    @classmethod
    def of(cls, targets: tf.Tensor, others: Mapping[str, tf.Tensor]) -> Arrangement:
        """Returns the arrangement for targets and values of these shapes."""
        parts = [
            Condition(name, tuple(values.shape[1:].as_list())) for name, values in others.items()
        ]
        return cls(
            tuple(length_of(targets, axis) for axis in range(1, len(targets.shape))),
            Conditions(tuple(parts)),
        )

    def pack(self, targets: tf.Tensor, others: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Puts targets and values side by side.

        Args:
            targets: (N, ...) float32.
            others: The values by name, (N, ...) each.

        Returns:
            (N, numbers) float32; the targets as they are if there are no values.
        """
        if not self.beside.parts:
            return targets
        rows = [targets, *(tf.cast(others[part.name], tf.float32) for part in self.beside.parts)]
        return tf.concat([tf.reshape(part, [len(targets), -1]) for part in rows], axis=-1)

    def unpack(self, rows: tf.Tensor, inputs: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Takes the rows of a batch apart, in a graph.

        Args:
            rows: (N, numbers) float32, as `pack` returns them.
            inputs: (N, ...), the explained inputs.

        Returns:
            The targets, and the values by name.
        """
        if not self.beside.parts:
            return rows, {}
        length = int(np.prod(self.target_shape))
        targets = tf.reshape(rows[:, :length], [-1, *self.target_shape])
        return targets, self.beside.split(rows[:, length:], inputs)
