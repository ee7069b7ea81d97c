"""Calls layers that go through time steps so that the steps can be traced.

Keras 3 runs ``TimeDistributed`` as one call for each step, or as a loop, and ``ConvLSTM`` as a
loop. No rule could follow rows and columns through a loop. So an inner layer is applied to all
steps at once, as inputs of one batch, which gives the same result in less time. The result of a
loop is tied to a convolution of the loop's input, which has the same places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from gradcam_cli.networks.layer_calls import Interceptor

if TYPE_CHECKING:
    import keras

_EACH_STEP = "TimeDistributed"
_BOTH_WAYS = "Bidirectional"
_LOOPS = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
# Layers that go through steps; their inner layers aren't all called once for each input.
STEP_LAYERS = (_EACH_STEP, _BOTH_WAYS, *_LOOPS)


def calls_of_steps(layers: Iterable[keras.Layer]) -> Iterator[tuple[keras.Layer, Interceptor]]:
    """Makes an interceptor for each layer whose steps couldn't be traced otherwise.

    Args:
        layers: All layers of a network.

    Yields:
        The layer and what to call in its place.
    """
    for layer in layers:
        kind = type(layer)
        if not kind.__module__.startswith("keras."):
            continue
        if kind.__name__ == _EACH_STEP:
            yield layer, _at_once(layer)
        elif _is_loop(layer):
            yield layer, _tied(layer.cell)
        elif kind.__name__ == _BOTH_WAYS and layer.merge_mode and _is_loop(layer.forward_layer):
            # It turns the steps of its backward layer round again.
            yield layer, _tied(layer.forward_layer.cell)


def _is_loop(layer: Any) -> bool:
    """Returns whether a layer returns an output for each step, in the order of its input."""
    if type(layer).__name__ not in _LOOPS:
        return False
    return bool(layer.return_sequences and not layer.go_backwards)


def innermost(layer: keras.Layer) -> keras.Layer:
    """Returns the layer that is applied to each step, or the layer itself."""
    inner = getattr(layer, "layer", None) if type(layer).__name__ == _EACH_STEP else None
    return layer if inner is None else innermost(inner)


def _at_once(layer: Any) -> Interceptor:
    """Applies the inner layer of a ``TimeDistributed`` to all steps in one call."""

    def called(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        inputs = args[0] if len(args) == 1 else None
        if not isinstance(inputs, tf.Tensor) or kwargs.get("mask") is not None:
            return call(*args, **kwargs)
        steps = tf.shape(inputs)[:2]
        flat = tf.reshape(inputs, tf.concat([[-1], _shape_after(inputs, 2)], 0))
        flat.set_shape([None, *inputs.shape[2:]])

        def unflattened(outputs: tf.Tensor) -> tf.Tensor:
            shape = tf.concat([steps, _shape_after(outputs, 1)], 0)
            apart = tf.reshape(outputs, shape)
            apart.set_shape([inputs.shape[0], inputs.shape[1], *outputs.shape[1:]])
            return apart

        return tf.nest.map_structure(unflattened, layer.layer(flat))

    return called


def _shape_after(tensor: tf.Tensor, axis: int) -> tf.Tensor:
    rest = [length for length in tensor.shape.as_list()[axis:] if length is not None]
    is_known = len(rest) == tensor.shape.rank - axis
    return tf.constant(rest, tf.int32) if is_known else tf.shape(tensor)[axis:]


def _tied(cell: Any) -> Interceptor:
    """Gives the output of a loop the places of a convolution of its input."""

    def called(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        output = result[0] if isinstance(result, (list, tuple)) else result
        inputs = args[0] if args else None
        if not isinstance(inputs, tf.Tensor) or not isinstance(output, tf.Tensor):
            return result
        if cell.data_format != "channels_last":
            return result
        alike = tf.stop_gradient(_convolved(tf.reduce_max(inputs, -1, keepdims=True), cell))
        # Its values are never used. TensorFlow doesn't even compute them.
        tied = tf.where(tf.constant(value=True), _sized_like(output, alike), alike)
        return [tied, *result[1:]] if isinstance(result, (list, tuple)) else tied

    return called


def _convolved(inputs: tf.Tensor, cell: Any) -> tf.Tensor:
    if cell.padding == "same" and set(cell.strides) == {1}:
        return inputs
    filters = tf.zeros((1, *cell.kernel_size, 1, 1), inputs.dtype)
    return tf.nn.convolution(
        inputs,
        filters,
        strides=(1, *cell.strides),
        padding=cell.padding.upper(),
        dilations=(1, *cell.dilation_rate),
    )


def _sized_like(output: tf.Tensor, alike: tf.Tensor) -> tf.Tensor:
    """Says again what the shape of a loop's output is, because the loop doesn't."""
    shape = tf.concat([tf.shape(alike)[:-1], _shape_after(output, output.shape.rank - 1)], 0)
    sized = tf.reshape(output, shape)
    sized.set_shape([*alike.shape[:-1], output.shape[-1]])
    return sized
