"""What the graph of a SavedModel does, before TensorFlow loads it.

TensorFlow runs parts of a SavedModel while it is loaded: the functions that make and fill its
resources. So all of them are looked at in the file itself.
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
# TensorFlow would read these instead of it.
_OTHER_GRAPH_FILES = ("saved_model.cpb", "saved_model.pbtxt")
# What every SavedModel has for its own checkpoint, in functions that nothing else calls.
_SAVING = operation_names(
    *("MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "StaticRegexFullMatch"),
    "StringJoin",
)
_SHOWN = 5
# Python makes arrays of the constants that objects hold, of up to 16 bytes for each element.
_FEW_ELEMENTS = 16_000_000
_MOST_ELEMENTS = 10


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
    stored = _read(folder / GRAPH_FILE)
    meta_graphs = stored.meta_graphs
    if len(meta_graphs) != 1 or not meta_graphs[0].HasField("object_graph_def"):
        raise UnsafeModelError(
            f"{folder}: refused, it is a SavedModel of TensorFlow 1, and TensorFlow runs all of "
            f"its graph to load it; save it again with TensorFlow 2, or say with --unsafe that "
            f"you trust it"
        )
    if _held_elements(meta_graphs[0]) > max(_FEW_ELEMENTS, _MOST_ELEMENTS * stored.ByteSize()):
        raise UnsafeModelError(
            f"{folder}: refused, its constants take far more memory than its file; if you trust "
            f"it, say so with --unsafe"
        )
    found = _find_impure(meta_graphs[0])
    if found:
        names = ", ".join(sorted(found)[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        raise UnsafeModelError(
            f"{folder}: refused, its graph has operations that may reach files, the network or "
            f"Python, or aren't known to be harmless ({names}); with --unsafe they would run on "
            f"your machine, so say it only if you trust the model"
        )
    # The functions that make and fill them run while they are loaded.
    if any(node.HasField("resource") for node in meta_graphs[0].object_graph_def.nodes):
        raise UnsafeModelError(
            f"{folder}: refused, it has a table or another resource, which TensorFlow runs "
            f"functions of the model to load; if you trust it, say so with --unsafe"
        )


def _read(path: Path) -> Any:
    try:
        return saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelFileError(f"{path.parent}: damaged, or not a SavedModel ({error})") from error


def _find_impure(meta_graph: Any) -> set[str]:
    library = meta_graph.graph_def.library.function
    # A function that is called like an operation doesn't vouch for that.
    functions = {
        function.signature.name
        for function in library
        if not hasattr(tf.raw_ops, function.signature.name)
    }
    called = set(_called_by_objects(meta_graph.object_graph_def))
    called.update(_called_as_gradients(meta_graph.graph_def.library))
    # TensorFlow may call one function in the place of another that implements the same.
    called.update(
        function.signature.name for function in library if "api_implements" in function.attr
    )
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


def _called_as_gradients(library: Any) -> Iterator[str]:
    for gradient in (*library.gradient, *library.registered_gradients):
        yield gradient.gradient_func


def _held_elements(meta_graph: Any) -> int:
    """Counts the elements of all constants that Python makes arrays of."""
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
