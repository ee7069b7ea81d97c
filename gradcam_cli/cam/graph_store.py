"""Where graphs are kept that were traced before, as the explainers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gradcam_cli.cam.traced_function import ConstantGraph


@dataclass(frozen=True)
class KeptGraph:
    """A graph and what was found out while it was traced.

    Attributes:
        graph: The graph.
        facts: What JSON can hold.
    """

    graph: ConstantGraph
    facts: Mapping[str, Any]


class GraphStore(Protocol):
    """Keeps graphs from one run to the next."""

    def find(self, description: str) -> KeptGraph | None:
        """Finds a graph.

        Args:
            description: As it was kept for.

        Returns:
            The graph; None if there is none, or none that can be used.
        """

    def keep(self, description: str, kept: KeptGraph) -> None:
        """Keeps a graph for later runs, if that is possible.

        Args:
            description: All that decides what the graph computes, but for the versions of the
                code.
            kept: The graph.
        """
