"""What a notebook does in two lines."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

import gradcam_cli
from gradcam_cli import explain_image, load_model
from gradcam_cli.errors import ImageError, UnknownClassError, UnsupportedModelError
from gradcam_cli.files.marks import is_own_result


def test_a_picture_is_explained_as_the_command_does(samples, invoke, tmp_path):
    explanation = explain_image(str(samples / "dog.jpg"))
    assert explanation.target == explanation.predictions[0]
    assert explanation.target.index == 235
    assert explanation.target.name == "German shepherd"
    assert len(explanation.predictions) == 5
    assert explanation.has_evidence
    with Image.open(samples / "dog.jpg") as picture:
        width, height = picture.size
    assert explanation.overlay.size == (width, height)
    assert explanation.heatmap.shape == (height, width)
    assert explanation.heatmap.dtype == np.float32
    assert explanation.heatmap.max() > 0.95
    assert invoke(samples / "dog.jpg", "-o", "by_command", "-q").exit_code == 0
    saved = explanation.save(tmp_path / "dog_gradcam.png")
    assert is_own_result(saved)
    with Image.open(saved) as own, Image.open(tmp_path / "by_command/dog_gradcam.png") as other:
        difference = np.abs(np.asarray(own).astype(int) - np.asarray(other))
        assert own.text["Title"] == other.text["Title"]
    # The command folds the network, so that some pixels take the next of 256 colours.
    assert difference.max() <= 4
    assert (difference > 0).mean() < 0.01


def test_it_shows_itself_as_the_overlay_with_its_class_below(samples):
    explanation = explain_image(samples / "cat.jpg", "tabby", method="layercam", alpha=0.7)
    shown = Image.open(io.BytesIO(explanation._repr_png_()))
    overlay = np.asarray(explanation.overlay)
    height, width = overlay.shape[:2]
    np.testing.assert_array_equal(np.asarray(shown)[:height], overlay)
    band = np.asarray(shown.convert("L"))[height:]
    assert band.shape[1] == width
    assert 30 < band.shape[0] < height / 4
    # Two lines of text: rows with dark pixels, a gap, and rows again.
    dark = np.diff((band < 160).any(axis=1).astype(int))
    assert (dark == 1).sum() >= 2
    assert repr(explanation).startswith("<LayerCAM of tabby (281), efficientnet-lite0 layer top")


def test_pictures_come_as_files_arrays_and_pillow(samples):
    picture = Image.open(samples / "bee.jpg")
    maps = [
        explain_image(given, 309).heatmap
        for given in (samples / "bee.jpg", picture, np.asarray(picture.convert("RGB")))
    ]
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])


def test_own_models_and_names(samples):
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    explanation = explain_image(
        samples / "dog.jpg", "hound", model=model, labels=["cat", "hound"], method="hirescam"
    )
    assert (explanation.target.index, explanation.target.name) == (1, "hound")
    assert {prediction.name for prediction in explanation.predictions} == {"cat", "hound"}


def test_models_are_loaded_by_name_and_file(tmp_path):
    model = load_model()
    assert isinstance(model, keras.Model)
    small = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3),
                              keras.layers.GlobalAveragePooling2D()])  # fmt: skip
    small.save(tmp_path / "small.keras")
    assert gradcam_cli.GradCAM(load_model(str(tmp_path / "small.keras"))).conv_layer.filters == 2
    small.export(tmp_path / "exported")
    with pytest.raises(UnsupportedModelError, match="has no Keras layers"):
        load_model(str(tmp_path / "exported"))


def test_errors_are_those_of_the_command(samples, tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        explain_image(tmp_path / "gone.jpg")
    with pytest.raises(UnknownClassError, match="no class is called"):
        explain_image(samples / "dog.jpg", "unicornfish")
    with pytest.raises(UnknownClassError, match="are 0 to 999"):
        explain_image(samples / "dog.jpg", 1000)
