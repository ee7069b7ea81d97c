"""Checks what the graph of a SavedModel does, before TensorFlow loads it.

TensorFlow runs parts of a SavedModel while it loads it: the functions that create and fill its
resources. So all functions are checked in the file itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2

from gradcam_cli.errors import ModelFileError, UnsafeModelError
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.pure_operations import count_elements, impure_nodes

GRAPH_FILE = "saved_model.pb"
# TensorFlow would read these files instead.
_OTHER_GRAPH_FILES = ("saved_model.cpb", "saved_model.pbtxt")
# Operations that every SavedModel has for its own checkpoint, in functions that nothing calls.
_SAVING = operation_names(
    *("MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "StaticRegexFullMatch"),
    "StringJoin",
)
_SHOWN = 5
# Python makes arrays of the constants that objects hold, with up to 16 bytes per element.
_FEW_ELEMENTS = 16_000_000
_MOST_ELEMENTS = 10


def check_saved_model(folder: Path) -> None:
    """Refuses a SavedModel whose graph does more than compute tensors from tensors.

    Args:
        folder: The SavedModel folder.

    Raises:
        ModelFileError: Its graph can't be read.
        UnsafeModelError: The graph has operations that reach files, the network or Python, or
            that aren't known to be harmless.
    """
    for name in _OTHER_GRAPH_FILES:
        if (folder / name).exists():
            raise UnsafeModelError(
                f"{folder}: refused, it has two graphs ({GRAPH_FILE} and {name}); if you trust "
                f"it, add --unsafe"
            )
    stored = _read(folder / GRAPH_FILE)
    meta_graphs = stored.meta_graphs
    if len(meta_graphs) != 1 or not meta_graphs[0].HasField("object_graph_def"):
        raise UnsafeModelError(
            f"{folder}: refused, it is a SavedModel of TensorFlow 1, whose whole graph TensorFlow "
            f"runs while it loads it; save it again with TensorFlow 2, or add --unsafe if you "
            f"trust it"
        )
    if _held_elements(meta_graphs[0]) > max(_FEW_ELEMENTS, _MOST_ELEMENTS * stored.ByteSize()):
        raise UnsafeModelError(
            f"{folder}: refused, its constants take far more memory than its file; if you trust "
            f"it, add --unsafe"
        )
    found = _find_impure(meta_graphs[0])
    if found:
        names = ", ".join(sorted(found)[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        raise UnsafeModelError(
            f"{folder}: refused, its graph has operations that may reach files, the network or "
            f"Python, or aren't known to be harmless ({names}); with --unsafe they would run on "
            f"your machine, so add it only if you trust the model"
        )
    # The functions that create and fill a resource run while the model is loaded.
    if any(node.HasField("resource") for node in meta_graphs[0].object_graph_def.nodes):
        raise UnsafeModelError(
            f"{folder}: refused, it has a table or another resource, and loading it runs "
            f"functions of the model; if you trust it, add --unsafe"
        )


def _read(path: Path) -> Any:
    try:
        return saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelFileError(f"{path.parent}: damaged, or not a SavedModel ({error})") from error


def _find_impure(meta_graph: Any) -> set[str]:
    library = meta_graph.graph_def.library.function
    # A function named like an operation must not make that operation harmless.
    functions = {
        function.signature.name
        for function in library
        if not hasattr(tf.raw_ops, function.signature.name)
    }
    called = set(_called_by_objects(meta_graph.object_graph_def))
    called.update(_called_as_gradients(meta_graph.graph_def.library))
    # TensorFlow may call one function in place of another that implements the same interface.
    called.update(
        function.signature.name for function in library if "api_implements" in function.attr
    )
    for function in library:
        for node in function.node_def:
            called.update(_called_by_node(node, functions))
    # Nodes outside functions are there for TensorFlow 1; nothing runs them.
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


def _called_as_gradients(library: Any) -> Iterator[str]:
    for gradient in (*library.gradient, *library.registered_gradients):
        yield gradient.gradient_func


def _held_elements(meta_graph: Any) -> int:
    """Counts the elements of all constants that become Python arrays."""
    constants = {
        node.name: count_elements(node.attr["value"].tensor)
        for node in meta_graph.graph_def.node
        if "value" in node.attr
    }
    objects = meta_graph.object_graph_def
    held = sum(constants.get(node.constant.operation, 0) for node in objects.nodes)
    return held + sum(count_elements(tensor) for tensor in _tensors_in(objects))


def _tensors_in(message: Any) -> Iterator[Any]:
    if isinstance(message, tensor_pb2.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if isinstance(value, Mapping):
            parts = [part for part in value.values() if hasattr(part, "ListFields")]
        else:
            parts = [value] if hasattr(value, "ListFields") else list(value)
        for part in parts:
            yield from _tensors_in(part)


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
