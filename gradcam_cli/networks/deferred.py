"""A network that is built when it is first needed, and known by its identity until then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

import tensorflow as tf

from gradcam_cli.networks.forward import LayerNode, Network, Recording


class DeferredNetwork:
    """Stands for a network that may never be needed, because its graph was kept.

    Attributes:
        identity: What decides all that the network computes, in words and digests.
    """

    def __init__(self, build: Callable[[], Network], identity: str) -> None:
        """Builds nothing yet.

        Args:
            build: Makes the network.
            identity: Equal for two networks only if they compute the same.
        """
        self._build = build
        self._built: Network | None = None
        self._lock = Lock()
        self.identity = identity

    @property
    def built(self) -> Network:
        """The network itself; all threads get the same."""
        with self._lock:
            if self._built is None:
                self._built = self._build()
            return self._built

    @property
    def name(self) -> str:
        """What the network calls itself."""
        return self.built.name

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of one input, with the channels last; None where any size fits."""
        return self.built.input_shape

    @property
    def parameters(self) -> int:
        """How many numbers its weights hold."""
        return self.built.parameters

    @property
    def is_constant(self) -> bool:
        """Whether its weights are constants in the graph it records."""
        return self.built.is_constant

    @property
    def nodes(self) -> Sequence[LayerNode]:
        """Its layers, those that contain others before their contents."""
        return self.built.nodes

    def record(self, inputs: tf.Tensor) -> Recording:
        """Runs the network for inference, inside a graph, and records it."""
        return self.built.record(inputs)
