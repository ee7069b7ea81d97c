"""Uses of Keras and TensorFlow beyond their public interfaces.

Each function says why it is needed and checks that what it relies on exists. If it doesn't, the
function has another way, or says that there is none. Two more such uses have modules of their
own: `layer_calls` and, for the names of operations, `operations`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf

if TYPE_CHECKING:
    import keras

Replacement: TypeAlias = "Callable[[tf.Operation], Sequence[tf.Tensor] | None]"


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Lists the layers directly inside a layer or model, in the order in which they were added.

    The public interface lists the layers of models, but not those of layers. Keras has
    ``Layer._flatten_layers`` for that. Without it, the layer's attributes are searched, which
    takes longer and also finds layers that are there for other reasons.
    """
    with suppress(AttributeError, TypeError):
        return list(layer._flatten_layers(include_self=False, recursive=False))
    found = layer.layers if hasattr(type(layer), "layers") else _layers_in(vars(layer))
    return list({id(inner): inner for inner in found if inner is not layer}.values())


def _layers_in(value: Any) -> Iterator[keras.Layer]:
    libraries = [sys.modules[name] for name in ("keras", "tf_keras") if name in sys.modules]
    if isinstance(value, tuple(library.layers.Layer for library in libraries)):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _layers_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _layers_in(inner)


def make_capturing_graph(name: str) -> tf.Graph | None:
    """Makes a graph that lists the outside tensors that it uses, as ``captures``.

    Tracing a `tf.function` also gives such a graph, but with a dozen copies of the constants
    in it.

    Returns:
        The graph; None if TensorFlow has no such class.
    """
    kind = getattr(getattr(tf, "__internal__", None), "FuncGraph", None)
    graph = None if kind is None else kind(name)
    return graph if hasattr(graph, "captures") else None


def allow_threads(graph: tf.Graph) -> None:
    """Lets several threads run sessions on a graph that is complete.

    Each run makes the graph the default one for a moment. A `FuncGraph` then saves some of its
    attributes and restores them, so that one thread can find what another one has restored. A
    plain `Graph` changes nothing of its own.
    """
    graph.as_default = MethodType(tf.Graph.as_default, graph)  # type: ignore[method-assign]


def with_constants(function: Any) -> Any:
    """Replaces a function's variables by constants, and inlines the functions that it calls.

    TensorFlow has this for its converters but not in its public interface. With constants, it
    folds normalization into the convolutions before it, and a SavedModel shows its layers.

    Args:
        function: A concrete function.

    Returns:
        A concrete function; None if TensorFlow no longer has the converter.
    """
    try:
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )
    except ImportError:
        return None
    return convert_variables_to_constants_v2(function)


def has_onednn_on() -> bool | None:
    """Returns whether TensorFlow uses oneDNN's kernels on the CPU.

    There is no other way to find out: the environment may leave the choice to TensorFlow, or may
    change after TensorFlow has read it.

    Returns:
        None if TensorFlow no longer tells.
    """
    try:
        from tensorflow.python.util import _pywrap_util_port

        return bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):
        return None


@contextmanager
def replaced_operations(replace: Replacement) -> Iterator[None]:
    """Lets a function replace operations while this thread adds them to graphs.

    TensorFlow has this hook for its own debugger. There is no other way to intervene between a
    network and TensorFlow's kernels that works for every library that may have made the network.
    Without it, operations aren't replaced, and those without a CPU kernel fail with
    TensorFlow's own message.

    Args:
        replace: Called with each new operation; returns replacements for its outputs, or None.
    """
    try:
        from tensorflow.python.framework import op_callbacks
    except ImportError:
        yield
        return

    def told(_kind: str, _inputs: Any, _attributes: Any, outputs: Any, **options: Any) -> Any:
        is_traced = options.get("graph") is not None and len(outputs) > 0
        return replace(outputs[0].op) if is_traced else None

    op_callbacks.add_op_callback(told)
    try:
        yield
    finally:
        op_callbacks.remove_op_callback(told)


def functions_of(definition: Any) -> dict[str, Any]:
    """Lists the functions that a graph calls.

    Args:
        definition: A ``GraphDef``.

    Returns:
        The ``FunctionDef`` of each by its name; see `graph_of`.
    """
    return {function.signature.name: function for function in definition.library.function}


def graph_of(function: Any) -> tf.Graph | None:
    """Makes the graph of a function that other graphs call.

    TensorFlow imports such functions as a whole, but gradients and layers need their contents.

    Args:
        function: A ``FunctionDef``.

    Returns:
        The graph, with ``inputs`` and ``outputs``; None if TensorFlow no longer supports it.
        Then the call isn't inlined.
    """
    try:
        from tensorflow.python.framework.function_def_to_graph import function_def_to_graph
    except ImportError:
        return None
    graph: tf.Graph = function_def_to_graph(function)
    return graph


def tell_variable_shape(source: tf.Tensor, target: tf.Tensor) -> None:
    """Tells a placeholder for a variable the variable's shape.

    The shape of a variable's value isn't part of the type of its tensor; TensorFlow stores it
    separately. Without it, values computed from the variable in called functions have no known
    shape.

    Args:
        source: A tensor that stands for a variable in a graph.
        target: A placeholder of the same type in another graph.
    """
    with suppress(ImportError, AttributeError):
        from tensorflow.python.ops import handle_data_util

        handle_data_util.copy_handle_data(source, target)
