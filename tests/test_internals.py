"""What Keras and TensorFlow don't promise is used where it is there, and done without else."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli import GradCAM
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import UnsupportedModelError
from gradcam_cli.evaluation.scores import TargetScores
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.models.preprocessing import Preprocessing
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers
from gradcam_cli.networks.operations import unknown_operations

INPUTS = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
TARGETS = np.array([0, 1, 2])
MANY = 250


class Block(keras.layers.Layer):
    """Has its layers in all places where Keras finds them."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first = keras.layers.Conv2D(4, 3, padding="same", name="first")
        self.others = [
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
        ]
        self.named = {"last": keras.layers.Conv2D(6, 1, activation="relu", name="last")}

    def build(self, shape):
        self.first.build(shape)
        shape = (*shape[:-1], 4)
        for layer in [*self.others, self.named["last"]]:
            layer.build(shape)
        super().build(shape)

    def call(self, x):
        x = self.first(x)
        for layer in self.others:
            x = layer(x)
        return self.named["last"](x)


def make_classifier():
    keras.utils.set_random_seed(5)
    inputs = keras.Input((16, 16, 3))
    inner = keras.Sequential(
        [keras.Input((16, 16, 6)), keras.layers.Conv2D(5, 3, activation="relu", name="conv")],
        name="inner",
    )
    x = keras.layers.GlobalAveragePooling2D(name="gap")(inner(Block(name="block")(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="scores")(x))
    return Classifier(
        name="small",
        network=KerasNetwork(model),
        input_size=(16, 16),
        channels=3,
        any_size=False,
        default_fit="squash",
        preprocess=Preprocessing("none", "as the test says"),
        labels=Labels([["one"], ["two"], ["three"]]),
    )


def compute(classifier):
    """Has all of it compute something."""
    model = classifier.network.model
    return {
        "layers": [path for path, _ in walk_layers(model) if "input" not in path],
        "maps of a model": GradCAM(model, conv_layer="block/last")(INPUTS, np.eye(3)),
        "maps of a folded one": Explainer(classifier.folded())
        .explain(INPUTS, TARGETS[:, None])
        .maps,
        "scores": TargetScores(model)(np.repeat(INPUTS, MANY, 0), np.repeat(TARGETS, MANY)),
    }


def save(path):
    """Writes what is computed where nothing is there but what is promised."""
    classifier = make_classifier()
    classifier.network.model.export(f"{path}.exported")
    take_away()
    with pytest.raises(UnsupportedModelError, match=r"save the model as a \.keras file"):
        load_classifier(ModelOptions(f"{path}.exported"))
    np.savez(path, **compute(classifier))


def take_away():
    """Has Keras and TensorFlow lose what they may lose, but can't do without themselves."""
    keras.Layer.renamed = keras.Layer._flatten_layers
    keras.Model.layers = property(lambda self: self.renamed(include_self=False, recursive=False))
    del keras.Layer._flatten_layers
    del tf.__internal__.FuncGraph
    framework = sys.modules["tensorflow.python.framework"]
    for name in ("convert_to_constants", "function_def_to_graph", "op_callbacks"):
        vars(framework).pop(name, None)
        sys.modules[f"tensorflow.python.framework.{name}"] = None


def test_what_is_promised_suffices(tmp_path):
    path = tmp_path / "found.npz"
    program = f"import test_internals; test_internals.save({str(path)!r})"
    folder = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{folder}:{folder.parent}", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    found, expected = np.load(path), compute(make_classifier())
    assert list(found["layers"]) == expected.pop("layers")
    assert "block/last" in found["layers"]
    for name, values in expected.items():
        assert np.asarray(values).any(), name
        np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)


def test_every_operation_that_is_looked_for_exists():
    assert unknown_operations() == set()
