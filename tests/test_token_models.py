"""All that can be done with a CNN can be done with a transformer."""

import json

import attention_models
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gradcam_cli import GradCAM, GradCAMCallback, HiResCAM
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli import main
from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.evaluation.candidate_layers import candidate_layers

SIZE = (48, 80)
CELLS = (6, 10)
CLASSES = 3


@pytest.fixture(scope="module")
def with_class_token():
    keras.utils.set_random_seed(3)
    return attention_models.class_token_vit(*SIZE, CLASSES)


@pytest.fixture(scope="module")
def averaged():
    keras.utils.set_random_seed(4)
    return attention_models.pooled_vit(*SIZE, CLASSES)


@pytest.fixture(scope="module")
def exported(with_class_token, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "vit"
    with_class_token.export(folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(1)
    (tmp_path / "photos").mkdir()
    for number in range(2):
        pixels = rng.integers(0, 256, (60, 100, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(2).uniform(0, 255, (2, *SIZE, 3)).astype(np.float32)


def gradcam(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize(
    ("name", "kind", "cells"),
    [
        ("class_token_vit", "LayerNormalization", "6×10 tokens + 1"),
        ("distilled_vit", "LayerNormalization", "6×10 tokens + 2"),
        ("register_vit", "LayerNormalization", "6×10 tokens + 5"),
        ("pooled_vit", "Add", "6×10 tokens"),
        ("flattened_vit", "Add", "6×10 tokens"),
        ("compact_transformer", "Add", "6×10 tokens"),
        ("attention_on_top", "Add", "6×10 tokens"),
        ("shifted_windows", "Add", "6×10 cells"),
        ("attention_in_the_middle", "Conv2D", "6×10 cells"),
        ("cbam_network", "Multiply", "6×10 cells"),
        ("se_network", "Multiply", "6×10 cells"),
    ],
)
def test_the_default_layer(classify, name, kind, cells):
    classifier = classify(getattr(attention_models, name)(*SIZE, CLASSES))
    (default,) = [layer for layer in classifier.layers() if layer.default]
    assert default.node.kind == kind
    assert default.grid.cells_in_words == cells
    assert default.grid.pitch == (8, 8)


def test_layers_and_info_tell_of_tokens_and_what_cannot_be_explained(exported, photos):
    listed = gradcam("layers", "--model", exported)
    assert listed.exit_code == 0, listed.stderr
    (default,) = [line for line in listed.stdout.splitlines() if "default" in line]
    assert "6×10 tokens + 1, 32 channels" in default
    told = gradcam("info", "--model", exported)
    assert "the last whose patches the class score depends on" in told.stdout
    heads = next(line.split()[1] for line in listed.stdout.splitlines() if "61×4×8" in line)
    done = gradcam(photos, "-m", exported, "--layer", heads)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "attention heads" in done.stderr
    assert "the nearest layer that can be explained is" in done.stderr


def test_overlays_figures_and_reports(exported, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = gradcam(
        *("photos", "-m", exported, "--each", "--top-k", "2", "--figure", "--verbose"),
        *("--report", "report.html", "--heatmap", "npy", "-o", "out"),
    )
    assert done.exit_code == 0, done.stderr
    assert "cells 6×10 tokens + 1, 8 px apart" in done.stdout
    maps = [np.load(path) for path in sorted((tmp_path / "out").rglob("*.npy"))]
    assert {heat.shape for heat in maps} == {(60, 100)}
    assert all(0 < np.ptp(heat) <= 1 for heat in maps)
    assert "<html" in (tmp_path / "report.html").read_text("utf-8")


def test_layers_are_ranked(exported, photos):
    done = gradcam("best-layer", photos, "-m", exported, "--metric", "deletion", "--json")
    assert done.exit_code == 0, done.stderr
    ranked = [row["layer"] for row in json.loads(done.stdout)["ranking"]]
    assert any(layer.startswith("layer_normalization") for layer in ranked)
    assert any(layer.startswith("add") for layer in ranked)


def test_each_block_is_a_candidate(classify, averaged, with_class_token):
    assert (
        candidate_layers(classify(averaged))[1:]
        == [layer.name for layer in averaged.layers if layer.name.startswith("add")][1::2]
    )
    default = Explainer(classify(with_class_token)).layer
    assert candidate_layers(classify(with_class_token))[-1] == default


def test_python_classes_explain_patches(classify, averaged, with_class_token, inputs):
    targets = keras.utils.to_categorical([0, 1], CLASSES)
    for model in (averaged, with_class_token):
        explainer = GradCAM(model)
        expected = Explainer(classify(model))
        assert explainer.conv_layer.name == expected.layer
        assert explainer.explain(inputs, targets).shape == (2, *SIZE, 1)
        raw = np.maximum(explainer.raw_maps(inputs, targets), 0)
        scaled = raw / raw.max((1, 2), keepdims=True)
        maps = expected.explain(inputs, [[0], [1]]).maps[:, 0]
        assert maps.shape == (2, *CELLS)
        np.testing.assert_allclose(scaled, maps, atol=1e-4)


@pytest.mark.parametrize("method", ["hirescam", "layercam", "eigengradcam"])
def test_methods_that_multiply_by_gradients_look_after_the_normalization(
    classify, averaged, inputs, method
):
    # Before it, the product of a cell and its gradient is nothing but rounding.
    assert Explainer(classify(averaged), method=method).layer == averaged.layers[-3].name
    block = averaged.layers[-4].name
    with pytest.raises(UnusableLayerError, match=f"{block} by its gradient"):
        Explainer(classify(averaged), block, method)
    assert Explainer(classify(averaged), method="gradcam").layer == block


def test_hirescam_before_a_normalization_would_be_rounding(averaged, inputs):
    block, normalization = averaged.layers[-4].name, averaged.layers[-3].name
    targets = keras.utils.to_categorical([0, 1], CLASSES)
    with pytest.raises(UnusableLayerError, match="is meaningless before"):
        HiResCAM(averaged, conv_layer=block).explain(inputs, targets)
    assert HiResCAM(averaged).conv_layer.name == normalization


def test_the_callback_draws_patches(averaged, inputs, tmp_path):
    averaged.compile("sgd", "binary_crossentropy")
    callback = GradCAMCallback(inputs, [0, 1], tmp_path)
    averaged.fit(
        inputs, keras.utils.to_categorical([0, 1], CLASSES), verbose=0, callbacks=[callback]
    )
    assert list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("method", ["scorecam", "ablationcam", "smoothgradcam++"])
def test_methods_that_run_the_network_many_times(classify, with_class_token, inputs, method):
    found = Explainer(classify(with_class_token), method=method).explain(inputs, [[0], [1]])
    assert found.maps.shape == (2, 1, *CELLS)
    assert np.isfinite(found.maps).all()
    assert found.maps.max() == 1
