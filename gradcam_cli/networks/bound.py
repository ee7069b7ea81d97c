"""A network of several inputs whose other inputs have fixed values: it takes pictures alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from gradcam_cli.networks.forward import LayerNode, Network, Recording
from gradcam_cli.networks.inputs import NetworkInput


class BoundNetwork:
    """Gives every picture the same values beside it.

    Attributes:
        network: The network of several inputs.
        values: The value of each other input by name, float32 in its shape, as the network takes
            it.
    """

    def __init__(self, network: Network, values: Mapping[str, np.ndarray]) -> None:
        """Takes a network and its values.

        Args:
            network: The network.
            values: The value of each other input.
        """
        self.network = network
        self.values = values

    @property
    def name(self) -> str:
        """The network's own name."""
        return self.network.name

    @property
    def inputs(self) -> Sequence[NetworkInput]:
        """The explained input."""
        return [self.explained_input]

    @property
    def explained_input(self) -> NetworkInput:
        """The input whose pictures are explained."""
        return self.network.explained_input

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of the explained input."""
        return self.network.input_shape

    def explaining(self, name: str) -> Network:
        """Returns the same network; its only input is explained."""
        return self

    @property
    def parameters(self) -> int:
        """The number of values in its weights."""
        return self.network.parameters

    @property
    def is_constant(self) -> bool:
        """Whether its weights are constants in the graph that it records."""
        return self.network.is_constant

    @property
    def nodes(self) -> Sequence[LayerNode]:
        """Its layers; a layer comes before the layers nested in it."""
        return self.network.nodes

    def weights(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields its weights, floating-point ones only: the layer, the name, the values."""
        return self.network.weights()

    def record(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor] | None = None) -> Recording:
        """Runs the network with the values beside each input, inside a graph, and records it."""
        number = tf.shape(inputs)[0]
        repeated = {
            name: tf.repeat(tf.constant(value[None], tf.float32), number, axis=0)
            for name, value in self.values.items()
        }
        return self.network.record(inputs, repeated)


def without_values(network: Network) -> Network:
    """Returns the network itself of one whose other inputs have fixed values."""
    return network.network if isinstance(network, BoundNetwork) else network
