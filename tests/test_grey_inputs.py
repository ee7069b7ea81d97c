"""Networks that take grey pictures without an axis for the channel, (N, height, width)."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from click.testing import CliRunner
from PIL import Image

from gradcam_cli import GradCAM, explain_image
from gradcam_cli.cli import main
from gradcam_cli.errors import UnsupportedModelError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

SIDE = 28
SQUARE = slice(4, 9), slice(16, 21)


def digit_network(library=keras, shape=(SIDE, SIDE)):
    """A network of which the first class is what is bright, with weights set by hand."""
    layers = library.layers
    model = library.Sequential(
        [
            layers.Input(shape),
            layers.Reshape((SIDE, SIDE, 1)),
            layers.Conv2D(2, 3, padding="same", activation="relu", use_bias=False, name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, use_bias=False, name="scores"),
        ]
    )
    kernel = np.stack([np.full((3, 3, 1), 1 / 9), np.full((3, 3, 1), -1 / 9)], -1)
    model.set_weights([kernel, np.eye(2)])
    return model


@pytest.fixture
def picture():
    """Black, with a white square."""
    values = np.zeros((SIDE, SIDE), np.uint8)
    values[SQUARE] = 255
    return values


def mean_of_neighbours(picture):
    """What the first filter gives, scaled to a maximum of 1."""
    padded = np.pad(picture.astype(float), 1)
    shifted = [padded[r : r + SIDE, c : c + SIDE] for r in range(3) for c in range(3)]
    mean = sum(shifted)
    return mean / mean.max()


@pytest.mark.parametrize("kind", ["model.keras", "model.h5", "exported"])
def test_files_that_take_pictures_without_channels_work(tmp_path, monkeypatch, picture, kind):
    monkeypatch.chdir(tmp_path)
    if kind == "exported":
        digit_network().export(kind)
    else:
        digit_network(keras if kind == "model.keras" else tf_keras).save(kind)
    Image.fromarray(picture).save("digit.png")
    explained = explain_image("digit.png", 0, model=kind)
    np.testing.assert_allclose(explained.heatmap, mean_of_neighbours(picture), atol=1e-4)

    done = CliRunner().invoke(main, ["info", kind, "--json"])
    record = json.loads(done.stdout)
    assert (record["input_size"], record["channels"]) == ([SIDE, SIDE], 1)
    assert record["default_layer"]["cells"] == [SIDE, SIDE]
    done = CliRunner().invoke(main, ["digit.png", "-m", kind, "-o", "maps/", "--heatmap", "npy"])
    assert done.exit_code == 0, done.output
    (written,) = (tmp_path / "maps").glob("*.npy")
    np.testing.assert_allclose(np.load(written), mean_of_neighbours(picture), atol=1e-3)


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize("options", [{"scale": True}, {"conv_layer": "conv", "scale": True}])
def test_the_classes_in_python_take_them(picture, library, options):
    explainer = GradCAM(digit_network(library), **options)
    inputs = np.stack([picture, picture.T]) / 255
    expected = np.stack([mean_of_neighbours(one) for one in inputs])
    for given in (inputs, tf.constant(inputs), inputs[..., None]):
        maps = explainer.explain(given, np.eye(2)[[0, 0]])
        assert maps.shape == (2, SIDE, SIDE, 1)
        np.testing.assert_allclose(maps[..., 0], expected, atol=1e-4)
    dataset = tf.data.Dataset.from_tensor_slices((inputs, np.eye(2)[[0, 0]]))
    np.testing.assert_allclose(explainer.explain(dataset)[..., 0], expected, atol=1e-4)
    np.testing.assert_allclose(explainer.compute_heatmap(inputs[0], 0), expected[0], atol=1e-4)


def test_smoothing_mirrors_columns_not_rows(picture):
    maps = GradCAM(digit_network(), smoothing=True).explain(picture[None] / 255, np.eye(2)[[0]])
    np.testing.assert_allclose(maps[0, ..., 0], mean_of_neighbours(picture), atol=1e-4)


def test_a_network_that_rescales_such_an_input_is_noticed(tmp_path):
    inputs = keras.Input((SIDE, SIDE))
    x = keras.layers.Rescaling(1 / 255)(keras.ops.expand_dims(inputs, -1))
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(2, 3)(x))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "own.keras")
    classifier = load_classifier(ModelOptions(str(tmp_path / "own.keras")))
    assert classifier.preprocess.mode == "none"


def refusal(model, path):
    model.save(path)
    with pytest.raises(UnsupportedModelError) as error:
        load_classifier(ModelOptions(str(path)))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_flattened_picture_is_refused_with_a_way_that_works(tmp_path, picture):
    path = tmp_path / "flat.keras"
    model = digit_network(shape=(SIDE * SIDE,))
    said = refusal(model, path)
    assert said.startswith(f"{path}: takes flat lists of numbers, (None, 784), without rows and")
    advice = said.partition("wrap it and save that: ")[2]
    wrapped = eval(advice, {"keras": keras, "model": model})
    wrapped.save(path)
    explained = explain_image(picture, 0, model=str(path))
    np.testing.assert_allclose(explained.heatmap, mean_of_neighbours(picture), atol=1e-4)
    dense = keras.Sequential([keras.Input((SIDE * SIDE,)), keras.layers.Dense(2)])
    assert "keras.layers.Flatten(), model]); --method rise then explains it" in refusal(dense, path)


def test_inputs_of_steps_are_no_pictures(tmp_path):
    steps = [keras.Input((50, 6)), keras.layers.Conv1D(4, 3), keras.layers.GlobalMaxPooling1D()]
    model = keras.Sequential([*steps, keras.layers.Dense(2)])
    said = refusal(model, tmp_path / "steps.keras")
    assert "takes inputs of the shape (None, 50, 6), and no layer has rows and columns" in said
    maps = GradCAM(model).explain(np.random.default_rng(0).random((3, 50, 6)), np.eye(2)[[0, 1, 1]])
    assert maps.shape == (3, 50, 1)
