"""Caches traced graphs between runs, in the user's cache folder.

Building and tracing a Keras network takes as long as explaining a hundred pictures, and gives
the same graph every time.
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

# Each has up to 40 MB. The most recently used ones are kept.
_MOST = 8
_LARGEST = 256 * 2**20
_DIGEST_LENGTH = hashlib.sha256().digest_size
_SIGNATURE, _FACTS = "explain", "facts"

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class KeptGraph:
    """A graph and the facts that were found while it was traced.

    Attributes:
        graph: The graph.
        facts: Values that JSON can hold.
    """

    graph: ConstantGraph
    facts: Facts


class KeptGraphs:
    """A folder with one file for each graph: a digest, and the graph as a ``MetaGraphDef``.

    It is only a cache: what can't be read or written, or was made by other code or other
    versions, counts as missing. So do files that somebody other than the user may have written,
    because a graph is run.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Chooses the folder; nothing is read or written yet.

        Args:
            folder: The folder of the files; None for the user's cache folder.
        """
        self._folder = folder or cache_folder() / "graphs"

    def find(self, description: str) -> KeptGraph | None:
        """Finds a graph.

        Args:
            description: The description under which it was cached.

        Returns:
            The graph; None if there is none that can be used.
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
        # The digest doesn't prove that the content is valid.
        except Exception:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return kept

    def keep(self, description: str, kept: KeptGraph) -> None:
        """Caches a graph for later runs, if possible.

        Args:
            description: Everything that determines what the graph computes, except the
                versions of the code.
            kept: The graph.
        """
        # Without a home, the path would be relative and start with a folder named "~".
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
    """Traces a function that runs a network, or loads what an earlier run traced.

    Args:
        network: The network. Its graph is cached only if its identity is known.
        trace: A function from symbolic tensors to symbolic tensors and the facts about them.
        signature: The shapes and dtypes of the function's arguments.
        description: Everything that determines what the function computes, except the network,
            the signature and the versions of the code; None if that isn't known.
        graphs: The cache of graphs; None to always trace.

    Returns:
        The function, and the facts.
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
    """Lists what determines a graph besides its description."""
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
