"""Graphs that were traced in an earlier run, kept in the user's cache folder.

Building a network of Keras and tracing it takes as long as explaining a hundred pictures,
and gives the same graph every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from platformdirs import user_cache_path

from gradcam_cli.errors import OutputError
from gradcam_cli.files.writing import written_whole
from gradcam_cli.networks.traced_function import ConstantGraph

# Of up to 40 MB each; those that were used last stay.
_MOST = 8
_DIGEST_LENGTH = hashlib.sha256().digest_size
_SIGNATURE, _FACTS = "explain", "facts"


@dataclass(frozen=True)
class KeptGraph:
    """A graph and what was found out while it was traced.

    Attributes:
        graph: The graph.
        facts: What JSON can hold.
    """

    graph: ConstantGraph
    facts: Mapping[str, Any]


class KeptGraphs:
    """A folder with a file for each graph: a digest, and the graph as a ``MetaGraphDef``.

    It is only ever a shortcut: what can't be read or written, or was made by other code or
    other versions, counts as not there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Reads and writes nothing yet.

        Args:
            folder: Where the files are; None for the user's cache folder.
        """
        self._folder = folder or user_cache_path("gradcam", appauthor=False) / "graphs"

    def find(self, description: str) -> KeptGraph | None:
        """Finds a graph.

        Args:
            description: As it was kept for.

        Returns:
            The graph; None if there is none, or none that can be used.
        """
        path = self._path(description)
        try:
            with open(path, "rb") as file:
                digest, content = file.read(_DIGEST_LENGTH), file.read()
        except OSError:
            return None
        if digest != hashlib.sha256(content).digest():
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        meta_graph = tf.compat.v1.MetaGraphDef.FromString(content)
        signature = meta_graph.signature_def[_SIGNATURE]
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(meta_graph.graph_def, name="")
        return KeptGraph(
            ConstantGraph(graph, _in_order(signature.inputs), _in_order(signature.outputs)),
            json.loads(meta_graph.collection_def[_FACTS].bytes_list.value[0]),
        )

    def keep(self, description: str, kept: KeptGraph) -> None:
        """Keeps a graph for later runs, if that is possible.

        Args:
            description: All that decides what the graph computes, but for the versions of the
                code.
            kept: The graph.
        """
        # Without a home, the user's folder would be one called "~" in the current one.
        if not self._folder.is_absolute():
            return
        graph = kept.graph
        meta_graph = tf.compat.v1.MetaGraphDef(graph_def=graph.graph.as_graph_def())
        signature = meta_graph.signature_def[_SIGNATURE]
        for infos, names in (signature.inputs, graph.inputs), (signature.outputs, graph.outputs):
            for number, name in enumerate(names):
                infos[f"{number:02}"].name = name
        facts = json.dumps(kept.facts).encode()
        meta_graph.collection_def[_FACTS].bytes_list.value.append(facts)
        content = meta_graph.SerializeToString()
        with contextlib.suppress(OSError, OutputError):
            with written_whole(self._path(description)) as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
            self._forget_oldest()

    def _path(self, description: str) -> Path:
        whole = "\n".join([description, *_circumstances()])
        return self._folder / f"{hashlib.sha256(whole.encode()).hexdigest()}.graph"

    def _forget_oldest(self) -> None:
        files = sorted(self._folder.glob("*.graph"), key=os.path.getmtime)
        for path in files[:-_MOST]:
            path.unlink(missing_ok=True)


def _in_order(infos: Mapping[str, Any]) -> list[str]:
    return [infos[number].name for number in sorted(infos)]


@cache
def _circumstances() -> tuple[str, ...]:
    """Tells what else than its description decides how a graph comes out."""
    package = Path(__file__).parent.parent
    sources = hashlib.sha256()
    for path in sorted(package.glob("**/*.py")):
        sources.update(path.read_bytes())
    return (
        sources.hexdigest(),
        *(module.__version__ for module in (tf, keras, np)),
        keras.config.floatx(),
        keras.config.image_data_format(),
        keras.config.dtype_policy().name,
    )
