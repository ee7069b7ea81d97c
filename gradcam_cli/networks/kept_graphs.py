"""Graphs that were traced in an earlier run, kept in the user's cache folder.

Building a network of Keras and tracing it takes as long as explaining a hundred pictures,
and gives the same graph every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gradcam_cli.errors import OutputError
from gradcam_cli.files.cache_folder import cache_folder
from gradcam_cli.files.own_files import make_own_file, make_own_folder, read_own_file
from gradcam_cli.files.writing import written_whole
from gradcam_cli.networks.deferred import DeferredNetwork
from gradcam_cli.networks.forward import Network
from gradcam_cli.networks.internals import has_onednn_on
from gradcam_cli.networks.pure_operations import impure_operations
from gradcam_cli.networks.traced_function import ConstantGraph, TracedFunction

# Of up to 40 MB each; those that were used last stay.
_MOST = 8
_LARGEST = 256 * 2**20
_DIGEST_LENGTH = hashlib.sha256().digest_size
_SIGNATURE, _FACTS = "explain", "facts"

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class KeptGraph:
    """A graph and what was found out while it was traced.

    Attributes:
        graph: The graph.
        facts: What JSON can hold.
    """

    graph: ConstantGraph
    facts: Facts


class KeptGraphs:
    """A folder with a file for each graph: a digest, and the graph as a ``MetaGraphDef``.

    It is only ever a shortcut: what can't be read or written, or was made by other code or
    other versions, counts as not there. So does what others than the user may have put there,
    because a graph is run.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Reads and writes nothing yet.

        Args:
            folder: Where the files are; None for the user's cache folder.
        """
        self._folder = folder or cache_folder() / "graphs"

    def find(self, description: str) -> KeptGraph | None:
        """Finds a graph.

        Args:
            description: As it was kept for.

        Returns:
            The graph; None if there is none, or none that can be used.
        """
        path = self._path(description)
        content = read_own_file(path, _LARGEST)
        if content is None:
            return None
        digest, content = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH:]
        if digest != hashlib.sha256(content).digest():
            return None
        try:
            kept = _unpack(content)
        # Whatever somebody put there, with the right digest.
        except Exception:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return kept

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
            make_own_folder(self._folder)
            with written_whole(self._path(description)) as file:
                make_own_file(file)
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


def _unpack(content: bytes) -> KeptGraph | None:
    meta_graph = tf.compat.v1.MetaGraphDef.FromString(content)
    if impure_operations(meta_graph.graph_def):
        return None
    signature = meta_graph.signature_def[_SIGNATURE]
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(meta_graph.graph_def, name="")
    return KeptGraph(
        ConstantGraph(graph, _in_order(signature.inputs), _in_order(signature.outputs)),
        json.loads(meta_graph.collection_def[_FACTS].bytes_list.value[0]),
    )


def find_or_trace(
    network: Network,
    trace: Callable[..., tuple[Sequence[tf.Tensor], Facts]],
    signature: Sequence[tf.TensorSpec],
    description: str | None,
    graphs: KeptGraphs | None,
) -> tuple[TracedFunction, Facts]:
    """Traces a function that runs a network, or finds what an earlier run traced.

    Args:
        network: The network. What is traced of it is kept only if it is known by its identity.
        trace: From symbolic tensors to symbolic tensors, and what was found out of them.
        signature: The shapes and types of what the function is given.
        description: All that decides what the function computes but the network, the signature
            and the versions of the code; None if that can't be told.
        graphs: Where graphs are kept; None to trace always.

    Returns:
        The function, and what was found out.
    """
    found_out: list[Facts] = []

    def noted(*inputs: tf.Tensor) -> Sequence[tf.Tensor]:
        outputs, facts = trace(*inputs)
        found_out.append(facts)
        return outputs

    if graphs is None or description is None or not isinstance(network, DeferredNetwork):
        function = TracedFunction(noted, signature, is_constant=network.is_constant)
        return function, found_out[-1]
    whole = repr((network.identity, signature, description))
    kept = graphs.find(whole)
    if kept is not None:
        return TracedFunction(noted, signature, graph=kept.graph), kept.facts
    function = TracedFunction(noted, signature, is_constant=network.is_constant)
    if function.graph is not None:
        graphs.keep(whole, KeptGraph(function.graph, found_out[-1]))
    return function, found_out[-1]


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
        f"oneDNN {has_onednn_on()}",
    )
