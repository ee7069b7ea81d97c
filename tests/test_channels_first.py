"""Models that put the channels first give what the same models give that put them last."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from click.testing import CliRunner
from PIL import Image
from same_results import COLOR_STEP

from gradcam_cli import LayerCAM
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli import main
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.networks.grids import Grid
from gradcam_cli.networks.keras_network import KerasNetwork

SIZE = 32
CLASSES = 3
FIRST, LAST = "channels_first", "channels_last"


def network(data_format, layers=keras.layers):
    """Every kind of layer that cares for the channels, each with a name."""
    options = {"data_format": data_format}
    axis = 1 if data_format == FIRST else -1
    shape = (SIZE, SIZE, 3) if data_format == LAST else (3, SIZE, SIZE)
    inputs = layers.Input(shape)
    x = layers.ZeroPadding2D(((1, 0), (2, 1)), name="pad", **options)(inputs)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="valid", **options)(x)
    x = layers.BatchNormalization(axis=axis, name="norm")(x)
    x = layers.ReLU(6.0, name="relu6")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="same", **options)(x)
    x = layers.Conv2D(8, 3, dilation_rate=2, padding="same", name="dilated", **options)(x)
    x = layers.Activation("swish", name="swish")(x)
    before = x
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise", **options)(x)
    x = layers.SeparableConv2D(8, (3, 5), padding="same", name="separable", **options)(x)
    x = layers.Add(name="add")([x, before])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze", **options)(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate", **options)(gate)
    x = layers.Multiply(name="gated")([x, gate])
    x = layers.MaxPooling2D(3, 2, padding="same", name="max", **options)(x)
    x = layers.Conv2D(12, 3, padding="same", groups=2, name="grouped", **options)(x)
    x = layers.LeakyReLU(name="leaky")(x)
    x = layers.AveragePooling2D((2, 1), name="average", **options)(x)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", name="transposed", **options)(x)
    x = layers.Concatenate(axis, name="joined")([x, layers.Activation("tanh", name="tanh")(x)])
    x = layers.UpSampling2D(2, name="nearest", **options)(x)
    x = layers.UpSampling2D((1, 2), interpolation="bilinear", name="bilinear", **options)(x)
    x = layers.Cropping2D(((1, 2), (3, 5)), name="crop", **options)(x)
    x = layers.Conv2D(7, (3, 2), strides=2, activation="relu", name="last", **options)(x)
    x = layers.GlobalAveragePooling2D(name="pool", **options)(x)
    outputs = layers.Dense(CLASSES, activation="softmax", name="scores")(x)
    return layers, inputs, outputs


def twins(layers=keras.layers, models=keras):
    """The same network twice: with the channels first and last, and random weights."""
    first, last = (
        models.Model(*network(data_format, layers)[1:], name="twin")
        for data_format in (FIRST, LAST)
    )
    draw_weights(first, last)
    return first, last


def draw_weights(first, last, seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=weight.shape) * 0.4 for weight in last.get_weights()]
    # No variance is negative.
    weights = [np.abs(weight) + 0.1 if weight.ndim == 1 else weight for weight in weights]
    first.set_weights(weights)
    last.set_weights(weights)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("twins")


@pytest.fixture(scope="module")
def classifiers(folder):
    """The twins as files of Keras 3."""
    return load_both(folder, twins(), lambda model, path: model.save(f"{path}.keras"), ".keras")


def load_both(folder, models, save, suffix=""):
    loaded = []
    for model, name in zip(models, ("first", "last"), strict=True):
        path = folder / f"{name}-{type(model).__module__.partition('.')[0]}"
        save(model, path)
        loaded.append(load_classifier(ModelOptions(f"{path}{suffix}", preprocess="0-1")))
    return loaded


# One for each picture: with several, networks would be traced twice.
TARGETS = [[0], [2]]


def check_same(classifiers, pictures, layer=None, method="gradcam", **options):
    *others, last = (Explainer(each, layer, method, **options) for each in classifiers)
    expected = last.explain(pictures, TARGETS)
    assert expected.maps.max() == 1
    for other in others:
        assert (other.layer, other.pitch) == (last.layer, last.pitch)
        found = other.explain(pictures, TARGETS)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        np.testing.assert_allclose(found.maps, expected.maps, atol=1e-5)


LAYERS = {
    *("pad", "valid", "norm", "relu6", "same", "dilated", "swish", "depthwise", "separable"),
    *("add", "gated", "max", "grouped", "leaky", "average", "transposed", "joined", "nearest"),
    *("bilinear", "crop", "last"),
}


def look_inside(classifier, pictures):
    """Runs a network and gives what every spatial layer returns, its gradient and its pitch."""
    seen = {}

    @tf.function(autograph=False)
    def run(inputs):
        forward = classifier.trace(inputs)
        grids = {path: forward.grid(path) for path in forward.layer_outputs}
        seen.update({path: grid.pitch for path, grid in grids.items() if isinstance(grid, Grid)})
        maps = {path: forward.layer_outputs[path] for path in seen}
        gradients = tf.gradients(forward.logits[:, 1], list(maps.values()))
        return maps, dict(zip(maps, gradients, strict=True))

    maps, gradients = run(tf.constant(pictures))
    return {path: (maps[path], gradients[path], seen[path]) for path in maps}


def check_inside(classifiers, pictures):
    """Compares all layers that both have: the names in a graph differ a little."""
    found, expected = (look_inside(each, pictures) for each in classifiers)
    common = [path for path in expected if path in found]
    for path in common:
        feature_map, gradient, pitch = expected[path]
        assert found[path][2] == pitch, path
        np.testing.assert_allclose(found[path][0], feature_map, atol=1e-4, err_msg=path)
        if gradient is None:
            assert found[path][1] is None
        else:
            np.testing.assert_allclose(found[path][1], gradient, atol=1e-4, err_msg=path)
    return common


@pytest.mark.processor
def test_every_layer(classifiers, pictures):
    assert set(check_inside(classifiers, pictures)) >= LAYERS
    assert classifiers[0].input_shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("method", ["gradcam", "scorecam", "ablationcam", "guidedgradcam"])
def test_methods(classifiers, pictures, method):
    check_same(classifiers, pictures, method=method)


def test_saved_models(classifiers, folder, pictures):
    saved = load_both(folder, twins(), lambda model, path: model.export(path))
    assert saved[0].input_shape == (SIZE, SIZE, 3)
    assert len(check_inside(saved, pictures)) > 15
    # They have the gradients of their models. Those that an exported model brings along belong
    # to a graph that isn't there any more.
    check_same([*saved, *classifiers], pictures, method="fullgrad")


class Rearranging(keras.layers.Layer):
    """TensorFlow's own operations with the channels first, which its user doesn't see."""

    def __init__(self, data_format, blocks=False, **options):
        super().__init__(**options)
        self.format = data_format
        self.blocks = blocks

    def call(self, x):
        is_first = self.format == "NCHW"
        padding = [[1, 2], [0, 1]]
        padding = [[0, 0], [0, 0], *padding] if is_first else [[0, 0], *padding, [0, 0]]
        kernel = tf.reshape(tf.range(3 * 3 * 3 * 12, dtype=tf.float32) / 300 - 0.5, (3, 3, 3, 12))
        x = tf.transpose(x, (0, 3, 1, 2)) if is_first else x
        x = tf.nn.conv2d(x, kernel, 1, padding, data_format=self.format)
        x = tf.nn.relu(tf.nn.bias_add(x, tf.range(12.0) / 20, data_format=self.format))
        x = x[..., :32, :32] if is_first else x[:, :32, :32]
        if self.blocks:
            x = tf.nn.depth_to_space(x, 2, data_format=self.format)
        x = tf.raw_ops.MaxPoolV2(
            input=x,
            ksize=[1, 1, 2, 4] if is_first else [1, 2, 4, 1],
            strides=[1, 1, 2, 3] if is_first else [1, 2, 3, 1],
            padding="SAME",
            data_format=self.format,
        )
        return tf.transpose(x, (0, 2, 3, 1)) if is_first else x


def with_own_layers(**options):
    for data_format in "NCHW", "NHWC":
        inputs = keras.Input((SIZE, SIZE, 3))
        x = Rearranging(data_format, name="own", **options)(inputs)
        x = keras.layers.GlobalMaxPooling2D()(x)
        yield keras.Model(inputs, keras.layers.Softmax(name="scores")(x))


@pytest.mark.processor
def test_operations_within_a_layer(pictures):
    classifiers = [inspect_network("own", KerasNetwork(model)) for model in with_own_layers()]
    assert "own" in check_inside(classifiers, pictures)
    check_same(classifiers, pictures, method="fullgrad")


def test_operations_of_a_saved_model(tmp_path, pictures):
    models = with_own_layers(blocks=True)
    classifiers = load_both(tmp_path, models, lambda model, path: model.export(path))
    check_inside(classifiers, pictures)
    check_same(classifiers, pictures, method="fullgrad")


@pytest.mark.parametrize("kind", [".h5", ""])
def test_keras_2(folder, pictures, kind):
    def save(model, path):
        model.save(f"{path}{kind}", **({"save_format": "tf"} if not kind else {}))

    classifiers = load_both(folder, twins(tf_keras.layers, tf_keras), save, kind)
    assert len(check_inside(classifiers, pictures)) > 15


def test_folding_gives_the_same(classifiers, pictures):
    check_same([each.folded() for each in classifiers], pictures)


def test_new_weights_are_seen(pictures):
    first, last = twins()
    inputs = pictures / 255
    explainers = [LayerCAM(first, conv_layer="same"), LayerCAM(last, conv_layer="same")]
    targets = np.eye(CLASSES)[[1, 2]]
    before = [explain(inputs, targets) for explain in explainers]
    draw_weights(first, last, seed=5)
    after = [explain(inputs, targets) for explain in explainers]
    assert np.abs(before[1] - after[1]).max() > 0.01
    for found, expected in before, after:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_command(tmp_path, monkeypatch, save_picture):
    """A known architecture, as its own file and as a SavedModel, told with the channels first."""
    keras.config.set_image_data_format(FIRST)
    try:
        keras.utils.set_random_seed(1)
        whole = keras.applications.MobileNet((3, 64, 64), 0.25, weights=None, include_top=False)
        # Later blocks only repeat these.
        x = keras.layers.GlobalAveragePooling2D()(whole.get_layer("conv_pw_4_relu").output)
        model = keras.Model(whole.input, keras.layers.Dense(3, activation="softmax")(x))
        model.save(tmp_path / "first.keras")
        model.export(tmp_path / "first")
    finally:
        keras.config.set_image_data_format(LAST)
    save_picture(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(["first.keras", "first"]):
        options = ("--preprocess", "0-1", "--class", "1", "--out", f"out{number}")
        done = CliRunner().invoke(main, ["explain", "a.png", "--model", name, *options])
        assert done.exit_code == 0, done.output
    of_file, of_saved_model = (
        np.asarray(Image.open(tmp_path / f"out{number}/a_gradcam_first_0-1_1-class-1.png"), int)
        for number in range(2)
    )
    np.testing.assert_allclose(of_file, of_saved_model, atol=COLOR_STEP)


def test_the_catalogue_whatever_keras_is_told(tmp_path, run_gradcam, save_picture):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    save_picture(tmp_path / "a.png")
    done = run_gradcam("explain", "a.png", KERAS_HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
