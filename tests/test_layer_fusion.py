"""Maps of several layers in one: Winsor-CAM and RefineCAM's product, and methods in combination."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

import gradcam_cli
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.base import describe_code
from gradcam_cli.cam.methods.table import METHODS, find_method
from gradcam_cli.cam.scaling import fuse
from gradcam_cli.cam.upsampling import upsample_at_pitch
from gradcam_cli.cli import main
from gradcam_cli.cli.method_names import MethodName
from gradcam_cli.errors import UnusableLayerError, UsageError

SIDE = 16
RED, GREEN = (255, 0, 0), (0, 255, 0)


def scene(**squares):
    """A black picture with squares of 4 pixels: their left upper corners by their colour."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    for color, (top, left) in squares.items():
        picture[top : top + 4, left : left + 4] = {"red": RED, "green": GREEN}[color]
    return picture


@pytest.fixture(scope="module")
def two_branches():
    """One layer sees red and the other green; class 0 takes both, class 1 neither."""
    inputs = keras.Input((SIDE, SIDE, 3))
    conv = {"activation": "relu", "use_bias": False}
    red = keras.layers.Conv2D(1, 1, name="red", **conv)(inputs)
    green = keras.layers.Conv2D(1, 2, strides=2, name="green", **conv)(inputs)
    pool = keras.layers.GlobalAveragePooling2D
    x = keras.layers.Concatenate()([pool()(red), pool()(green)])
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="scores")(x))
    kernels = np.zeros((1, 1, 3, 1)), np.zeros((2, 2, 3, 1))
    kernels[0][:, :, 0], kernels[1][:, :, 1] = 1, 0.25
    model.set_weights([*kernels, np.array([[1.0, -1.0], [1.0, -1.0]]), np.zeros(2)])
    return model


@pytest.fixture
def classifier(classify, two_branches):
    return classify(two_branches, preprocessing="0-1")


def heat_of(explainer, picture, target=0):
    return explainer.explain(picture[None], np.array([[target]])).maps[0, 0]


def test_product_by_hand():
    one = tf.constant([[[0.5, 1.0, 0.0, 0.2]]])
    other = tf.constant([[[1.0, 0.4, 1.0, 0.5]]])
    np.testing.assert_allclose(fuse([one, other], "product"), [[[1.0, 0.8, 0.0, 0.2]]], rtol=1e-6)
    # 0.001 to the power of 40 isn't a float32 any more, but 1 : 1.1 stays.
    many = [tf.constant([[[0.001, 0.0011, 0.0]]])] * 40
    np.testing.assert_allclose(
        fuse(many, "product"), [[[1 / 1.1**40, 1.0, 0.0]]], rtol=1e-3, atol=1e-9
    )


def test_product_of_layers_is_the_product_of_their_maps(classifier):
    picture = scene(red=(2, 2), green=(9, 9))
    picture[2:4, 2:10] = (255, 255, 0)
    fused = heat_of(Explainer(classifier, ["red", "green"], fusion="product"), picture)
    red, green = (heat_of(Explainer(classifier, layer), picture) for layer in ("red", "green"))
    green = upsample_at_pitch(tf.constant(green[None]), (SIDE, SIDE), (2.0, 2.0)).numpy()[0]
    expected = red * green
    assert 0 < np.count_nonzero(expected) < min(np.count_nonzero(red), np.count_nonzero(green))
    np.testing.assert_allclose(fused, expected / expected.max(), atol=1e-5)


def test_product_without_a_common_cell_says_so(classifier):
    picture = scene(red=(0, 0), green=(12, 12))
    for method in ("gradcam", "ablationcam"):
        explainer = Explainer(classifier, ["red", "green"], method, fusion="product")
        explanation = explainer.explain(picture[None], np.array([[0]]))
        assert not explanation.maps.any()
        (blank,) = explainer.find_blanks(picture[None], explanation).blanks.values()
        assert blank.reason == "no-common-cell"
        assert "layers red and green have no cell in common" in blank.note
    # If one of the maps is blank itself, its own reason is better.
    explainer = Explainer(classifier, ["red", "green"], fusion="product")
    only_red = scene(red=(0, 0))[None]
    explanation = explainer.explain(only_red, np.array([[0]]))
    (blank,) = explainer.find_blanks(only_red, explanation).blanks.values()
    assert blank.reason == "zero-activations"
    assert "layer green" in blank.note


