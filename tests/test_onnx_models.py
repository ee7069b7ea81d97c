"""ONNX files: what they take, what they return, and files that can't be used."""

import keras
import numpy as np
import pytest
from onnx_files import save_onnx

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

CLASSES = 5


def small_model(channels=3, classes=CLASSES):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, channels))
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        # Else the normalization does nothing, and the scores hardly differ.
        layer.set_weights(
            [
                np.abs(rng.normal(0.2, 0.4, one.shape))
                if "Batch" in layer.name.title()
                else rng.normal(0, 0.6, one.shape)
                for one in layer.get_weights()
            ]
        )
    return model


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def pictures():
    return np.random.default_rng(1).uniform(0, 255, (5, 32, 32, 3)).astype(np.float32)


def load(path, **options):
    return load_classifier(ModelOptions(str(path), **options))


def probabilities(classifier, pictures):
    return (
        np.asarray(classifier.trace(pictures).probabilities)
        if False
        else Explainer(classifier, None, "rise").classify(pictures)
    )


@pytest.mark.parametrize("batch", ["batch", 1, 3])
@pytest.mark.parametrize("softmax", ["Softmax", "LogSoftmax", None])
def test_it_predicts_what_the_same_network_in_keras_predicts(
    tmp_path, model, pictures, batch, softmax
):
    path = save_onnx(tmp_path / "net.onnx", model, batch=batch, softmax=softmax)
    classifier = load(path, preprocess="0-1", task="classification")
    assert classifier.input_shape == (32, 32, 3)
    expected = model.predict(pictures / 255, verbose=0)
    assert expected.std(0).max() > 0.01
    assert np.abs(probabilities(classifier, pictures) - expected).max() < 1e-4
