"""Makes a network faster for those who won't change its weights any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from gradcam_cli.networks.deferred import DeferredNetwork
from gradcam_cli.networks.forward import Network, Recording
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers
from gradcam_cli.networks.layer_calls import Interceptor, intercepted_calls
from gradcam_cli.networks.operations import operation_names

# Folding more takes longer, and more memory, than most runs get back.
MOST_PARAMETERS = 10_000_000
_DEPTHWISE = operation_names("DepthwiseConv2dNative")


def fold(network: Network, taps: Sequence[str | int] | None = None) -> Network:
    """Puts the weights of a small network into its graphs as constants.

    TensorFlow then merges normalization into the convolutions before it, which takes a
    quarter off the time of EfficientNet-Lite0. Weights that change later aren't seen.

    Args:
        network: Any network.
        taps: The names of the layers that will be explained, if it is known: depthwise
            convolutions, which TensorFlow leaves alone, are merged too, but for these. None
            if it may be any.

    Returns:
        One that computes the same but for rounding; the given one, if it is large, or isn't a
        model of Keras 3.
    """
    if isinstance(network, DeferredNetwork):
        identity = f"{network.identity}, folded for {taps}"
        return DeferredNetwork(lambda: fold(network.built, taps), identity)
    if not isinstance(network, KerasNetwork) or not isinstance(network.model, keras.Model):
        return network
    return network if network.parameters > MOST_PARAMETERS else _FoldedNetwork(network, taps)


class _FoldedNetwork(KerasNetwork):
    is_constant = True

    def __init__(self, network: KerasNetwork, taps: Sequence[str | int] | None) -> None:
        super().__init__(network.model, network.output, classes_only=network.classes_only)
        merges = taps is not None and all(isinstance(tap, str) for tap in taps)
        self._taps = {str(tap).rpartition("/")[2] for tap in taps or ()} if merges else None

    def record(self, inputs: tf.Tensor) -> Recording:
        """Calls the model with constants in the place of its variables, and records it."""
        with tf.init_scope():
            weights = [variable.numpy() for variable in self.model.variables]
        constants = zip(self.model.variables, map(tf.constant, weights), strict=True)
        with (
            keras.StatelessScope(state_mapping=list(constants)),
            intercepted_calls(self._merged_depthwise()),
        ):
            return super().record(inputs)

    def _merged_depthwise(self) -> Iterator[tuple[keras.Layer, Interceptor]]:
        if self._taps is None:
            return
        for _, layer in walk_layers(self.model):
            # A layer with a call of its own does something else.
            if type(layer) is keras.layers.BatchNormalization and "call" not in vars(layer):
                yield layer, _merging(layer, self._taps)


def _merging(layer: keras.layers.BatchNormalization, taps: set[str]) -> Interceptor:
    """Normalizes by other weights of the depthwise convolution before the layer, if there is one.

    With y = γ (Σ w x - μ) / √(σ² + ε) + β (Ioffe and Szegedy 2015, arXiv 1502.03167), the
    weights γ w / √(σ² + ε) and one addition do the same.
    """

    def merged(call: Callable[..., Any], inputs: tf.Tensor, **options: Any) -> Any:
        history = getattr(inputs, "op", None)
        if history is None or history.type not in _DEPTHWISE or not _is_plain(layer):
            return call(inputs, **options)
        # In half precision normalization computes in float32 by itself.
        if inputs.dtype != tf.float32 or layer.compute_dtype != "float32":
            return call(inputs, **options)
        if any(f"/{tap}" in f"/{history.name}" for tap in taps):
            return call(inputs, **options)
        with tf.name_scope(layer.name):
            return _normalized_by_weights(layer, history)

    return merged


def _normalized_by_weights(
    layer: keras.layers.BatchNormalization, convolution: tf.Operation
) -> tf.Tensor:
    factor = tf.math.rsqrt(tf.convert_to_tensor(layer.moving_variance) + layer.epsilon)
    factor *= tf.convert_to_tensor(layer.gamma)
    offset = tf.convert_to_tensor(layer.beta) - layer.moving_mean * factor
    before, weights = convolution.inputs
    # (rows, columns, channels, multiplier), of which channel and multiplier make one output.
    weights = weights * tf.reshape(factor, weights.shape[2:])
    output = tf.raw_ops.DepthwiseConv2dNative(
        input=before,
        filter=weights,
        strides=convolution.get_attr("strides"),
        padding=convolution.get_attr("padding"),
        explicit_paddings=convolution.get_attr("explicit_paddings"),
        data_format=convolution.get_attr("data_format"),
        dilations=convolution.get_attr("dilations"),
    )
    return tf.nn.bias_add(output, offset)


def _is_plain(layer: keras.layers.BatchNormalization) -> bool:
    return bool(layer.scale and layer.center and layer.axis in (-1, 3))
