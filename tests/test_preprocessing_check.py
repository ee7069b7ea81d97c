"""The warning of a guessed preprocessing under which a network hardly tells pictures apart."""

from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli import main
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.run.preprocessing_check import describe_indecision

COLORS = {"red": (250, 10, 10), "green": (10, 240, 20), "blue": (20, 10, 230)}


def color_network(scale, offset=0.0, units=3):
    """Scores red, green and blue by the means of the channels, times a scale."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(3, 1, use_bias=False, name="channels")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(units, activation="softmax")(x))
    bias = np.eye(units)[0] * offset
    weights = [np.eye(3).reshape(1, 1, 3, 3), scale * np.eye(3)[:, :units], bias]
    model.set_weights(weights)
    return model


@pytest.fixture
def warning(tmp_path):
    """Saves a network and gives the warning for pictures of these colours, if there is one."""

    def find(model, colors=("red", "green", "blue"), preprocess=None):
        model.save(tmp_path / "colors.keras")
        pictures = []
        for number, color in enumerate(colors):
            path = tmp_path / f"{number}.png"
            Image.new("RGB", (20, 20), COLORS.get(color, color)).save(path)
            pictures.append(InputPicture(path, Path()))
        options = ModelOptions(str(tmp_path / "colors.keras"), preprocess=preprocess)
        classifier = load_classifier(options)
        return describe_indecision(Explainer(classifier), pictures, classifier.input_for())

    return find


@pytest.mark.parametrize("offset", [0, 0.5])
def test_a_network_for_0_to_255_is_noticed_under_0_to_1(warning, offset):
    # Nearly uniform, or nearly the same for all pictures.
    said = warning(color_network(1 / 20, offset))
    assert said.startswith("colors.keras: with the guessed preprocessing 0-1, the predictions for ")
    assert "3 pictures are nearly the same" in said
    assert "it tells them apart with --preprocess none (100.0 %) or --preprocess caffe (" in said
    assert said.endswith("; choose the one that it was trained with")


def test_what_the_user_said_or_the_model_says_is_not_doubted(warning):
    assert warning(color_network(1 / 20), preprocess="0-1") is None
    inputs = keras.Input((16, 16, 3))
    rescaled = keras.layers.Rescaling(1 / 255)(inputs)
    assert warning(keras.Model(inputs, color_network(1 / 20)(rescaled))) is None


def test_a_right_guess_is_not_doubted_whatever_pictures_show(warning):
    assert warning(color_network(12)) is None
    alike = [(250, 10 + 3 * number, 10) for number in range(6)]
    assert warning(color_network(12), alike) is None
    # So certain that its probabilities are equal.
    assert warning(color_network(900, units=2), alike) is None


def test_too_few_pictures_and_untrained_networks_say_nothing(warning):
    assert warning(color_network(1 / 20), ["red", "green"]) is None
    assert warning(color_network(0)) is None
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(x))
    assert warning(keras.Model(inputs, keras.layers.Dense(10)(x))) is None


def test_pictures_of_all_parts_of_the_list_are_looked_at(warning):
    # The first ten show a single class.
    assert warning(color_network(1 / 20), ["red"] * 10 + ["green"] * 10 + ["blue"] * 10)


def test_the_command_warns_once_unless_it_is_quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    color_network(1 / 20).save("colors.keras")
    (tmp_path / "photos").mkdir()
    for name, color in COLORS.items():
        Image.new("RGB", (20, 20), color).save(f"photos/{name}.png")
    for quiet, times in ([], 1), (["-q"], 0), (["--preprocess", "none"], 0):
        done = CliRunner().invoke(main, ["photos", "-m", "colors.keras", "-o", "maps/", *quiet])
        assert done.exit_code == 0, done.output
        assert done.stderr.count("Warning: colors.keras: with the guessed preprocessing") == times


def test_grey_networks_are_offered_no_preprocessing_of_colors(tmp_path):
    inputs = keras.Input((16, 16, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(1, 1, use_bias=False)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.set_weights([np.ones((1, 1, 1, 1)), np.array([[1 / 20, -1 / 20]]), np.array([-2, 2])])
    model.save(tmp_path / "grey.keras")
    pictures = []
    for number, level in enumerate((0, 5, 200, 255)):
        Image.new("L", (16, 16), level).save(tmp_path / f"{number}.png")
        pictures.append(InputPicture(tmp_path / f"{number}.png", Path()))
    classifier = load_classifier(ModelOptions(str(tmp_path / "grey.keras")))
    said = describe_indecision(Explainer(classifier), pictures, classifier.input_for())
    assert "with --preprocess none (" in said
    assert "caffe" not in said
