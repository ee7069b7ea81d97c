"""Finds the layer of a Keras model that a user named, or the one to explain by default."""

from __future__ import annotations

import keras
import tensorflow as tf

from gradcam_cli.errors import UnknownLayerError, UnsupportedModelError, suggestion
from gradcam_cli.networks.forward import USUAL_LENGTH, trace_forward
from gradcam_cli.networks.inputs import NetworkInput
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers
from gradcam_cli.networks.layers import default_tap, feature_grid
from gradcam_cli.networks.time_steps import STEP_LAYERS

# Their class names occur in transformers.
_HINTS_OF_TOKENS = ("Attention", "LayerNorm")
_RANK_OF_ONE_HOT = 2


def may_segment(model: keras.Model, inputs: tf.Tensor | None = None) -> bool:
    """Returns whether a model's output has positions.

    Args:
        model: The model.
        inputs: Inputs to call it with if it doesn't know the shape of its output; None to assume
            that it has positions.
    """
    outputs = getattr(model, "outputs", None)
    if outputs:
        return len(outputs[0].shape) > _RANK_OF_ONE_HOT
    if inputs is None:
        return True
    output = model(inputs[:1], training=False)
    return isinstance(output, tf.Tensor) and output.shape.rank > _RANK_OF_ONE_HOT


def find_default_layer(
    model: keras.Model, network: KerasNetwork, *, after_normalization: bool, segments: bool
) -> tuple[str, keras.Layer]:
    """Finds the layer to explain by default; see `GradCAM`.

    Args:
        model: The model.
        network: The same model, with the input that is explained.
        after_normalization: Whether the method needs a layer after a normalization of each token.
        segments: Whether the output may have positions.

    Returns:
        The path and the layer.
    """
    layers = dict(walk_layers(model))
    with_filters = [path for path, layer in layers.items() if hasattr(layer, "filters")]
    kinds = {type(layer).__name__ for layer in layers.values()}
    others = _inputs_beside(network)
    has_steps = not kinds.isdisjoint(STEP_LAYERS)
    is_plain = bool(with_filters) and not segments and not others and not has_steps
    if is_plain and not any(hint in kind for kind in kinds for hint in _HINTS_OF_TOKENS):
        return with_filters[-1], layers[with_filters[-1]]
    found: list[tuple[str, bool, bool]] = []

    def look(inputs: tf.Tensor, *values: tf.Tensor) -> tf.Tensor:
        nonlocal with_filters
        beside = {one.name: value for one, value in zip(others, values, strict=True)}
        forward = trace_forward(network, inputs, others=beside)
        if others:
            with_filters = [path for path in with_filters if forward.depends_on_input(path)]
        path = default_tap(network, forward, after_normalization=after_normalization)
        are_tokens = feature_grid(forward, path).are_tokens
        found.append((path, are_tokens, forward.dense is not None))
        return forward.logits

    # Networks of tokens rarely accept inputs of any size.
    *size, channels = network.input_shape
    specs = [tf.TensorSpec((None, *(length or USUAL_LENGTH for length in size), channels))]
    specs += [
        tf.TensorSpec((None, *(length or USUAL_LENGTH for length in one.shape))) for one in others
    ]
    tf.function(look, autograph=False).get_concrete_function(*specs)
    ((path, are_tokens, is_dense),) = found
    takes_usual = are_tokens or is_dense or has_steps or not with_filters
    path = path if takes_usual else with_filters[-1]
    return path, layers[path]


def _inputs_beside(network: KerasNetwork) -> list[NetworkInput]:
    """Lists the inputs that aren't explained."""
    try:
        return [one for one in network.inputs if one != network.explained_input]
    except UnsupportedModelError:
        return []


def find_layer(model: keras.Model, layer: str | int) -> tuple[str, keras.Layer]:
    """Finds a layer by its name, path or index.

    Args:
        model: The model.
        layer: The name, the path or the index, which may be negative.

    Returns:
        The path and the layer.

    Raises:
        UnknownLayerError: The model has no such layer.
    """
    layers = dict(walk_layers(model))
    if isinstance(layer, int):
        try:
            wanted = model.layers[layer]
        except IndexError:
            raise UnknownLayerError(
                f"{model.name} has no layer {layer}; its layers are 0 to {len(model.layers) - 1}"
            ) from None
        return next(found for found in layers.items() if found[1] is wanted)
    if layer not in layers:
        hint = suggestion(layer, layers, likeness=0.5)
        raise UnknownLayerError(f"{model.name} has no layer {layer!r}{hint}")
    return layer, layers[layer]
