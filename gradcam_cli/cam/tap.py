"""The choice of the layer whose feature maps are explained."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import keras
import tensorflow as tf

from gradcam_cli.cam.forward import ForwardPass, trace_forward, walk_layers
from gradcam_cli.errors import UnknownLayerError, UnusableLayerError

# What these return shows no more than what they were given, and pooling shows it coarser.
_PASSED_OVER = (
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.Identity,
    keras.layers.MaxPooling2D,
    keras.layers.SpatialDropout2D,
    keras.layers.ZeroPadding2D,
)


@dataclass(frozen=True)
class LayerInfo:
    """One layer as a user sees it.

    Attributes:
        index: Its place in ``model.layers``; None inside a nested model.
        path: Its name, after the names of the models that it is nested in.
        kind: The name of its class.
        output_shape: Without the batch; None if it wasn't called or returns no tensor.
        parameters: How many numbers its weights hold.
        usable: Whether a Grad-CAM can be drawn from it.
        default: Whether it is the one that is explained unless another is named.
    """

    index: int | None
    path: str
    kind: str
    output_shape: tuple[int | None, ...] | None
    parameters: int
    usable: bool
    default: bool


def list_layers(model: keras.Model, input_shape: tuple[int, int, int]) -> list[LayerInfo]:
    """Lists the layers of a model as they are for inputs of one shape.

    Args:
        model: A model with one input and one output.
        input_shape: (height, width, channels) of the input.
    """
    infos: list[LayerInfo] = []

    def trace(inputs: tf.Tensor) -> tf.Tensor:
        forward = trace_forward(model, inputs)
        top_level = {id(layer): index for index, layer in enumerate(model.layers)}
        default = default_tap(model, forward)
        for path, layer in walk_layers(model):
            feature_map = forward.feature_maps.get(path)
            shape = None if feature_map is None else tuple(feature_map.shape[1:])
            if isinstance(layer, keras.layers.InputLayer):
                shape = input_shape
            infos.append(
                LayerInfo(
                    top_level.get(id(layer)),
                    path,
                    type(layer).__name__,
                    shape,
                    layer.count_params() if layer.built else 0,
                    feature_map is not None
                    and is_spatial(feature_map)
                    and _score_depends_on(forward, feature_map),
                    path == default,
                )
            )
        return forward.outputs

    signature = tf.TensorSpec((None, *input_shape), tf.float32)
    tf.function(trace, autograph=False).get_concrete_function(signature)
    return infos


def choose_tap(model: keras.Model, forward: ForwardPass, layer: str | int | None) -> str:
    """Finds the layer that a user means.

    Args:
        model: The model that was traced.
        forward: Its pass.
        layer: A name or a path, an index into ``model.layers`` (negative from the end),
            or None for the last layer with a spatial output (see `default_tap`).

    Returns:
        The path of a layer in ``forward.feature_maps`` from which maps can be drawn.

    Raises:
        UnknownLayerError: There is no such layer.
        UnusableLayerError: Its output isn't spatial, or the score doesn't depend on it.
    """
    if layer is None:
        return default_tap(model, forward)
    path = _path_at(model, layer) if isinstance(layer, int) else _path_named(model, layer)
    usable = "; 'gradcam layers' marks the layers that can be explained"
    feature_map = forward.feature_maps.get(path)
    if feature_map is None:
        raise UnusableLayerError(f"layer {path} returns nothing that can be explained{usable}")
    if not is_spatial(feature_map):
        shape = _format_shape(feature_map.shape[1:])
        raise UnusableLayerError(
            f"layer {path} has no spatial output (its output is {shape}), so it knows no places "
            f"to show{usable}"
        )
    if not _score_depends_on(forward, feature_map):
        raise UnusableLayerError(f"the class score does not depend on layer {path}{usable}")
    return path


def default_tap(model: keras.Model, forward: ForwardPass) -> str:
    """Finds the last layer with a spatial output that the score depends on.

    Pooling, padding and dropout are passed over: what they return shows no more than
    their input does, and pooling shows it coarser. So it is ``block5_conv4`` in VGG19,
    as in the paper, and the last activation or addition in networks that end in global
    pooling.

    Raises:
        UnusableLayerError: The model has no such layer.
    """
    layers = dict(walk_layers(model))
    for path, feature_map in reversed(forward.feature_maps.items()):
        layer = layers[path]
        if isinstance(layer, _PASSED_OVER) or layer._flatten_layers(include_self=False):
            continue
        if is_spatial(feature_map) and _score_depends_on(forward, feature_map):
            return path
    raise UnusableLayerError(
        f"{model.name} has no layer with a spatial output, so Grad-CAM has nothing to show"
    )


def is_spatial(feature_map: tf.Tensor) -> bool:
    """Says whether a tensor has (N, rows, columns, channels) with more than one cell."""
    return feature_map.shape.rank == 4 and tuple(feature_map.shape[1:3]) != (1, 1)


def _score_depends_on(forward: ForwardPass, feature_map: tf.Tensor) -> bool:
    return tf.gradients(forward.logits, feature_map)[0] is not None


def _path_at(model: keras.Model, index: int) -> str:
    layers = model.layers
    if not -len(layers) <= index < len(layers):
        raise UnknownLayerError(
            f"{model.name} has no layer {index}: indices go from {-len(layers)} to "
            f"{len(layers) - 1}"
        )
    return str(layers[index].name)


def _path_named(model: keras.Model, name: str) -> str:
    paths = [path for path, _ in walk_layers(model)]
    if name in paths:
        return name
    close = difflib.get_close_matches(name, paths, n=3, cutoff=0.5)
    hint = f"; close to it: {', '.join(close)}" if close else ""
    raise UnknownLayerError(
        f"{model.name} has no layer {name!r}{hint} ('gradcam layers' lists all of them)"
    )


def _format_shape(shape: tf.TensorShape) -> str:
    return "×".join("?" if size is None else str(size) for size in shape) or "a single number"
