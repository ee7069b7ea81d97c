"""Normalization merged into convolutions gives the same numbers, also when weights change."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli import AblationCAM, FullGrad, GradCAM, LayerCAM, ScoreCAM
from gradcam_cli.networks.forward import trace_forward
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.networks.merging import MergedNetwork

INPUTS = np.random.default_rng(0).normal(size=(5, 24, 32, 3)).astype(np.float32)
TARGETS = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0]]
TAPS = ("conv", "bn", "plain", "plain_bn", "skip", "deep", "deep_bn", "block", "wrapped_bn", "last")


class Block(keras.layers.Layer):
    """Returns what its convolution returns, as blocks of many models do."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.Conv2D(6, 3, padding="same", name="inner")

    def build(self, shape):
        self.inner.build(shape)
        super().build(shape)

    def call(self, inputs):
        return self.inner(inputs)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Activation("elu", name="elu")(x)
    plain = keras.layers.Conv2D(6, 3, strides=2, use_bias=False, name="plain")(x)
    x = keras.layers.BatchNormalization(name="plain_bn")(plain)
    # What is merged is still needed here.
    x = keras.layers.Add(name="skip")([x, plain])
    x = keras.layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", name="deep")(x)
    x = keras.layers.BatchNormalization(name="deep_bn")(x)
    x = Block(name="block")(x)
    x = keras.layers.BatchNormalization(name="wrapped_bn")(x)
    x = keras.layers.BatchNormalization(name="twice")(x)
    x = keras.layers.Activation("elu", name="last")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(4)(x))
    change(model, 2)
    return model


def change(model, seed):
    draw = np.random.default_rng(seed)
    model.set_weights([draw.uniform(0.2, 1.0, weight.shape) for weight in model.get_weights()])


def plain_maps(model, layer, inputs=INPUTS):
    """Grad-CAM by a second model and a tape, as tutorials have it."""
    whole = keras.Model(model.input, [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        features, outputs = whole(inputs, training=False)
        scores = tf.reduce_sum(outputs * TARGETS[: len(inputs)], axis=-1)
    gradients = tape.gradient(scores, features)
    weights = tf.reduce_mean(gradients, (1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * features, -1)).numpy()


def assert_close(maps, expected):
    np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "layer",
    # On other processors, the first, one that needs what is merged, and the last.
    [
        pytest.param(tap, marks=pytest.mark.processor if tap in ("conv", "skip", "last") else ())
        for tap in TAPS
    ],
)
def test_maps_of_every_layer_are_those_of_the_model(model, layer):
    explainer = GradCAM(model, conv_layer=layer)
    maps = np.maximum(explainer.raw_maps(INPUTS, TARGETS), 0)
    assert_close(maps, plain_maps(model, layer))


def test_normalization_is_gone_but_where_nothing_is_to_merge_into(model):
    def passes(network):
        """Counts products with whole feature maps."""

        def trace(inputs):
            return trace_forward(network, inputs).logits

        signature = tf.TensorSpec((None, 24, 32, 3), tf.float32)
        graph = tf.function(trace, autograph=False).get_concrete_function(signature).graph
        products = [op.outputs[0] for op in graph.get_operations() if op.type == "Mul"]
        return len([one for one in products if one.shape.rank == 4 and one.shape[0] is None])

    assert passes(KerasNetwork(model, classes_only=False)) == 5
    assert passes(MergedNetwork(model, taps=["last"], classes_only=False)) == 1
    assert passes(MergedNetwork(model, taps=["plain"], classes_only=False)) == 2
    assert passes(MergedNetwork(model, taps=None, classes_only=False)) == 5


@pytest.mark.parametrize("added", [0.5, [0.5], [[[1.0, 2.0, 3.0, 4.0]]], np.ones((6, 8, 1))])
def test_whatever_is_added_between_convolution_and_normalization(added):
    class Adding(keras.layers.Layer):
        def call(self, inputs):
            return inputs + tf.constant(added, tf.float32)

    inputs = keras.Input((6, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(Adding()(x))
    x = keras.layers.Activation("elu", name="last")(x)
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(x)))
    change(model, 5)
    explainer = GradCAM(model, conv_layer="last")
    maps = np.maximum(explainer.raw_maps(INPUTS[:, :6, :8], TARGETS), 0)
    assert_close(maps, plain_maps(model, "last", INPUTS[:, :6, :8]))


@pytest.mark.parametrize("explainer", [GradCAM, LayerCAM, ScoreCAM, AblationCAM, FullGrad])
def test_weights_may_change_between_two_calls(explainer):
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(4, 3, padding="same", name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.ReLU(name="last"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )
    change(model, 3)
    kept = explainer(model, conv_layer="last")
    inputs = INPUTS[:2, :12, :12]
    before = kept(inputs, TARGETS[:2]).numpy()
    # Those of normalization alone: nothing else depends on them.
    model.get_layer("bn").set_weights([np.full(4, value) for value in (3.0, -0.5, 0.1, 2.0)])
    after = kept(inputs, TARGETS[:2]).numpy()
    assert np.abs(after - before).max() > 1e-3
    assert_close(after, explainer(model, conv_layer="last")(inputs, TARGETS[:2]))


def test_each_training_step_is_seen(model):
    copy = keras.models.clone_model(
        model, clone_function=lambda layer: layer.__class__.from_config(layer.get_config())
    )
    copy.set_weights(model.get_weights())
    explainer = GradCAM(copy, conv_layer="last")
    for step in range(3):
        change(copy, 10 + step)
        maps = np.maximum(explainer.raw_maps(INPUTS, TARGETS), 0)
        assert_close(maps, plain_maps(copy, "last"))


@pytest.mark.parametrize("explainer", [GradCAM, ScoreCAM])
def test_batches_side_by_side_keep_their_order(model, explainer):
    inputs = np.tile(INPUTS, (8, 1, 1, 1)) * np.linspace(0.2, 2, 40)[:, None, None, None]
    inputs = inputs[:: 1 if explainer is GradCAM else 8]
    targets = np.tile(TARGETS, (8, 1))[:: 1 if explainer is GradCAM else 8]
    one = explainer(model, conv_layer="last", batch_size=1)
    alone = [one(inputs[row : row + 1], targets[row : row + 1]) for row in range(len(inputs))]
    assert_close(one(inputs, targets), np.concatenate(alone))
    for batch_size in (2, 3, None):
        together = explainer(model, conv_layer="last", batch_size=batch_size)(inputs, targets)
        assert_close(together, np.concatenate(alone))


def test_memory_stays_while_weights_change():
    resource = pytest.importorskip("resource")
    model = keras.Sequential(
        [
            # Small maps: the weights are what takes memory.
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(512, 3, name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(512, 3, name="wide"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(name="last"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(4),
        ]
    )
    inputs = np.zeros((2, 6, 6, 3), np.float32)
    explainer = GradCAM(model, conv_layer="last")
    kernel, bias = model.get_layer("wide").get_weights()

    def peak_after(calls):
        for call in range(calls):
            model.get_layer("wide").set_weights([kernel * (1 + call), bias])
            explainer(inputs, TARGETS[:2])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    before = peak_after(20)
    # A copy of the weights for each call would be a gigabyte.
    assert peak_after(100) - before < 20 * kernel.nbytes
