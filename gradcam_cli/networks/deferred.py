"""A network that is built when it is first needed, and identified by a text until then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock

import numpy as np
import tensorflow as tf

from gradcam_cli.networks.forward import LayerNode, Network, Recording
from gradcam_cli.networks.inputs import NetworkInput


class DeferredNetwork:
    """Stands for a network that may never be needed, because its graph is cached.

    Attributes:
        identity: Words and digests that determine everything the network computes.
    """

    def __init__(self, build: Callable[[], Network], identity: str) -> None:
        """Prepares the network; nothing is built yet.

        Args:
            build: Makes the network.
            identity: A text that is equal for two networks only if they compute the same.
        """
        self._build = build
        self._built: Network | None = None
        self._lock = Lock()
        self.identity = identity

    @property
    def built(self) -> Network:
        """The network itself, the same for all threads."""
        with self._lock:
            if self._built is None:
                self._built = self._build()
            return self._built

    @property
    def name(self) -> str:
        """The network's own name."""
        return self.built.name

    @property
    def inputs(self) -> Sequence[NetworkInput]:
        """Its inputs."""
        return self.built.inputs

    @property
    def explained_input(self) -> NetworkInput:
        """The input whose pictures are explained."""
        return self.built.explained_input

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of the explained input, with the channels last; None for any length."""
        return self.built.input_shape

    def explaining(self, name: str) -> Network:
        """Returns the same network with another explained input."""
        return self.built.explaining(name)

    @property
    def parameters(self) -> int:
        """The number of values in its weights."""
        return self.built.parameters

    @property
    def is_constant(self) -> bool:
        """Whether its weights are constants in the graph that it records."""
        return self.built.is_constant

    @property
    def nodes(self) -> Sequence[LayerNode]:
        """Its layers; a layer comes before the layers nested in it."""
        return self.built.nodes

    def weights(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields its weights, floating-point ones only: the layer, the name, the values."""
        return self.built.weights()

    def record(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor] | None = None) -> Recording:
        """Runs the network for inference, inside a graph, and records it."""
        return self.built.record(inputs, others)