def test_winsor_cam_finds_what_each_layer_sees(classifier):
    picture = scene(red=(2, 2), green=(10, 8))
    explainer = Explainer(classifier, method="winsorcam")
    heat = heat_of(explainer, picture)
    assert (explainer.layer, explainer.pitch) == ("all", (1, 1))
    seen = (picture > 0).any(-1)
    # Upsampling spreads what the coarse layer sees over a cell around it.
    assert heat[seen].sum() > 0.7 * heat.sum()
    # Red's layer has four times as many cells, so the mean gradient is a quarter of green's, and
    # the least important of two layers has the least weight.
    np.testing.assert_allclose(heat[2:6, 2:6], 0.1, rtol=1e-5)
    assert heat[10:14, 8:12].min() > 0.6
    named = Explainer(classifier, ["red", "green"], "winsorcam")
    assert named.layer == "red + green"
    np.testing.assert_allclose(heat_of(named, picture), heat, atol=1e-6)
    # Nothing raises the other class.
    explanation = explainer.explain(picture[None], np.array([[1]]))
    assert not explanation.maps.any()
    (blank,) = explainer.find_blanks(picture[None], explanation).blanks.values()
    assert "no positive evidence for this class in any layer whose importance" in blank.note


def test_winsor_cam_needs_several_layers(classify, classifier):
    with pytest.raises(UsageError, match="winsorcam fuses the maps of several layers"):
        Explainer(classifier, "red", "winsorcam")
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="only")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    single = classify(keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)))
    with pytest.raises(UnusableLayerError, match="has 1 convolution layer with feature maps"):
        Explainer(single, method="winsorcam")


def test_feature_maps_of_one_cell_are_no_layers_to_fuse(classify):
    """In squeeze and excitation, convolutions weight channels and see no place."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="first")(inputs)
    squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    excited = keras.layers.Conv2D(4, 1, activation="sigmoid", name="excite")(squeezed)
    x = keras.layers.Multiply()([x, excited])
    x = keras.layers.Conv2D(4, 3, name="second")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    classifier = classify(keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)))
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    found = heat_of(Explainer(classifier, method="winsorcam"), picture)
    wanted = heat_of(Explainer(classifier, ["first", "second"], "winsorcam"), picture)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("method", ["sscam", "iscam"])
def test_copies_do_not_depend_on_batches(two_branches, method):
    classes = {"sscam": gradcam_cli.SSCAM, "iscam": gradcam_cli.ISCAM}
    pictures = np.random.default_rng(0).uniform(0, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    told = []
    maps = [
        classes[method](
            two_branches, conv_layer="red", batch_size=size, samples=5, progress=progress
        ).raw_maps(pictures, np.eye(2))
        for size, progress in ((2, lambda *counts: told.append(counts)), (64, None))
    ]
    np.testing.assert_allclose(*maps, rtol=1e-5)
    # One channel, five copies, two pictures.
    assert sum(done for done, _ in told) == 10
    assert {total for _, total in told} == {10}


def test_combined_methods_are_found_by_name():
    find = MethodName().convert
    for spelling in ("finercam:layercam", "Finer-CAM:LayerCAM", "finer cam over layer cam"):
        assert find(spelling, None, None) == "finercam:layercam"
    assert find("finercam:gradcam", None, None) == "finercam"
    info = find_method("finercam:hirescam")
    assert (info.title, info.has_sign, info.multiplies_cells) == (
        "Finer-CAM over HiResCAM",
        True,
        True,
    )
    assert "finercam:hirescam" in METHODS
    assert "finercam:hirescam" not in list(METHODS)
    with pytest.raises(UsageError, match="there is no method 'finercam:scorecam'"):
        find_method("finercam:scorecam")


def elsewhere(feature_maps, gradients):
    return tf.reduce_sum(feature_maps * gradients, axis=-1)


def test_kept_graphs_of_combinations_depend_on_both_methods(monkeypatch):
    described = {describe_code(f"finercam:{base}") for base in METHODS["finercam"].bases}
    assert len(described) == len(METHODS["finercam"].bases)
    row = METHODS["layercam"].__class__("", "", "", "", f"{__name__}:elsewhere")
    monkeypatch.setitem(METHODS, "layercam", row)
    assert describe_code("finercam:layercam") is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--layer a --layer b --fuse product --signed",
            "--fuse product doesn't work with --signed",
        ),
        ("--fuse product", "--fuse needs several --layer options"),
        ("--layer a --layer b --fuse max --method winsorcam", "winsorcam, which fuses layers"),
        ("--layer a --method winsorcam", "give several --layer options, or none for all"),
        ("--method winsorcam --signed", "--signed doesn't work with winsorcam"),
        ("--method finercam:scorecam", "finercam works over gradcam++, xgradcam"),
        ("--method layercam:hirescam", "layercam doesn't work over another method; only finercam"),
        (
            "--method finercam:layercam --against 1",
            "doesn't work with finercam:layercam: it compares",
        ),
    ],
)
def test_what_is_meaningless_is_refused(tmp_path, arguments, message):
    Image.fromarray(scene()).save(tmp_path / "a.png")
    done = CliRunner().invoke(main, [str(tmp_path / "a.png"), *arguments.split()])
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
