import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.networks.grids import GridTrace, NoGrid
from gradcam_cli.pictures.fitting import fit_picture


def pitch_of(feature_layers, classify, size=96):
    inputs = keras.Input((size, size, 3))
    x = inputs
    for layer in feature_layers:
        x = layer(x)
    x = layers.Identity(name="tap")(x)
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    return Explainer(classify(model), "tap").pitch


class CalledFunction(layers.Layer):
    """A convolution that is compiled by itself, as Keras has grouped ones."""

    def __init__(self, strides, inner=1, **options):
        super().__init__(**options)
        self.convolution = conv(strides)
        self.pooling = layers.MaxPooling2D(inner)
        self.function = tf.function(self.compute, jit_compile=True)

    def compute(self, x):
        return self.pooling(self.convolution(x))

    def call(self, x):
        return self.function(x)


def conv(strides=1, size=3, padding="same", **options):
    return layers.Conv2D(4, size, strides, padding=padding, **options)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: [conv()], (1, 1)),
        (lambda: [conv(padding="valid")], (1, 1)),
        (lambda: [conv(2)], (2, 2)),
        (lambda: [conv(2, padding="valid"), conv(3, 5, "valid")], (6, 6)),
        (lambda: [conv((2, 1))], (2, 1)),
        (lambda: [conv(dilation_rate=2)], (1, 1)),
        (lambda: [conv(2), conv(dilation_rate=4, padding="valid"), conv(2)], (4, 4)),
        (lambda: [layers.MaxPooling2D(2), layers.AveragePooling2D(3)], (6, 6)),
        (lambda: [layers.MaxPooling2D(3, 2, "same"), conv()], (2, 2)),
        (lambda: [layers.MaxPooling2D((1, 4))], (1, 4)),
        (lambda: [layers.DepthwiseConv2D(3, 2, padding="same")], (2, 2)),
        (lambda: [layers.SeparableConv2D(4, 3, 2, padding="same")], (2, 2)),
        (lambda: [layers.ZeroPadding2D(3), conv(2, 7, "valid")], (2, 2)),
        (lambda: [layers.Cropping2D(8), conv(2)], (2, 2)),
        (lambda: [layers.Cropping2D(40), conv(2)], (2, 2)),
        # From 8 cells to 4 without a stride.
        (lambda: [conv(12), conv(size=5, padding="valid")], (12, 12)),
        (lambda: [conv(12), layers.DepthwiseConv2D(5)], (12, 12)),
        (lambda: [layers.DepthwiseConv2D(3, dilation_rate=2, padding="same"), conv(2)], (2, 2)),
        (lambda: [CalledFunction(2), conv(2)], (4, 4)),
        (lambda: [CalledFunction(3, inner=2)], (6, 6)),
        (lambda: [conv(4), layers.Conv2DTranspose(4, 3, 2, padding="same")], (2, 2)),
        (lambda: [conv(4), layers.UpSampling2D(2)], (2, 2)),
        (lambda: [conv(2), layers.UpSampling2D(2, interpolation="bilinear")], (1, 1)),
        (lambda: [layers.Resizing(48, 48), conv(2)], (4, 4)),
        (lambda: [conv(2), layers.BatchNormalization(), layers.ReLU()], (2, 2)),
        (lambda: [conv(2), layers.Permute((2, 1, 3)), layers.Permute((2, 1, 3))], (2, 2)),
    ],
)
def test_pitch_is_the_product_of_the_strides(classify, make, expected):
    assert pitch_of(make(), classify) == expected


def test_a_pitch_that_cannot_be_is_replaced_and_said(classify):
    inputs = keras.Input((32, 32, 3))
    x = conv(2, name="tap")(layers.ZeroPadding2D(40)(inputs))
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    explainer = Explainer(classify(keras.Model(inputs, outputs)))
    assert explainer.pitch == (32 / 56, 32 / 56)
    assert "a guess" in explainer.facts.cells


