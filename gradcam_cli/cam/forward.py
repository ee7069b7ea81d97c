"""One traced pass through a network, with every layer's output within reach.

The layers are reached by recording their calls while the network is traced, not by
building a second model around them. So it doesn't matter whether a model is functional,
sequential, subclassed or nested in another: what was called was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    import keras

# What may stand between a network's last activation and its output without changing
# which number belongs to which class.
_TRANSPARENT_OPS = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "EnsureShape"})


@dataclass(frozen=True)
class ForwardPass:
    """The symbolic tensors of one pass, to be used inside the function that traced it.

    Attributes:
        inputs: What the network was called with, (N, height, width, channels).
        outputs: What it returned, (N, classes).
        logits: The scores before the final softmax or sigmoid, (N, classes) float32;
            the outputs themselves where the network has no such activation.
        probabilities: (N, classes) float32 in [0, 1]: the outputs, or the softmax of the
            logits where the network leaves that to its user.
        feature_maps: The output of every layer by its path (the layers' names joined
            by "/" from the outermost), in the order of the calls.
    """

    inputs: tf.Tensor
    outputs: tf.Tensor
    logits: tf.Tensor
    probabilities: tf.Tensor
    feature_maps: dict[str, tf.Tensor]


def trace_forward(model: keras.Model, inputs: tf.Tensor) -> ForwardPass:
    """Calls a model for inference inside a graph and records what its layers return.

    Args:
        model: A model with one input and one output.
        inputs: A symbolic tensor that the model accepts.

    Returns:
        The tensors of this pass. The model is left as it was.
    """
    with _recorded_calls(model) as feature_maps:
        outputs = model(inputs, training=False)
    logits = _find_logits(outputs)
    if logits is outputs:
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))
    else:
        probabilities = tf.cast(outputs, tf.float32)
    return ForwardPass(inputs, outputs, tf.cast(logits, tf.float32), probabilities, feature_maps)


def walk_layers(model: keras.Layer, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Yields every layer inside a model with its path, outermost first."""
    for layer in model._flatten_layers(include_self=False, recursive=False):
        path = f"{prefix}{layer.name}"
        yield path, layer
        yield from walk_layers(layer, f"{path}/")


@contextmanager
def _recorded_calls(model: keras.Model) -> Iterator[dict[str, tf.Tensor]]:
    feature_maps: dict[str, tf.Tensor] = {}

    def recording(path: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded_call(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            if isinstance(result, tf.Tensor):
                feature_maps[path] = result
            return result

        return recorded_call

    layers = list(walk_layers(model))
    try:
        for path, layer in layers:
            layer.call = recording(path, layer.call)
        yield feature_maps
    finally:
        for _, layer in layers:
            # Uncovers the class's own method again.
            layer.__dict__.pop("call", None)


def _find_logits(outputs: tf.Tensor) -> tf.Tensor:
    tensor = outputs
    while tensor.op.type in _TRANSPARENT_OPS:
        tensor = tensor.op.inputs[0]
    if tensor.op.type in ("Softmax", "Sigmoid"):
        return tf.reshape(tensor.op.inputs[0], tf.shape(outputs))
    return outputs
