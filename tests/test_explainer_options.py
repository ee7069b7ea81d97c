"""The engine of the command line: several layers, smoothing, progress, all methods."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from attention_networks import OTHER_METHODS
from same_results import PROBABILITY, assert_same_values

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.input_gradients import full_gradient
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cam.scaling import scale_sparse
from gradcam_cli.cam.upsampling import upsample, upsample_at_pitch
from gradcam_cli.errors import UsageError
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.pictures.fitting import Fit
from gradcam_cli.pictures.reading import read_picture

PICTURES = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)
SMALL_PARAMETERS = {
    "smoothgradcam++": {"samples": 2},
    "groupcam": {"groups": 2},
    "rise": {"samples": 400},
    "sobol": {"samples": 16},
}


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(7)
    conv = {"padding": "same", "activation": "relu"}
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, name="first", **conv)(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(5, 3, name="last", **conv)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(4, activation="softmax")(x)
    model = keras.Model(inputs, outputs, name="small")
    return inspect_network("small", KerasNetwork(model))


@pytest.mark.parametrize("method", OTHER_METHODS)
def test_several_classes_and_pictures_at_once(classifier, method):
    explainer = Explainer(classifier, method=method, **SMALL_PARAMETERS.get(method, {}))
    together = explainer.explain(PICTURES, [[0, -1], [1, 2], [-2, 3]])
    rows, columns = (16, 16) if METHODS[method].at_input_size else (8, 8)
    assert together.maps.shape == (3, 2, rows, columns)
    assert explainer.pitch == (16 / rows, 16 / columns)
    assert np.isfinite(together.maps).all()
    assert together.maps.min() >= 0
    assert set(together.maps.max((2, 3)).ravel().round(5)) <= {0, 1}
    assert together.maps.any()
    one_class = explainer.explain(PICTURES[1:2], together.targets[1:2, 1:])
    np.testing.assert_allclose(one_class.maps[0, 0], together.maps[1, 1], atol=1e-4)
    np.testing.assert_allclose(one_class.probabilities[0], together.probabilities[1], atol=1e-5)


@pytest.mark.parametrize(
    "size",
    [pytest.param((224, 288), marks=pytest.mark.processor), (256, 256), (288, 224)],
)
def test_a_picture_is_explained_the_same_in_any_batch(explainer, samples, size):
    photos = [read_picture(path) for path in sorted(samples.glob("*.jpg"))[:6]]
    pictures = np.stack([np.asarray(photo.resize(size[::-1])) for photo in photos])
    targets = np.full((6, 1), -1)
    together = explainer.explain(pictures, targets)
    for batch in (1, 2, 5):
        for first in range(0, 6, batch):
            rows = slice(first, first + batch)
            part = explainer.explain(pictures[rows], targets[rows])
            name = f"pictures {rows.start} to {rows.stop}"
            assert_same_values(part.targets, together.targets[rows], 0, name)
            assert_same_values(part.probabilities, together.probabilities[rows], PROBABILITY, name)
            assert_same_values(part.maps, together.maps[rows], 1e-5, name)


@pytest.mark.parametrize("fusion", ["mean", "max"])
def test_maps_of_several_layers_are_fused(classifier, fusion):
    explainer = Explainer(classifier, ["first", "last"], "layercam", fusion=fusion)
    assert explainer.layer == "first + last"
    assert explainer.pitch == (1, 1)
    found = explainer.explain(PICTURES, [[0]] * 3).maps[:, 0]
    # Of the first layer a cell is a pixel; of the second it is two.
    first = Explainer(classifier, "first", "layercam").explain(PICTURES, [[0]] * 3).maps[:, 0]
    last = Explainer(classifier, "last", "layercam").explain(PICTURES, [[0]] * 3).maps[:, 0]
    last = np.clip(upsample(tf.constant(last), tf.constant([16, 16])), 0, last.max())
    expected = (first + last) / 2 if fusion == "mean" else np.maximum(first, last)
    # With its border continued, bicubic differs from that of the whole only beyond it.
    inside = np.s_[:, 3:-3, 3:-3]
    maxima = expected.max((1, 2), keepdims=True)
    np.testing.assert_allclose(found[inside], (expected / maxima)[inside], atol=0.02)
    assert found.max() == 1


def test_one_layer_is_not_fused(classifier):
    alone = Explainer(classifier, ["last"])
    assert (alone.layer, alone.pitch) == ("last", (2, 2))


def test_a_perturbation_method_fuses_too(classifier):
    explainer = Explainer(classifier, ["first", "last"], "ablationcam")
    assert explainer.explain(PICTURES, [[0, 1]] * 3).maps.shape == (3, 2, 16, 16)


@pytest.mark.parametrize(("pitch", "size"), [((4, 4), (24, 32)), ((5, 3), (22, 26))])
def test_upsampling_puts_cells_where_the_overlay_does(pitch, size):
    maps = np.random.default_rng(1).uniform(0, 1, (1, 6, 8)).astype(np.float32)
    whole = (0.0, 0.0, float(size[1]), float(size[0]))
    fit = Fit((size[1], size[0]), (size[1], size[0]), whole, (0, 0, size[1], size[0]))
    expected = np.asarray(fit.upsample(maps[0], pitch))
    found = upsample_at_pitch(tf.constant(maps), tf.constant(size), pitch)[0].numpy()
    assert found.shape == size
    expected = np.clip(expected, maps.min(), maps.max())
    np.testing.assert_allclose(found, expected, atol=0.005)


def test_smoothing_averages_and_keeps_the_class(classifier):
    plain, smooth = Explainer(classifier), Explainer(classifier, smoothing=True)
    found = smooth.explain(PICTURES, [[-1]] * 3)
    np.testing.assert_array_equal(found.targets, plain.explain(PICTURES, [[-1]] * 3).targets)
    total = 0
    for factor in (0.9, 1, 1.1):
        total += plain.explain(PICTURES * factor, found.targets).maps
        total += plain.explain(PICTURES[:, :, ::-1] * factor, found.targets).maps[..., ::-1]
    maxima = total.max((2, 3), keepdims=True)
    expected = np.divide(total, maxima, out=np.zeros_like(total), where=maxima > 0)
    np.testing.assert_allclose(found.maps, expected, atol=1e-4)


def test_progress_adds_up_to_the_total(classifier):
    for smoothing, copies in ((False, 1), (True, 6)):
        explainer = Explainer(classifier, method="scorecam", smoothing=smoothing, batch_size=3)
        assert explainer.runs_many_times
        told = []
        explainer.progress = lambda *counts, to=told: to.append(counts)
        explainer.explain(PICTURES[:2], [[0, 1]] * 2)
        total = 2 * 2 * 5 * copies
        assert {of for _, of in told} == {total}
        assert sum(done for done, _ in told) == total
        assert max(done for done, _ in told) <= 3


def test_what_cannot_be_meant(classifier):
    with pytest.raises(UsageError, match="omit the layer"):
        Explainer(classifier, "last", "fullgrad")
    with pytest.raises(UsageError, match="no fusion 'sum', only mean, max"):
        Explainer(classifier, ["first", "last"], fusion="sum")
    with pytest.raises(UsageError, match="no method 'cam'"):
        Explainer(classifier, method="cam")
    assert Explainer(classifier, method="fullgrad").layer == "all"


def test_input_and_biases_explain_a_logit_completely(builtin, samples):
    """FullGrad's completeness (equation 4), with batch normalization and ReLU6."""
    picture = read_picture(samples / "koala.jpg").resize((160, 128))
    inputs = tf.constant(np.asarray(picture, np.float32)[None])

    @tf.function(autograph=False)
    def split(inputs):
        score = builtin.trace(inputs).logits[:, 105]
        parts = [tf.reduce_sum(term) for term in full_gradient(inputs, score)]
        return score, tf.add_n(parts), len(parts)

    score, total, parts = split(inputs)
    # The input, its rescaling, a bias for each batch normalization, one for each ReLU6 (of
    # which there are two for three of those), and the last layer's.
    convolutions = 1 + 2 + 15 * 3 + 1
    relus = 1 + 1 + 15 * 2 + 1
    assert parts == 2 + convolutions + relus + 1
    assert float(score[0]) > 5
    np.testing.assert_allclose(total, score[0], rtol=1e-3)


def test_sparse_maps_are_scaled_to_their_percentile():
    maps = np.zeros((1, 1, 20, 20), np.float32)
    maps[0, 0, 0, :4] = 100, 10, 8, 4
    # 399 of 400 cells and more lie below 10: the second and third brightest span 99.5 %.
    np.testing.assert_allclose(scale_sparse(tf.constant(maps))[0, 0, 0, :4], [1, 1, 1, 0.5])
    maps[0, 0, 0, 1:4] = 0
    np.testing.assert_allclose(scale_sparse(tf.constant(maps))[0, 0, 0, :4], [1, 0, 0, 0])


def test_perturbing_a_saved_model(classifier, tmp_path):
    classifier.network.model.export(tmp_path / "saved")
    saved = load_classifier(ModelOptions(str(tmp_path / "saved"), preprocess="none"))
    for method in ("ablationcam", "fullgrad", "guidedgradcam"):
        expected = Explainer(classifier, method=method).explain(PICTURES, [[0, 1]] * 3)
        layer = "last" if METHODS[method].needs_layer else None
        found = Explainer(saved, layer, method).explain(PICTURES, [[0, 1]] * 3)
        np.testing.assert_allclose(found.maps, expected.maps, atol=1e-3)
