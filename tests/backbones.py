"""Classifiers with random weights: small ones of KerasHub, and the smallest of Keras's families.

Left out of KerasHub are those that take more than a picture (SAM's decoder, D-FINE, PARSeq, BLIP-2:
their image encoders are ViTDet, HGNetV2 and ViT), several pictures (Gemma's encoders, VideoPrism)
or give pictures only (BASNet, VAE). What isn't a classifier's backbone at home gets a head here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import keras_hub
from keras import layers

from gradcam_cli.models.efficientnet_lite import efficientnet_lite0

Size = tuple[int, int]

CLASSES = 4
_hub = keras_hub.models


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for inputs of several sizes.

    Attributes:
        build: Makes the classifier for inputs of (height, width), in pixels.
        sizes: Each (height, width) that it is tested at: two for one network of each way in which
            the size matters (patches, resized positions, padded windows).
        any_size: Whether ``(None, None)`` makes one for inputs of every size.
        coarsest: How many pixels two cells of the coarsest map are apart that flows, resized, into
            finer ones; 0 if none does.
        others: How many layers besides the default one are worth a test.
        amplitude: Standard deviation of the inputs that it is tested with. Large ones make patches
            count more than position embeddings and what attention adds, so that each says more
            of its own place than of all others.
        probes: How many inputs a cell is tested with; narrow networks need more.
    """

    build: Callable[[Size], keras.Model]
    sizes: Sequence[Size]
    any_size: bool = False
    coarsest: float = 0.0
    others: int = 1
    amplitude: float = 64.0
    probes: int = 3


def pooled(backbone, output=None):
    """Puts average pooling and a dense layer on a backbone that gives maps or tokens.

    Args:
        backbone: A model of KerasHub with one input.
        output: The key of the output, where the backbone gives several.
    """
    inputs = keras.Input(_image_shape(backbone))
    x = _called(backbone, inputs)
    x = x if output is None else x[output]
    pooling = layers.GlobalAveragePooling2D if len(x.shape) == 4 else layers.GlobalAveragePooling1D
    return keras.Model(inputs, layers.Dense(CLASSES)(pooling()(x)))


def by_class_token(backbone):
    """Puts a dense layer on the first token of a backbone."""
    inputs = keras.Input(_image_shape(backbone))
    return keras.Model(inputs, layers.Dense(CLASSES)(_called(backbone, inputs)[:, 0]))


def by_vector(backbone):
    """Puts a dense layer on a backbone that gives a vector."""
    inputs = keras.Input(_image_shape(backbone))
    return keras.Model(inputs, layers.Dense(CLASSES)(_called(backbone, inputs)))


def _image_shape(backbone):
    shapes = keras.tree.flatten(keras.tree.map_structure(lambda x: tuple(x.shape), backbone.inputs))
    return tuple(shapes[1:4])


def _called(backbone, inputs):
    return backbone(keras.tree.map_structure(lambda _: inputs, backbone.input))


def _image(size):
    return (*size, 3)


def vit(size, **options):
    return _hub.ViTBackbone(_image(size), 8, 3, 2, 32, 64, **options)


def deit(size):
    backbone = _hub.DeiTBackbone(_image(size), 8, 3, 2, 32, 64)
    return _hub.DeiTImageClassifier(backbone, CLASSES)


def dinov2(size):
    return _hub.DINOV2Backbone(
        8, 3, 32, 2, 64, num_register_tokens=3, image_shape=_image(size),
        position_embedding_shape=(64, 64, 3),
    )  # fmt: skip


def dinov3(size):
    return _hub.DINOV3Backbone(8, 3, 32, 2, 64, image_shape=_image(size))


def siglip(size):
    return by_vector(_hub.SigLIPVisionEncoder(8, 32, 3, 2, 64, image_shape=_image(size)))


def clip(size):
    return by_class_token(_hub.CLIPVisionEncoder(8, 32, 3, 2, 64, image_shape=_image(size)))


def meta_clip(size):
    return by_class_token(_hub.MetaCLIP2VisionEncoder(8, 32, 3, 2, 64, image_shape=_image(size)))


def swin(size):
    backbone = _hub.SwinTransformerBackbone(_image(size), 16, (2, 2), (1, 2), 4, patch_size=4)
    return _hub.SwinTransformerImageClassifier(backbone, CLASSES)


