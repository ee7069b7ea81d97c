"""The cascading randomization of Adebayo et al. (2018, arXiv 1810.03292).

A map that stays the same whatever the weights are explains the picture, not the network.
"""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from attention_networks import OTHER_METHODS

import gradcam_cli
from gradcam_cli.cam.methods import components, input_gradients, perturbation
from gradcam_cli.cam.methods.base import make_method
from gradcam_cli.cam.methods.input_gradients import guided_gradients
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.pictures.reading import read_picture

# They know no class, and say so: random weights above their layer change nothing.
CLASSLESS = {"eigencam", "fem"}
# It says so too: it hardly notices these.
NEARLY_CLASSLESS = {"scorecam", "sscam", "iscam"}
FEW_RUNS = {
    "RISE": {"nb_samples": 400},
    "Sobol": {"nb_design": 8},
    "SSCAM": {"samples": 4},
    "ISCAM": {"samples": 4},
}
SIDE, PATCH = 24, 8


def scenes(number, seed):
    """Stripes of one of three directions and a chequerboard, in noise of the same strength."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:PATCH, :PATCH] // 2
    patterns = [rows % 2, columns % 2, (np.add(*np.mgrid[:PATCH, :PATCH]) // 2) % 2]
    patterns.append((rows + columns) % 2)
    pictures = rng.choice([-1.0, 1.0], (number, SIDE, SIDE, 3))
    classes = rng.integers(0, 3, number)
    for picture, wanted in zip(pictures, classes, strict=True):
        for place, kind in zip(rng.permutation(9)[:2], (wanted, 3), strict=True):
            top, left = PATCH * (place // 3), PATCH * (place % 3)
            stripes = (2 * patterns[kind] - 1) * rng.choice([-1, 1])
            picture[top : top + PATCH, left : left + PATCH] = stripes[..., None]
    return pictures.astype(np.float32), classes


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    conv = {"padding": "same", "activation": "relu"}
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(8, 3, **conv),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(12, 3, **conv),
            keras.layers.Conv2D(16, 3, name="explained", **conv),
            keras.layers.Conv2D(16, 3, **conv),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*scenes(1500, 1), epochs=12, verbose=0)
    assert model.evaluate(*scenes(200, 2), verbose=0)[1] > 0.95
    return model


def ranks(values):
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def similarity(maps, others):
    """The mean rank correlation of maps; 0 with an empty one."""
    found = []
    for a, b in zip(maps, others, strict=True):
        a, b = ranks(np.ravel(a)), ranks(np.ravel(b))
        found.append(np.corrcoef(a, b)[0, 1] if np.ptp(a) and np.ptp(b) else 0.0)
    return np.mean(found)


def randomize(layers):
    for number, layer in enumerate(layers):
        initializer = keras.initializers.GlorotUniform(seed=number)
        layer.set_weights(
            [
                initializer(weight.shape).numpy() if weight.ndim > 1 else 0 * weight
                for weight in layer.get_weights()
            ]
        )


def test_every_method_passes_or_says_why_not(trained):
    pictures, classes = scenes(12, 3)
    targets = np.eye(3)[classes]
    explainers = {
        explainer.method: explainer(
            trained,
            conv_layer=None if METHODS[explainer.method].fuses_layers else "explained",
            **FEW_RUNS.get(explainer.__name__, {}),
        )
        for explainer in map(gradcam_cli.__getattr__, gradcam_cli.__all__)
        if getattr(explainer, "method", None) in OTHER_METHODS
    }
    assert set(explainers) == set(OTHER_METHODS)
    original = {name: explain(pictures, targets) for name, explain in explainers.items()}
    weights = trained.get_weights()
    from_the_top = [layer for layer in reversed(trained.layers) if layer.weights]
    similarities = {}
    for count in (2, len(from_the_top)):
        trained.set_weights(weights)
        randomize(from_the_top[:count])
        similarities[count] = {
            name: similarity(original[name], explain(pictures, targets))
            for name, explain in explainers.items()
        }
    trained.set_weights(weights)
    above, everywhere = similarities.values()
    assert max(everywhere.values()) < 0.6, everywhere
    assert np.mean(list(everywhere.values())) < 0.3
    for name in OTHER_METHODS:
        if name in CLASSLESS:
            assert above[name] > 0.999
        elif name not in NEARLY_CLASSLESS:
            assert above[name] < 0.97, (name, above[name])


def test_the_methods_that_fail_say_so():
    for name in CLASSLESS:
        formula = make_method(name).formula
        assert "doesn't notice random" in " ".join(formula.__doc__.split())
    assert "strictly, they fail" in " ".join(components.__doc__.split())
    assert "hardly notices random" in " ".join(perturbation.ScoreCam.__doc__.split())
    assert "It fails the cascading randomization" in input_gradients.GuidedGradCam.__doc__


class FinePart(input_gradients.GuidedGradCam):
    """Guided backpropagation alone."""

    def maps(self, tapped):
        return tf.reduce_max(tf.abs(guided_gradients(tapped)), axis=-1)


def test_guided_backpropagation_does_not_notice_random_upper_layers(builtin, samples, monkeypatch):
    """Why Guided Grad-CAM fails on deep networks: its fine part stays the same."""
    model = keras.models.clone_model(builtin.network.model)
    model.set_weights(builtin.network.model.get_weights())
    pictures = [read_picture(samples / name).resize((224, 224)) for name in ("dog.jpg", "cat.jpg")]
    inputs = np.stack([np.asarray(picture, np.float32) for picture in pictures])
    targets = np.eye(1000)[[235, 285]]

    row = replace(METHODS["guidedgradcam"], implementation=f"{__name__}:FinePart")
    monkeypatch.setitem(METHODS, "guidedgradcam", row)
    explainer = gradcam_cli.GuidedGradCAM(model)
    original = explainer(inputs, targets)
    rng = np.random.default_rng(0)
    for name in ("predictions", "top_conv"):
        layer = model.get_layer(name)
        layer.set_weights(
            [rng.permutation(w.ravel()).reshape(w.shape) for w in layer.get_weights()]
        )
    assert similarity(original, explainer(inputs, targets)) > 0.9
