"""The preprocessing of pictures in [0, 255] for a network, and how to detect it."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

import tensorflow as tf
from keras.applications import imagenet_utils

from gradcam_cli.errors import GradcamError, UsageError
from gradcam_cli.models.catalogue import find_model
from gradcam_cli.networks.input_preparation import rescales_input
from gradcam_cli.networks.inputs import PICTURE_CHANNELS

# The modes of ``keras.applications.imagenet_utils.preprocess_input``, by the names used here.
_KERAS_MODES = {"-1-1": "tf", "caffe": "caffe", "torch": "torch"}
PREPROCESSINGS = ("none", "0-1", *_KERAS_MODES)
# The modes that need red, green and blue.
OF_RGB = ("caffe", "torch")
_GUESS = "a guess"
_AS_ASKED = "as you said"
# Networks of bands have no usual preprocessing, and no usual range of values.
OF_BANDS = "the values of the file as they are; change that with --preprocess"
_MAXIMUM = 255.0

# Layers that identify the family of keras.applications to which a network belongs, even if it
# was cut and has a new head. The first family whose layers are all present is chosen.
_FAMILIES: list[tuple[str, frozenset[str], str]] = [
    ("Xception", frozenset({"block1_conv1", "block1_conv1_bn"}), "-1-1"),
    ("VGG", frozenset({"block1_conv1", "block1_conv2", "block1_pool"}), "caffe"),
    ("ResNetV2", frozenset({"conv1_conv", "conv2_block1_preact_bn"}), "-1-1"),
    ("ResNet", frozenset({"conv1_conv", "conv2_block1_1_conv", "conv2_block1_add"}), "caffe"),
    ("DenseNet", frozenset({"conv2_block1_concat"}), "torch"),
    ("MobileNetV2", frozenset({"Conv1", "bn_Conv1", "expanded_conv_depthwise"}), "-1-1"),
    # Converters merge the normalization into the convolution, and its name is lost.
    ("MobileNetV2", frozenset({"Conv1", "Conv1_relu", "expanded_conv_depthwise"}), "-1-1"),
    ("MobileNet", frozenset({"conv1", "conv_dw_1"}), "-1-1"),
    ("InceptionResNetV2", frozenset({"mixed_5b"}), "-1-1"),
    ("InceptionV3", frozenset({"mixed0"}), "-1-1"),
    ("NASNet", frozenset({"stem_conv1", "stem_bn1"}), "-1-1"),
]


@dataclass(frozen=True)
class Preprocessing:
    """What to do with the input, and why.

    Attributes:
        mode: "none", "0-1" (divide by 255), "-1-1" (divide by 127.5, subtract 1), "caffe"
            (BGR, subtract ImageNet's mean), "torch" (0-1, then normalize by ImageNet's mean
            and standard deviation) or "scaled" (multiply by `scale`, add `offset`).
        reason: Where the choice comes from, in a few words for the user.
        scale: For "scaled", one factor or one for each channel; empty for no scaling.
        offset: For "scaled", one value to add or one for each channel; empty for none.
    """

    mode: str
    reason: str
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()

    @property
    def is_none_asked(self) -> bool:
        """Whether the user said that the network takes the values of a file as they are."""
        return self.mode == "none" and self.reason == _AS_ASKED

    @property
    def is_guess(self) -> bool:
        """Whether nothing in the model says that this is the right preprocessing."""
        return self.reason.startswith(_GUESS)

    @property
    def description(self) -> str:
        """What is done and why, in one line for the user."""
        steps = [
            f"{step} {', '.join(f'{value:.4g}' for value in values)}"
            for step, values in (("times", self.scale), ("plus", self.offset))
            if values
        ]
        return f"{', '.join(steps) or self.mode} ({self.reason})"

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Preprocesses a batch.

        Args:
            inputs: (N, height, width, channels) float32 in [0, 255], RGB for 3 channels.

        Returns:
            The same shape and dtype.
        """
        if self.mode == "none":
            return inputs
        if self.mode == "0-1":
            return inputs / _MAXIMUM
        if self.mode == "-1-1":
            return inputs / (_MAXIMUM / 2) - 1.0
        if self.mode == "scaled":
            for step, values in ((tf.multiply, self.scale), (tf.add, self.offset)):
                if values:
                    inputs = step(inputs, tf.constant(values, inputs.dtype))
            return inputs
        preprocessed: tf.Tensor = imagenet_utils.preprocess_input(
            inputs, data_format="channels_last", mode=_KERAS_MODES[self.mode]
        )
        return preprocessed


def parse_preprocessing(text: str) -> Preprocessing:
    """Parses the value of ``--preprocess``.

    Args:
        text: A mode of `Preprocessing`, or the name of a model in the catalogue.

    Raises:
        UsageError: It is neither.
    """
    if text in PREPROCESSINGS:
        return Preprocessing(text, _AS_ASKED)
    try:
        model = find_model(text)
    except GradcamError:
        raise UsageError(
            f"--preprocess {text}: neither one of {', '.join(PREPROCESSINGS)} nor a model that "
            f"'gradcam models' lists"
        ) from None
    return Preprocessing(model.preprocessing, f"as for {model.name}")


def detect_preprocessing(
    inputs: tf.Tensor, layer_names: Iterable[str], channels: int, has_lambda: bool = False
) -> Preprocessing:
    """Detects the preprocessing that a network expects.

    Args:
        inputs: The network's input in the traced graph.
        layer_names: The names of its layers, without the names of enclosing layers.
        channels: The number of channels of its input.
        has_lambda: Whether it has Lambda layers, which may do any arithmetic.

    Returns:
        "none" if the network computes with its input before the first layer with weights.
        Otherwise the preprocessing of its family in ``keras.applications``, if its layers'
        names identify one, else "0-1".
    """
    if rescales_input(inputs) and has_lambda:
        return Preprocessing(
            "none", "a guess: a Lambda layer may rescale the input; set it with --preprocess"
        )
    if rescales_input(inputs):
        return Preprocessing("none", "the model rescales its input itself")
    if channels not in PICTURE_CHANNELS:
        return Preprocessing("none", OF_BANDS)
    found = family_preprocessing(set(layer_names)) if channels == 3 else None
    guess = Preprocessing("0-1", "a guess: the model gives no hint; set it with --preprocess")
    return found or guess


def family_preprocessing(layer_names: Set[str]) -> Preprocessing | None:
    """Finds the preprocessing of the family in ``keras.applications`` that layers belong to.

    Args:
        layer_names: The names of a network's layers, without the names of enclosing layers.

    Returns:
        The preprocessing; None if the names identify no family.
    """
    for family, telling, mode in _FAMILIES:
        if telling <= layer_names:
            return Preprocessing(mode, f"its layers are those of {family}")
    return None
