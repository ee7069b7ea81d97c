"""Maps that keep what speaks against a class, and their colours."""

import io
import json

import keras
import matplotlib as mpl
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from known_network import SIDE, known_picture, load_known, map_by_hand, save_known
from PIL import Image

from gradcam_cli import GradCAM, GradCAMPP, HiResCAM, explain_image
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cam.scaling import fuse
from gradcam_cli.cam.score_weights import ScoreWeights
from gradcam_cli.cli import main
from gradcam_cli.errors import UsageError
from gradcam_cli.pictures.fitting import fit_picture
from gradcam_cli.rendering.color_scale import signed_color_table
from gradcam_cli.rendering.figure import Panel, draw_figure
from gradcam_cli.rendering.overlay import draw_overlay, heatmap_to_image

SIGNED = {"gradcam", "xgradcam", "hirescam", "ablationcam", "finercam", "shapleycam"}
SIGNED |= {"rise", "sobol", "occlusion"}
DARK = 2
DARK_WEIGHTS = (0, 0, 1)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return save_known(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def classifier(model_file):
    return load_known(model_file)


@pytest.fixture(scope="module")
def picture():
    return known_picture()


def signed_map(classifier, picture, method="gradcam", target=DARK, **options):
    explainer = Explainer(classifier, method=method, signed=True, **options)
    return explainer.explain(picture[None], np.array([[target]])).maps[0, 0]


@pytest.mark.parametrize("method", ["gradcam", "xgradcam", "hirescam", "ablationcam"])
def test_what_speaks_against_a_class_is_negative(classifier, picture, method):
    heat = signed_map(classifier, picture, method)
    wanted = map_by_hand(picture, DARK_WEIGHTS, method, signed=True)
    # Red speaks against it and green for it, but less.
    assert wanted[0, 0] == -1 < 0 < wanted[0, -1] < 1
    np.testing.assert_allclose(heat, wanted, atol=1e-5)


def test_a_contrast_with_a_sign(classifier, picture):
    heat = signed_map(classifier, picture, target=0, weights=ScoreWeights(against=1))
    np.testing.assert_allclose(heat, map_by_hand(picture, [1, -1, 0], signed=True), atol=1e-5)
    other_way = signed_map(classifier, picture, target=1, weights=ScoreWeights(against=0))
    np.testing.assert_allclose(other_way, -heat, atol=1e-5)


def test_smoothing_keeps_the_sign(classifier, picture):
    symmetric = np.concatenate([picture[:, : SIDE // 2], picture[:, : SIDE // 2]], axis=1)
    symmetric[:4] = (0, 250, 0)
    heat = signed_map(classifier, symmetric, smoothing=True)
    np.testing.assert_allclose(heat, map_by_hand(symmetric, DARK_WEIGHTS, signed=True), atol=0.02)


def test_fused_maps_keep_the_sign():
    one = tf.constant([[[0.5, -1.0, 0.2]]])
    other = tf.constant([[[-0.1, -0.5, 1.0]]])
    np.testing.assert_allclose(
        fuse([one, other], "mean"), np.array([[[0.4, -1.5, 1.2]]]) / 1.5, rtol=1e-6
    )
    np.testing.assert_allclose(fuse([one, other], "max"), [[[0.5, -1.0, 1.0]]])


@pytest.mark.parametrize(
    "method", sorted(name for name, info in METHODS.items() if not info.only_for_detection)
)
def test_methods_without_a_sign_are_refused(classifier, method):
    if method in SIGNED:
        assert METHODS[method].has_sign
        return
    with pytest.raises(UsageError, match="choose one of gradcam, xgradcam, hirescam"):
        Explainer(classifier, method=method, signed=True)


@pytest.mark.parametrize("method", ["finercam", "shapleycam"])
def test_other_signed_methods(classifier, method):
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    heat = signed_map(classifier, noise, method)
    assert np.abs(heat).max() == pytest.approx(1)
    assert heat.min() < 0
    plain = Explainer(classifier, method=method).explain(noise[None], np.array([[DARK]]))
    positive = np.maximum(heat, 0)
    # Without a sign it is the positive part, scaled by itself.
    np.testing.assert_allclose(plain.maps[0, 0] * positive.max(), positive, atol=1e-4)


def test_explainers_in_python(model_file, picture):
    model = keras.saving.load_model(model_file)
    inputs = picture[None] / np.float32(255)
    targets = np.eye(3)[[DARK]]
    raw = GradCAM(model, signed=True)(inputs, targets).numpy()[0, ..., 0]
    np.testing.assert_allclose(
        raw.clip(min=0), GradCAM(model)(inputs, targets)[0, ..., 0], atol=1e-6
    )
    wanted = map_by_hand(picture, DARK_WEIGHTS, signed=True)
    np.testing.assert_allclose(raw / np.abs(raw).max(), wanted, atol=1e-5)
    scaled = HiResCAM(model, signed=True, scale=True)(inputs, targets).numpy()[0, ..., 0]
    np.testing.assert_allclose(scaled, wanted, atol=1e-5)
    # Targets with both signs are a contrast.
    contrast = GradCAM(model, signed=True, scale=True)(inputs, [[1, -1, 0]])[0, ..., 0]
    np.testing.assert_allclose(contrast, map_by_hand(picture, [1, -1, 0], signed=True), atol=1e-5)
    with pytest.raises(UsageError, match="signed doesn't work with gradcam\\+\\+"):
        GradCAMPP(model, signed=True)


def test_pixels_have_no_sign_that_the_map_has_not():
    fit = fit_picture((80, 80), "squash", (8, 8))
    cells = np.zeros((4, 4), np.float32)
    cells[1:3, 1:3] = 1
    assert fit.upsample(cells, (2, 2)).min() == 0
    assert fit.upsample(-cells, (2, 2)).max() == 0
    both = np.where(np.eye(4) > 0, 1, -0.5).astype(np.float32)
    upsampled = fit.upsample(both, (2, 2))
    assert -1 <= upsampled.min() < -0.4
    assert upsampled.max() <= 1


@pytest.mark.parametrize("colormap", ["bwr", "coolwarm", "PuOr_r"])
def test_zero_has_the_middle_colour(colormap):
    table = np.frombuffer(signed_color_table(colormap), np.uint8).reshape(256, 3)
    colors = mpl.colormaps[colormap].resampled(255)
    for level, value in ((0, 0.0), (127, 0.5), (254, 1.0)):
        np.testing.assert_array_equal(table[level], colors(value, bytes=True)[:3])


def test_overlays_leave_the_picture_where_the_map_is_zero(save_picture, tmp_path):
    with Image.open(save_picture(tmp_path / "a.png", (30, 1))) as opened:
        photograph = opened.convert("RGB")
    heat = np.linspace(-1, 1, 30, dtype=np.float32)[None]
    heat[:, 10:20] = 0
    drawn = np.asarray(draw_overlay(photograph, heat, colormap="bwr", alpha=1, signed=True))
    np.testing.assert_array_equal(drawn[:, 10:20], np.asarray(photograph)[:, 10:20])
    assert tuple(drawn[0, 0]) == (0, 0, 255)
    assert tuple(drawn[0, -1]) == (255, 0, 0)
    half = np.asarray(draw_overlay(photograph, heat, colormap="bwr", alpha=0.5, signed=True), int)
    np.testing.assert_allclose(half[0, 0], (np.asarray(photograph)[0, 0] + [0, 0, 255]) / 2, atol=1)
    with pytest.raises(UsageError, match="'jet' has no middle"):
        draw_overlay(photograph, heat, colormap="jet", signed=True)


def test_grey_pictures_have_their_middle_at_zero():
    image = np.asarray(heatmap_to_image(np.array([[-1, 0, 0.5, 1]], np.float32), signed=True))
    assert image.tolist() == [[1, 32768, 49152, 65535]]


def test_colour_bars_say_what_they_mean():
    panels = [[Panel(Image.new("RGB", (30, 20)), "a")]]
    axes = draw_figure("a", "b", panels, "bwr", ends=("against", "for")).axes[-1]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["against", "0", "for"]
    assert axes.get_yticks().tolist() == [0, 0.5, 1]
    axes = draw_figure("a", "b", panels).axes[-1]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0", "0.5", "1"]


def test_in_a_notebook(classifier, picture):
    found = explain_image(picture, "dark", signed=True, model=classifier)
    assert found.ends == ("against", "for")
    np.testing.assert_allclose(
        found.heatmap, map_by_hand(picture, DARK_WEIGHTS, signed=True), atol=1e-5
    )
    assert found.title.startswith("Signed Grad-CAM of dark (2)")
    # Blue over red, and red over green; nothing where the map is nearly zero.
    overlay = np.asarray(found.overlay, int)
    assert overlay[0, 0, 2] > 150 > overlay[0, 0, 0]
    shown = np.asarray(Image.open(io.BytesIO(found._repr_png_())), int)
    band = shown[-30:]
    # The band below has the colours of the bar: pure blue and pure red.
    assert (np.abs(band - [0, 0, 255]).sum(-1) < 30).any()
    assert (np.abs(band - [255, 0, 0]).sum(-1) < 30).any()


def test_by_command(model_file, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture).save(tmp_path / "a.png")
    given = ("-m", model_file, "--labels", model_file.with_name("labels.txt"))

    def run(*args, code=0):
        words = ["a.png", *given, "--preprocess", "0-1", "--signed", *args]
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert done.exit_code == code, done.stderr
        return done

    wanted = map_by_hand(picture, DARK_WEIGHTS, signed=True)
    done = run("-c", "dark", "--heatmap", "npy", "--figure", "--json", "-o", "maps")
    (target,) = json.loads(done.stdout)["targets"]
    assert "_signed_" in target["output"]
    np.testing.assert_allclose(np.load(target["heatmap"]), wanted, atol=1e-5)
    done = run("-c", "dark", "--heatmap", "png", "--mask", "--json", "-o", "maps")
    (target,) = json.loads(done.stdout)["targets"]
    with Image.open(target["heatmap"]) as grey:
        assert abs(int(np.asarray(grey)[0, 0]) - 1) <= 1
    with Image.open(target["mask"]) as mask:
        # What speaks for the class.
        np.testing.assert_array_equal(np.asarray(mask), wanted >= 0.15 * wanted.max())
    done = run("-c", "dark", "--hot-only", "--threshold", "0.3", "--json", "-o", "hot")
    (target,) = json.loads(done.stdout)["targets"]
    with Image.open(target["output"]) as overlay:
        changed = (np.asarray(overlay) != picture).any(-1)
    np.testing.assert_array_equal(changed, np.abs(wanted) >= 0.3)

    run("-c", "dark", "--method", "gradcam,hirescam", "-o", "sheet")
    run("--each", "-o", "each")
    run("--report", "report.html", "-c", "dark")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert '"ends": ["against", "for"]' in page
    assert "--signed" in page

    refused = run("--method", "layercam", code=2).stderr
    assert "--signed doesn't work with layercam" in refused
    assert "'viridis' has no middle" in run("--colormap", "viridis", code=2).stderr
    shown = CliRunner().invoke(
        main,
        [str(word) for word in ("show", "a.png", *given, "--signed", "-c", "2", "--as", "text")],
    )
    assert "Picture and 'for' and 'against'" in shown.stdout
