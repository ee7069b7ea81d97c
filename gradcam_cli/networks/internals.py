"""What is used of Keras and TensorFlow beyond what they promise to keep.

Each function tells why, looks whether what it relies on is there, and has another way, or
says that there is none, when it isn't. Two more such uses have modules of their own:
`layer_calls` and, for the names of operations, `operations`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf

if TYPE_CHECKING:
    import keras

Replacement: TypeAlias = "Callable[[tf.Operation], Sequence[tf.Tensor] | None]"


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Finds the layers directly inside a layer or model, in the order in which it got them.

    Models promise to tell their layers, layers don't. Keras knows them by
    ``Layer._flatten_layers``. Without it they are looked for in the layer's attributes, which
    takes longer, and finds any that are there for other reasons.
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
    """Makes a graph that tells what tensors from outside it uses, as ``captures``.

    A function's graph can be had by tracing a `tf.function`, but only with a dozen copies of
    the constants that are in it.

    Returns:
        The graph; None if TensorFlow has no such class.
    """
    kind = getattr(getattr(tf, "__internal__", None), "FuncGraph", None)
    graph = None if kind is None else kind(name)
    return graph if hasattr(graph, "captures") else None


def with_constants(function: Any) -> Any:
    """Puts constants in the place of a function's variables, and inlines what it calls.

    TensorFlow does that for its converters, and offers it to nobody else: with constants,
    normalization disappears into the convolutions before it, and a SavedModel shows its
    layers.

    Args:
        function: A concrete function.

    Returns:
        A concrete function; None if TensorFlow has lost the converter.
    """
    try:
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )
    except ImportError:
        return None
    return convert_variables_to_constants_v2(function)


def has_onednn_on() -> bool | None:
    """Says whether TensorFlow uses oneDNN's kernels on the processor.

    Nobody else can tell: the environment may leave the choice to TensorFlow, or be changed
    after TensorFlow has read it.

    Returns:
        None if TensorFlow doesn't say it any more.
    """
    try:
        from tensorflow.python.util import _pywrap_util_port

        return bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):
        return None


@contextmanager
def replaced_operations(replace: Replacement) -> Iterator[None]:
    """Has a function replace operations while this thread adds them to graphs.

    TensorFlow tells its own debugger of each operation; nobody else can stand between a
    network and TensorFlow's kernels, whatever library the network was made with. Without
    that, operations stay as they are: those without a kernel for the processor then fail
    with TensorFlow's own message.

    Args:
        replace: Is given each new operation; returns what is to be taken for its outputs,
            or None.
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
    """Finds the functions that a graph calls.

    Args:
        definition: A ``GraphDef``.

    Returns:
        The ``FunctionDef`` of each, by its name; see `graph_of`.
    """
    return {function.signature.name: function for function in definition.library.function}


def graph_of(function: Any) -> tf.Graph | None:
    """Makes the graph of a function that other graphs call.

    TensorFlow imports such functions whole, where gradients and layers need what is inside.

    Args:
        function: A ``FunctionDef``.

    Returns:
        The graph, with ``inputs`` and ``outputs``; None if TensorFlow can't make it any more:
        then the call stays a call.
    """
    try:
        from tensorflow.python.framework.function_def_to_graph import function_def_to_graph
    except ImportError:
        return None
    graph: tf.Graph = function_def_to_graph(function)
    return graph


def tell_variable_shape(source: tf.Tensor, target: tf.Tensor) -> None:
    """Tells a placeholder of a variable how large that is.

    The size of what is read from a variable isn't in the type of its tensor; TensorFlow keeps
    it beside. Without it, what is computed from the variable inside of called functions has
    no known size.

    Args:
        source: A tensor that stands for a variable in some graph.
        target: A placeholder of the same type in another.
    """
    with suppress(ImportError, AttributeError):
        from tensorflow.python.ops import handle_data_util

        handle_data_util.copy_handle_data(source, target)