def mix_transformer(size):
    return _hub.MiTBackbone(
        [1, 1, 2], 3, [1, 2, 2], [4, 2, 1], 0.0, [7, 3, 3], [4, 2, 2], _image(size), [16, 24, 32]
    )


def segformer(size):
    return pooled(_hub.SegFormerBackbone(mix_transformer(size), 16))


def vit_det(size):
    return pooled(
        _hub.ViTDetBackbone(
            32, 3, 64, 2, [2], _image(size), patch_size=8, num_output_channels=16, window_size=4
        )
    )


def csp_net(size, block="dark_block", stage="csp", **options):
    backbone = _hub.CSPNetBackbone(
        16, 3, 1, [1, 1, 2], [2, 2, 2], [16, 24, 32], block, stage_type=stage,
        block_ratio=[1.0 if stage == "dark" else 0.5], image_shape=_image(size), **options,
    )  # fmt: skip
    return _hub.CSPNetImageClassifier(backbone, CLASSES)


def densenet(size):
    backbone = _hub.DenseNetBackbone([2, 2, 2], _image(size), growth_rate=8)
    return _hub.DenseNetImageClassifier(backbone, CLASSES)


def efficientnet(size, **options):
    backbone = _hub.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 4,
        stackwise_depth_coefficients=[1.0] * 4,
        stackwise_kernel_sizes=[3, 3, 5, 3],
        stackwise_num_repeats=[1, 2, 2, 1],
        stackwise_input_filters=[16, 16, 16, 24],
        stackwise_output_filters=[16, 16, 24, 32],
        stackwise_expansion_ratios=[1, 4, 4, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.25, 0.25, 0.25],
        stackwise_strides=[1, 2, 2, 2],
        stackwise_block_types=["fused", "unfused", "unfused", "unfused"],
        stackwise_force_input_filters=[0] * 4,
        stackwise_nores_option=[False] * 4,
        num_features=32,
        input_shape=_image(size),
        **options,
    )
    return _hub.EfficientNetImageClassifier(backbone, CLASSES)


def hg_net(size):
    backbone = _hub.HGNetV2Backbone(
        [1, 1, 1], 16, [16, 24, 32], [3, 8, 16], "relu", False,
        [(16, 8, 16, 1, 2, 3), (16, 8, 24, 1, 2, 3), (24, 8, 32, 1, 2, 5)],
        [False, True, True], [False, False, True], _image(size),
    )  # fmt: skip
    return _hub.HGNetV2ImageClassifier(backbone, None, CLASSES)


def mobilenet(size):
    backbone = _hub.MobileNetBackbone(
        stackwise_expansion=[[32], [48, 64]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[24], [32, 32]],
        stackwise_kernel_size=[[3], [5, 5]],
        stackwise_num_strides=[[2], [2, 1]],
        stackwise_se_ratio=[[None], [0.25, 0.25]],
        stackwise_activation=[["relu"], ["hard_swish"] * 2],
        stackwise_padding=[[1], [2, 2]],
        output_num_filters=32,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=32,
        squeeze_and_excite=0.5,
        image_shape=_image(size),
    )
    return _hub.MobileNetImageClassifier(backbone, CLASSES)


