"""EfficientNet-Lite, the built-in network: architecture and pretrained weights.

This is EfficientNet (Tan and Le, 2019, arXiv 1905.11946) without squeeze-and-excitation and
with ReLU6 in place of swish. The layers are named as in ``keras.applications.efficientnet``.
The weights come from Python packages that contain nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import WeightsError
from gradcam_cli.models.catalogue import CATALOGUE
from gradcam_cli.models.checkpoint import find_checkpoint, read_checkpoint

if TYPE_CHECKING:
    import keras
    import numpy as np

_CLASSES = 1000
_BATCH_NORM_EPSILON = 1e-3
_STEM_FILTERS = 32
_TOP_FILTERS = 1280


@dataclass(frozen=True)
class _Stage:
    repeats: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Variant:
    """One size of EfficientNet-Lite.

    Attributes:
        width: The factor on the number of filters of each stage.
        depth: The factor on the number of blocks of each stage.
    """

    width: float
    depth: float


VARIANTS = {
    "efficientnet-lite0": Variant(1.0, 1.0),
    "efficientnet-lite1": Variant(1.0, 1.1),
    "efficientnet-lite2": Variant(1.1, 1.2),
}


def build(
    name: str, weights: str | None = "imagenet", input_tensor: keras.KerasTensor | None = None
) -> keras.Model:
    """Builds an EfficientNet-Lite, like the functions of ``keras.applications``.

    Args:
        name: A key of `VARIANTS`.
        weights: "imagenet" for the pretrained weights; None for zeros.
        input_tensor: (N, height, width, 3) float32 RGB in [0, 255]; None for an input of any
            height and width.

    Returns:
        A functional model with the output (N, 1000) float32, probabilities.

    Raises:
        WeightsError: The package with the weights isn't installed, or they don't match.
        CheckpointError: The file in the package is damaged.
    """
    from keras import Input, Model, layers

    # The initial values of a pretrained model are never used, and drawing random ones would
    # take longer than the rest of the construction.
    conv_options = {"padding": "same", "use_bias": False}

    def batch_norm(x: Any, prefix: str) -> Any:
        return layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{prefix}bn")(x)

    def conv(x: Any, filters: int, prefix: str, kernel_size: int = 1, strides: int = 1) -> Any:
        x = layers.Conv2D(
            filters,
            kernel_size,
            strides,
            kernel_initializer="zeros",
            name=f"{prefix}conv",
            **conv_options,
        )(x)
        return batch_norm(x, prefix)

    def relu6(x: Any, prefix: str) -> Any:
        return layers.ReLU(6.0, name=f"{prefix}activation")(x)

    def block(x: Any, stage: _Stage, filters: int, strides: int, prefix: str) -> Any:
        shortcut = x
        if stage.expansion > 1:
            x = conv(x, x.shape[-1] * stage.expansion, f"{prefix}expand_")
            x = relu6(x, f"{prefix}expand_")
        x = layers.DepthwiseConv2D(
            stage.kernel_size,
            strides,
            depthwise_initializer="zeros",
            name=f"{prefix}dwconv",
            **conv_options,
        )(x)
        x = relu6(batch_norm(x, prefix), prefix)
        x = conv(x, filters, f"{prefix}project_")
        if strides == 1 and shortcut.shape[-1] == filters:
            x = layers.Add(name=f"{prefix}add")([x, shortcut])
        return x

    variant = VARIANTS[name]
    inputs = Input((None, None, 3), name="input") if input_tensor is None else input_tensor
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(inputs)
    x = relu6(conv(x, _STEM_FILTERS, "stem_", 3, 2), "stem_")
    for number, stage in enumerate(_STAGES, 1):
        filters = _round_filters(stage.filters, variant.width)
        for repeat in range(_repeats(number, variant)):
            strides = stage.stride if repeat == 0 else 1
            x = block(x, stage, filters, strides, f"block{number}{ascii_lowercase[repeat]}_")
    x = relu6(conv(x, _TOP_FILTERS, "top_"), "top_")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    outputs = layers.Dense(
        _CLASSES, activation="softmax", kernel_initializer="zeros", name="predictions"
    )(x)
    model = Model(inputs, outputs, name=name)
    if weights is not None:
        _load_pretrained(model, str(CATALOGUE[name].package))
    return model


def efficientnet_lite0(**options: Any) -> keras.Model:
    """Builds EfficientNet-Lite0; see `build`."""
    return build("efficientnet-lite0", **options)


def efficientnet_lite1(**options: Any) -> keras.Model:
    """Builds EfficientNet-Lite1; see `build`."""
    return build("efficientnet-lite1", **options)


def efficientnet_lite2(**options: Any) -> keras.Model:
    """Builds EfficientNet-Lite2; see `build`."""
    return build("efficientnet-lite2", **options)


def _load_pretrained(model: keras.Model, package: str) -> None:
    variant = VARIANTS[model.name]
    state_dict = read_checkpoint(find_checkpoint(model.name, package))
    try:
        for prefix, layer_name in _layer_names(variant):
            model.get_layer(layer_name).set_weights(_layer_weights(state_dict, prefix))
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{model.name}: the installed weights do not fit the network ({error}); "
            f"reinstall the package {package}"
        ) from error


def _repeats(stage_number: int, variant: Variant) -> int:
    # Unlike the original EfficientNets, the Lite networks don't scale the first and the last
    # stage, nor the stem and the top.
    repeats = _STAGES[stage_number - 1].repeats
    if stage_number in (1, len(_STAGES)):
        return repeats
    return math.ceil(repeats * variant.depth)


def _round_filters(filters: int, width: float) -> int:
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * scaled else rounded + 8


def _layer_names(variant: Variant) -> Iterator[tuple[str, str]]:
    """Yields the names of every layer with weights, in the checkpoint and in the model."""
    yield "_conv_stem", "stem_conv"
    yield "_bn0", "stem_bn"
    index = 0
    for number, stage in enumerate(_STAGES, 1):
        for repeat in range(_repeats(number, variant)):
            source = f"_blocks.{index}."
            target = f"block{number}{ascii_lowercase[repeat]}_"
            if stage.expansion > 1:
                yield f"{source}_expand_conv", f"{target}expand_conv"
                yield f"{source}_bn0", f"{target}expand_bn"
            yield f"{source}_depthwise_conv", f"{target}dwconv"
            yield f"{source}_bn1", f"{target}bn"
            yield f"{source}_project_conv", f"{target}project_conv"
            yield f"{source}_bn2", f"{target}project_bn"
            index += 1
    yield "_conv_head", "top_conv"
    yield "_bn1", "top_bn"
    yield "_fc", "predictions"


def _layer_weights(state_dict: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """Arranges one layer's tensors in Keras's order and layout."""
    weight = state_dict[f"{prefix}.weight"]
    if weight.ndim == 1:
        parts = ("bias", "running_mean", "running_var")
        return [weight, *(state_dict[f"{prefix}.{part}"] for part in parts)]
    if weight.ndim == 2:
        return [weight.T, state_dict[f"{prefix}.bias"]]
    if prefix.endswith("_depthwise_conv"):
        return [weight.transpose(2, 3, 0, 1)]
    return [weight.transpose(2, 3, 1, 0)]
