"""What the graph of a SavedModel does, before TensorFlow loads it.

TensorFlow runs parts of a SavedModel while it is loaded: the functions that make and fill its
resources. So all of them are looked at in the file itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from gradcam_cli.errors import ModelFileError, UnsafeModelError
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.pure_operations import impure_nodes

GRAPH_FILE = "saved_model.pb"
# TensorFlow would read these instead of it.
_OTHER_GRAPH_FILES = ("saved_model.cpb", "saved_model.pbtxt")
# What every SavedModel has for its own checkpoint, in functions that nothing else calls.
_SAVING = operation_names(
    *("MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "StaticRegexFullMatch"),
    "StringJoin",
)
_SHOWN = 5


def check_saved_model(folder: Path) -> None:
    """Refuses a SavedModel whose graph does anything but compute tensors from tensors.

    Args:
        folder: The SavedModel.

    Raises:
        ModelFileError: Its graph can't be read.
        UnsafeModelError: It holds what reaches files, the network or Python, or what isn't known
            to be harmless.
    """
    for name in _OTHER_GRAPH_FILES:
        if (folder / name).exists():
            raise UnsafeModelError(
                f"{folder}: refused, it has two graphs ({GRAPH_FILE} and {name}); if you trust "
                f"it, say so with --unsafe"
            )
    meta_graphs = _read(folder / GRAPH_FILE).meta_graphs
    if len(meta_graphs) != 1 or not meta_graphs[0].HasField("object_graph_def"):
        raise UnsafeModelError(
            f"{folder}: refused, it is a SavedModel of TensorFlow 1, and TensorFlow runs all of "
            f"its graph to load it; save it again with TensorFlow 2, or say with --unsafe that "
            f"you trust it"
        )
    found = _find_impure(meta_graphs[0])
    if found:
        names = ", ".join(sorted(found)[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        raise UnsafeModelError(
            f"{folder}: refused, its graph has operations that may reach files, the network or "
            f"Python, or aren't known to be harmless ({names}); with --unsafe they would run on "
            f"your machine, so say it only if you trust the model"
        )


def _read(path: Path) -> Any:
    try:
        return saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelFileError(f"{path.parent}: damaged, or not a SavedModel ({error})") from error


def _find_impure(meta_graph: Any) -> set[str]:
    library = meta_graph.graph_def.library.function
    functions = {function.signature.name for function in library}
    called = set(_called_by_objects(meta_graph.object_graph_def))
    for function in library:
        for node in function.node_def:
            called.update(_called_by_node(node, functions))
    # The nodes outside of functions are there for TensorFlow 1; nothing runs them.
    found = impure_nodes(meta_graph.graph_def.node, functions) - _SAVING
    for function in library:
        impure = impure_nodes(function.node_def, functions)
        found |= impure if function.signature.name in called else impure - _SAVING
    return found


def _called_by_objects(graph: Any) -> Iterator[str]:
    yield from graph.concrete_functions
    for node in graph.nodes:
        yield from node.function.concrete_functions
        yield node.bare_concrete_function.concrete_function_name


def _called_by_node(node: Any, functions: set[str]) -> Iterator[str]:
    if node.op in functions:
        yield node.op
    for value in node.attr.values():
        yield from _functions_in(value)


def _functions_in(value: Any) -> Iterator[str]:
    for function in (value.func, *value.list.func):
        yield function.name
        for nested in function.attr.values():
            yield from _functions_in(nested)