def mobilenet_v5(size):
    def blocks(first, *others):
        return [[first], *[[other, other] for other in others]]

    backbone = _hub.MobileNetV5Backbone(
        stackwise_block_types=[["er"], ["uir", "uir"], ["uir", "mqa"]],
        stackwise_num_blocks=[1, 1, 2],
        stackwise_num_filters=blocks(16, 24, 32),
        stackwise_strides=[[2], [2, 1], [2, 1]],
        stackwise_act_layers=blocks("relu", "relu", "relu"),
        stackwise_exp_ratios=blocks(4.0, 4.0, 4.0),
        stackwise_se_ratios=blocks(0.0, 0.0, 0.0),
        stackwise_dw_kernel_sizes=blocks(0, 5, 3),
        stackwise_dw_start_kernel_sizes=blocks(0, 3, 0),
        stackwise_dw_end_kernel_sizes=blocks(0, 0, 0),
        stackwise_exp_kernel_sizes=blocks(3, 0, 0),
        stackwise_pw_kernel_sizes=blocks(1, 0, 0),
        stackwise_num_heads=blocks(0, 0, 2),
        stackwise_key_dims=blocks(0, 0, 8),
        stackwise_value_dims=blocks(0, 0, 8),
        stackwise_kv_strides=blocks(0, 0, 2),
        stackwise_use_cpe=blocks(False, False, False),
        num_features=32,
        msfa_output_resolution=(size[0] // 16, size[1] // 16),
        image_shape=_image(size),
    )
    # Cells are to say most of their own place, and normalization undoes the scale of the input.
    for weight in backbone.weights:
        if weight.path.endswith("attn/output_proj/kernel"):
            weight.assign(weight * 0.01)
    return _hub.MobileNetV5ImageClassifier(backbone, CLASSES, head_hidden_size=32)


def resnet(size, block="basic_block", **options):
    backbone = _hub.ResNetBackbone(
        [64], [7], [64, 64, 64], [1, 1, 1], [1, 2, 2], block, image_shape=_image(size), **options
    )
    return _hub.ResNetImageClassifier(backbone, CLASSES)


def resnet_vd(size):
    backbone = _hub.ResNetBackbone(
        [16, 16, 64], [3, 3, 3], [64, 64, 64], [1, 1, 1], [1, 2, 2], "bottleneck_block_vd",
        image_shape=_image(size),
    )  # fmt: skip
    return _hub.ResNetImageClassifier(backbone, CLASSES)


def vgg(size):
    # The head of KerasHub's own classifier wants 7×7 cells at least and is 4096 wide.
    return pooled(_hub.VGGBackbone([1, 1, 2, 2], [16, 16, 24, 32], _image(size)))


def xception(size):
    backbone = _hub.XceptionBackbone(
        [[8, 16], [24, 24], [32, 32], [32]], [False, True, True, False], _image(size)
    )
    return _hub.XceptionImageClassifier(backbone, CLASSES)


def deeplab(size):
    encoder = _hub.ResNetBackbone(
        [64], [7], [64, 64, 64], [1, 1, 1], [1, 2, 2], "basic_block", image_shape=_image(size)
    )
    return pooled(
        _hub.DeepLabV3Backbone(
            encoder, "P4", 4, [2, 4], low_level_feature_key="P2", projection_filters=8,
            image_shape=_image(size),
        )
    )  # fmt: skip


def retina_net(size):
    encoder = _hub.ResNetBackbone(
        [64], [7], [64, 64, 64], [1, 1, 1], [1, 2, 2], "basic_block", image_shape=_image(size)
    )
    return pooled(_hub.RetinaNetBackbone(encoder, 3, 4, False, image_shape=_image(size)), "P3")


def depth_anything(size):
    encoder = _hub.DINOV2Backbone(
        8, 4, 32, 2, 64, image_shape=_image(size), position_embedding_shape=(64, 64, 3),
        apply_layernorm=True,
    )  # fmt: skip
    return pooled(
        _hub.DepthAnythingBackbone(
            encoder, [4, 2, 1, 0.5], [16, 16, 16, 16], 16, 8, -1,
            ["stage1", "stage2", "stage3", "stage4"],
        )
    )  # fmt: skip


def keras_application(name):
    """Gives what builds a network of `keras.applications` up to its pooling."""
    build = getattr(keras.applications, name)

    def pooled_network(size):
        network = build(include_top=False, weights=None, input_shape=_image(size), pooling="avg")
        return keras.Model(network.input, layers.Dense(CLASSES)(network.output))

    return pooled_network


def convnext(size):
    """Builds the first half of ConvNeXtTiny; the second repeats it, at a high price."""
    network = keras.applications.ConvNeXtTiny(
        include_top=False, weights=None, input_shape=_image(size)
    )
    return pooled_at(network, "convnext_tiny_downsampling_block_1")


def inception_resnet_v2(size):
    """Builds InceptionResNetV2 up to the second block after the first reduction, as above."""
    network = keras.applications.InceptionResNetV2(
        include_top=False, weights=None, input_shape=_image(size)
    )
    return pooled_at(network, "block17_2_ac")


def pooled_at(network, name):
    """Puts average pooling and a dense layer on a layer of a network."""
    x = layers.GlobalAveragePooling2D()(network.get_layer(name).output)
    return keras.Model(network.input, layers.Dense(CLASSES)(x))


def efficientnet_lite(size):
    network = efficientnet_lite0(weights=None, input_tensor=keras.Input(_image(size)))
    draw = keras.initializers.HeNormal(seed=1)
    for weight in network.trainable_weights:
        if weight.path.endswith("kernel"):
            weight.assign(draw(weight.shape))
    return network


OBLONG = ((96, 160),)
SQUARE = ((96, 96),)
# Five cells in a row, also where convolutions aren't padded.
LARGE = ((160, 192),)
LARGER = ((224, 256),)
# Also where a cell sees far.
LARGEST = ((288, 320),)

ARCHITECTURES = {
    "vit-class-token": Architecture(
        lambda size: _hub.ViTImageClassifier(vit(size), CLASSES), (*OBLONG, (128, 96)), others=2
    ),
    "vit-average": Architecture(
        lambda size: _hub.ViTImageClassifier(
            vit(size, use_class_token=False), CLASSES, pooling="gap"
        ),
        OBLONG,
    ),
    "deit": Architecture(deit, OBLONG, others=2),
    "dinov2": Architecture(
        lambda size: by_class_token(dinov2(size)), (*SQUARE, (128, 128)), others=2
    ),
    "dinov3": Architecture(lambda size: by_class_token(dinov3(size)), OBLONG, others=2),
    "siglip": Architecture(siglip, SQUARE),
    "clip": Architecture(clip, SQUARE),
    "metaclip2": Architecture(meta_clip, SQUARE),
    # At the second size its windows are padded.
    "swin": Architecture(swin, ((96, 160), (112, 80)), others=2),
    "mit": Architecture(
        lambda size: _hub.MiTImageClassifier(mix_transformer(size), CLASSES), SQUARE, others=2
    ),
    "segformer": Architecture(segformer, SQUARE, coarsest=16),
    "vitdet": Architecture(vit_det, SQUARE),
    "cspnet": Architecture(csp_net, OBLONG),
    "cspnet-dark": Architecture(lambda size: csp_net(size, stage="dark"), OBLONG),
    "cspnet-cs3": Architecture(
        lambda size: csp_net(size, "edge_block", "cs3", avg_down=True, stem_padding="same"),
        OBLONG,
    ),
    "densenet": Architecture(densenet, OBLONG),
    "efficientnet": Architecture(efficientnet, OBLONG),
    "hgnetv2": Architecture(hg_net, OBLONG),
    "kerashub-mobilenet": Architecture(mobilenet, OBLONG),
    "mobilenetv5": Architecture(mobilenet_v5, OBLONG, coarsest=16, probes=8),
    "resnet": Architecture(resnet, OBLONG),
    "resnetv2": Architecture(
        lambda size: resnet(size, "bottleneck_block", use_pre_activation=True), OBLONG
    ),
    "resnet-vd": Architecture(resnet_vd, OBLONG),
    "vgg": Architecture(vgg, OBLONG),
    "kerashub-xception": Architecture(xception, OBLONG),
    "deeplab": Architecture(deeplab, OBLONG, coarsest=16, others=0),
    "retinanet": Architecture(retina_net, OBLONG, coarsest=16),
    "depthanything": Architecture(depth_anything, SQUARE, coarsest=16, others=0),
    **{
        name.lower(): Architecture(
            keras_application(name), sizes, any_size=True, others=0, amplitude=1, probes=probes
        )
        for name, sizes, probes in [
            ("VGG16", ((128, 160),), 2),
            ("ResNet50", LARGE, 2),
            ("ResNet50V2", LARGE, 2),
            ("InceptionV3", LARGER, 3),
            ("Xception", LARGER, 3),
            ("MobileNet", LARGEST, 4),
            ("MobileNetV2", LARGER, 5),
            ("MobileNetV3Small", LARGER, 8),
            ("DenseNet121", LARGE, 2),
            ("EfficientNetB0", LARGEST, 2),
            ("EfficientNetV2B0", LARGER, 3),
        ]
    },
    "inceptionresnetv2": Architecture(
        inception_resnet_v2, LARGE, any_size=True, others=0, amplitude=1, probes=4
    ),
    "convnexttiny": Architecture(convnext, OBLONG, any_size=True, amplitude=1),
    # It pads differently for each size, so that each is a network of its own.
    "nasnetmobile": Architecture(
        keras_application("NASNetMobile"), LARGER, others=0, amplitude=1, probes=5
    ),
    "efficientnet-lite0": Architecture(
        efficientnet_lite, LARGEST, any_size=True, others=0, amplitude=1
    ),
}
