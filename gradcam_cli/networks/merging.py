"""Merges batch normalization into the weights of the convolution before it.

With y = γ (Σ w x + b - μ) / √(σ² + ε) + β (Ioffe and Szegedy 2015, arXiv 1502.03167), the weights
γ w / √(σ² + ε) and one addition do the same. This replaces a pass over every feature map by a
product with the weights, which are few. It is computed in each run, so variables may change
between runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from gradcam_cli.networks.forward import Recording
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers
from gradcam_cli.networks.layer_calls import Interceptor, intercepted_calls
from gradcam_cli.networks.operations import operation_names

_CONVOLUTIONS = operation_names("Conv2D")
_DEPTHWISE = operation_names("DepthwiseConv2dNative")
_ADDITIONS = operation_names("Add", "AddV2", "BiasAdd")


class MergedNetwork(KerasNetwork):
    """Computes the same as a model of Keras 3 up to rounding, in less time."""

    def __init__(
        self,
        model: keras.Model,
        output: str | None = None,
        *,
        explained: str | None = None,
        taps: Collection[str] | None,
        classes_only: bool = True,
        is_detector: bool = False,
        merges_biases: bool = True,
    ) -> None:
        """Takes a model.

        Args:
            model: The model, which is never changed.
            output: The name of the output with the class scores, if there are several.
            explained: As for `KerasNetwork`.
            taps: The names or paths of the layers to explain, whose outputs stay the same. The
                outputs of others may no longer lead to the scores. None if it may be any layer;
                then nothing is merged.
            classes_only: As for `KerasNetwork`.
            is_detector: As for `KerasNetwork`.
            merges_biases: Whether to also merge into convolutions with biases of their own,
                which makes one bias of two.
        """
        super().__init__(
            model, output, explained=explained, classes_only=classes_only, is_detector=is_detector
        )
        self._taps = None if taps is None else {tap.rpartition("/")[2] for tap in taps}
        self._merges_biases = merges_biases

    def record(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor] | None = None) -> Recording:
        """Calls the model with merged weights, and records it; see `KerasNetwork.record`."""
        with intercepted_calls(self._interceptors()):
            return super().record(inputs, others)

    def _interceptors(self) -> Iterator[tuple[keras.Layer, Interceptor]]:
        if self._taps is None:
            return
        tapped: set[str] = set()
        for _, layer in walk_layers(self.model):
            if layer.name in self._taps:
                yield layer, _noting(tapped)
            # A layer with a ``call`` of its own does something else.
            elif type(layer) is keras.layers.BatchNormalization and "call" not in vars(layer):
                yield layer, _merging(layer, tapped, self._merges_biases)


def _noting(tapped: set[str]) -> Interceptor:
    def noted(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        result = call(*args, **options)
        if isinstance(result, tf.Tensor):
            tapped.add(result.name)
        return result

    return noted


def _merging(
    layer: keras.layers.BatchNormalization, tapped: set[str], merges_biases: bool
) -> Interceptor:
    """Replaces normalization by other weights of the convolution before it, if there is one."""

    def merged(call: Callable[..., Any], inputs: tf.Tensor, **options: Any) -> Any:
        if inputs.name in tapped or not _is_plain(layer, inputs):
            return call(inputs, **options)
        convolution, bias = _find_convolution(inputs.op)
        if convolution is None or convolution.outputs[0].name in tapped:
            return call(inputs, **options)
        if bias is not None and not merges_biases:
            return call(inputs, **options)
        with tf.name_scope(layer.name):
            return _normalized_by_weights(layer, convolution, bias)

    return merged


def _find_convolution(op: tf.Operation) -> tuple[tf.Operation | None, tf.Tensor | None]:
    """Finds the convolution that an operation is, or whose output it adds a bias to."""
    bias = None
    if op.type in _ADDITIONS:
        op, bias = op.inputs[0].op, op.inputs[1]
        # One number for each channel or for all of them, in whatever shape.
        shape = bias.shape
        if not shape.is_fully_defined() or shape.num_elements() not in (1, *shape[-1:]):
            return None, None
    is_convolution = op.type in (*_CONVOLUTIONS, *_DEPTHWISE)
    is_convolution = is_convolution and op.get_attr("data_format") == b"NHWC"
    return (op, bias) if is_convolution else (None, None)


def _normalized_by_weights(
    layer: keras.layers.BatchNormalization, convolution: tf.Operation, bias: tf.Tensor | None
) -> tf.Tensor:
    factor = tf.math.rsqrt(tf.convert_to_tensor(layer.moving_variance) + layer.epsilon)
    factor *= tf.convert_to_tensor(layer.gamma)
    offset = tf.convert_to_tensor(layer.beta) - layer.moving_mean * factor
    if bias is not None:
        offset += tf.reshape(bias, [-1]) * factor
    before, weights = convolution.inputs
    attributes = {
        name: convolution.get_attr(name)
        for name in ("strides", "padding", "explicit_paddings", "data_format", "dilations")
    }
    if convolution.type in _DEPTHWISE:
        # (rows, columns, channels, multiplier); channel and multiplier together are one output.
        weights *= tf.reshape(factor, weights.shape[2:])
        output = tf.raw_ops.DepthwiseConv2dNative(input=before, filter=weights, **attributes)
    else:
        output = tf.raw_ops.Conv2D(input=before, filter=weights * factor, **attributes)
    return tf.nn.bias_add(output, offset)


def _is_plain(layer: keras.layers.BatchNormalization, inputs: tf.Tensor) -> bool:
    # In half precision, the layer itself normalizes in float32.
    is_single = inputs.dtype == tf.float32 and layer.compute_dtype == "float32"
    return bool(is_single and layer.scale and layer.center and layer.axis in (-1, 3))