def test_pitch_of_branches_is_that_of_their_sum(classify):
    inputs = keras.Input((96, 96, 3))
    long = conv()(conv(2)(inputs))
    short = layers.AveragePooling2D(2)(inputs)
    x = layers.Concatenate(name="tap")([long, short])
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(conv(2, name="after")(x)))
    classifier = classify(keras.Model(inputs, outputs))
    assert Explainer(classifier, "tap").pitch == (2, 2)
    assert Explainer(classifier, "after").pitch == (4, 4)


def test_pitch_of_a_coarse_branch_beside_a_fine_one(classify):
    inputs = keras.Input((96, 96, 3))
    fine = conv(2)(inputs)
    coarse = layers.UpSampling2D(4)(conv(4)(fine))
    x = layers.Add(name="tap")([fine, coarse])
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    assert Explainer(classify(keras.Model(inputs, outputs)), "tap").pitch == (2, 2)


def test_attention_beside_the_maps_does_not_count(classify):
    inputs = keras.Input((96, 96, 3))
    x = conv(4)(inputs)
    squeezed = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(x))
    excited = layers.Conv2D(4, 1, activation="sigmoid")(squeezed)
    x = layers.Multiply(name="tap")([x, excited])
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    assert Explainer(classify(keras.Model(inputs, outputs)), "tap").pitch == (4, 4)


def test_a_map_of_something_else_is_refused():
    with tf.Graph().as_default():
        inputs = tf.compat.v1.placeholder(tf.float32, (None, 8, 8, 3))
        other = tf.ones((1, 4, 4, 2))
        found = GridTrace(inputs, tf.reduce_sum(inputs, (1, 2)), [other], (8, 8)).find(other)
        assert isinstance(found, NoGrid)
        assert "depend" in found.reason


def test_the_built_in_model_has_the_pitch_of_its_strides(builtin, explainer):
    assert explainer.pitch == (32, 32)
    assert Explainer(builtin, "block3b_add").pitch == (8, 8)


# Every network sums what it sees, so that its hot cell lies over the planted spot.
def averaging(strides=1, size=3, padding="same", **options):
    return layers.Conv2D(
        1, size, strides, padding=padding, kernel_initializer="ones", use_bias=False, **options
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: [averaging(2), averaging(2)],
        lambda: [averaging(1, 9, "valid"), averaging(1, 9, "valid"), averaging(2, 3, "valid")],
        lambda: [averaging(1, 13, "valid"), layers.MaxPooling2D(2), averaging(1, 9, "valid")],
        lambda: [layers.ZeroPadding2D(3), averaging(2, 7, "valid")],
        lambda: [layers.AveragePooling2D(4), averaging(dilation_rate=2, padding="valid")],
        lambda: [
            averaging(4),
            layers.Conv2DTranspose(1, 3, 2, padding="same", kernel_initializer="ones"),
        ],
        lambda: [averaging(1, (5, 21), "valid"), averaging((2, 1), 3, "valid")],
    ],
)
def test_the_heat_lies_over_a_planted_spot(classify, make, centroid):
    inputs = keras.Input((96, 96, 3))
    x = inputs
    for layer in make():
        x = layer(x)
    x = layers.Identity(name="tap")(x)
    pooled = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(2, kernel_initializer="ones", use_bias=False)(pooled)
    explainer = Explainer(classify(keras.Model(inputs, outputs)), "tap")
    for spot in ((48, 48), (32, 56), (66, 30)):
        pixels = np.zeros((1, 96, 96, 3), np.float32)
        pixels[0, spot[1] - 4 : spot[1] + 4, spot[0] - 4 : spot[0] + 4] = 1
        heatmap = explainer.explain(pixels, [[0]]).maps[0, 0]
        fit = fit_picture((96, 96), "squash", (96, 96))
        heat = np.asarray(fit.upsample(heatmap, explainer.pitch))
        x_found, y_found = centroid(heat)
        # Half a cell, and what padding by one side more than the other shifts.
        assert x_found == pytest.approx(spot[0], abs=0.75 * explainer.pitch[1] + 0.5)
        assert y_found == pytest.approx(spot[1], abs=0.75 * explainer.pitch[0] + 0.5)
