"""Networks that segment: the score is a sum of scores over a region (Seg-Grad-CAM)."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import segmenters
import tensorflow as tf
from PIL import Image
from segmenters import CELL, CLASSES, SIDE, known_segmenter, scene

from gradcam_cli.api.explainers import (
    AblationCAM,
    GradCAM,
    HiResCAM,
    LayerCAM,
    ReciproCAM,
)
from gradcam_cli.api.image import explain_image
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.models.preprocessing import parse_preprocessing
from gradcam_cli.networks.forward import trace_forward
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.networks.layers import default_tap, why_default
from gradcam_cli.pictures.fitting import fit_picture
from gradcam_cli.pictures.reading import read_mask

RED, GREEN = (255, 0, 0), (0, 255, 0)
# Two red squares, left and right, and a green one.
TWO = {(4, 4): RED, (20, 4): RED, (12, 20): GREEN}


@pytest.fixture(scope="module")
def classifier():
    found = inspect("known.keras", KerasNetwork(known_segmenter()))
    return labelled(found)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "known.keras"
    known_segmenter().save(path)
    (path.parent / "labels.txt").write_text("\n".join(CLASSES))
    return path


def inspect(path, network, **options):
    return inspect_network(path, network, preprocess=parse_preprocessing("none"), **options)


def labelled(classifier):
    return replace(classifier, labels=classifier.labels.renamed(CLASSES))


_explainers = {}


def explainer_of(classifier, method="gradcam", **options):
    # Tracing takes most of the time.
    key = (classifier.network, method, *options)
    if key not in _explainers:
        _explainers[key] = Explainer(classifier, None, method, **options)
    return _explainers[key]


def explain(classifier, method, picture, target, region=None, **options):
    explainer = explainer_of(classifier, method, **options)
    conditions = None
    if region is not None:
        shape = (1, *picture.shape[:2])
        conditions = classifier.conditions.with_regions(None, region[None], shape)
    return explainer.explain(picture[None], np.array([[target]]), conditions)


def cells_with(color):
    """Where squares of a color are, in cells of the bottleneck."""
    picture = scene(TWO)
    return (picture[::CELL, ::CELL] == color).all(axis=-1)


def test_score_and_map_by_hand(classifier):
    explanation = explain(classifier, "gradcam", scene(TWO), 1)
    red = (scene(TWO) == RED).all(axis=-1)
    np.testing.assert_allclose(explanation.probabilities[0], [1 - 3 / 16, 1 / 8, 1 / 16])
    np.testing.assert_array_equal(explanation.regions[0, 0], red)
    # The gradient is 10 times the pixels of the region in each cell for red, and 0 for green, so
    # the map is the activation of red.
    np.testing.assert_allclose(explanation.maps[0, 0], cells_with(RED), atol=1e-6)


def test_largest_share_but_not_the_background_is_explained(classifier):
    assert explain(classifier, "gradcam", scene(TWO), -1).targets == [[1]]
    assert explain(classifier, "gradcam", scene({(4, 4): GREEN}), -1).targets == [[2]]
    several = explainer_of(classifier).explain(scene(TWO)[None], np.array([[-1, -2]]))
    assert several.targets.tolist() == [[1, 2]]
    assert explain(classifier, "gradcam", scene(TWO), -3).targets == [[0]]
    # In a region, the class that is predicted most in it.
    region = np.zeros((SIDE, SIDE), np.float32)
    region[18:30, 10:22] = 1
    assert explain(classifier, "gradcam", scene(TWO), -1, region).targets == [[2]]


@pytest.mark.parametrize("method", ["layercam", "hirescam", "guidedgradcam"])
def test_region_moves_the_heat(classifier, method):
    region = np.zeros((SIDE, SIDE), np.float32)
    region[2:14, 2:14] = 1
    left = explain(classifier, method, scene(TWO), 1, region)
    np.testing.assert_array_equal(left.regions[0, 0], region)
    half = left.maps.shape[-1] // 2
    assert left.maps[0, 0, :, :half].max() == 1
    assert not left.maps[0, 0, :, half:].any()
    right = explain(classifier, method, scene(TWO), 1, region[:, ::-1])
    assert not right.maps[0, 0, :, :half].any()
    # Without a region, both squares count.
    both = explain(classifier, method, scene(TWO), 1).maps[0, 0]
    assert both[:, :half].max() == pytest.approx(both[:, half:].max())


def test_mirrored_copies_have_mirrored_regions(classifier):
    region = np.zeros((SIDE, SIDE), np.float32)
    region[2:14, 2:14] = 1
    smooth = explain(classifier, "layercam", scene(TWO), 1, region, smoothing=True)
    assert smooth.maps[0, 0, :, :4].max() == 1
    assert not smooth.maps[0, 0, :, 4:].any()


def test_ablation_keeps_the_region_of_the_picture(classifier):
    """Without its red channel the network predicts no red, but the region stays where it was."""
    explanation = explain(classifier, "ablationcam", scene(TWO), 1)
    np.testing.assert_allclose(explanation.maps[0, 0], cells_with(RED), atol=1e-6)
    one_of_two = np.zeros((SIDE, SIDE), np.float32)
    one_of_two[18:30, 10:22] = 1
    # There is no red in this region, so that without red nothing changes.
    explanation = explain(classifier, "ablationcam", scene(TWO), 1, one_of_two)
    assert not explanation.maps.any()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_squares_or_says_why_not(classifier, method):
    if METHODS[method].not_for_segmentation:
        with pytest.raises(UsageError, match=f"--method {method} can't explain a segmentation"):
            Explainer(classifier, method=method)
        return
    heat = explain(classifier, method, scene(TWO), 1).maps[0, 0]
    size = heat.shape[0]
    red = (scene(TWO) == RED).all(axis=-1)[:: SIDE // size, :: SIDE // size]
    inside = heat[red].mean()
    assert inside > 0.5 * heat.max() > 0
    if not METHODS[method].ignores_class:
        assert inside > 3 * heat[~red].mean()


def test_class_that_is_nowhere_has_a_reason(classifier):
    explainer = explainer_of(classifier)
    inputs = scene({(4, 4): RED})[None]
    explanation = explainer.find_blanks(inputs, explainer.explain(inputs, np.array([[2, 1]])))
    assert not explanation.maps[0, 0].any()
    assert explanation.blanks[0, 0].reason == "predicted-nowhere"
    assert (0, 1) not in explanation.blanks


@pytest.mark.parametrize("final", [None, keras.layers.Reshape((SIDE, SIDE))])
def test_binary_masks(final):
    network = KerasNetwork(known_segmenter("sigmoid", 1, final=final))
    classifier = inspect("mask.keras", network)
    assert [classifier.labels.name(index) for index in range(2)] == ["background", "foreground"]
    explanation = explain(classifier, "gradcam", scene(TWO), -1)
    assert explanation.targets == [[1]]
    np.testing.assert_allclose(explanation.probabilities, [[7 / 8, 1 / 8]])
    np.testing.assert_allclose(explanation.maps[0, 0], cells_with(RED), atol=1e-6)
    # The opposite class has the negative score.
    assert not explain(classifier, "gradcam", scene(TWO), 0).maps[0, 0][cells_with(RED)].any()


def test_each_sigmoid_has_its_own_mask():
    model = known_segmenter("sigmoid")
    kernel, _ = model.get_layer("scores").get_weights()
    # On grey, a score of 0 would be rounded to either side.
    model.get_layer("scores").set_weights([kernel, np.float32([1, -1, -1])])
    classifier = inspect("masks.keras", KerasNetwork(model))
    shares = explain(classifier, "gradcam", scene(TWO), 1).probabilities[0]
    # The score of the background is positive everywhere, those of the others on their squares.
    assert shares[0] == 1
    np.testing.assert_allclose(shares[1:], [1 / 8, 1 / 16])


@pytest.mark.parametrize(
    "build",
    [
        segmenters.unet,
        lambda: segmenters.unet((32, 48), 1, "sigmoid", "nearest"),
        lambda: segmenters.unet(activation=None, up="bilinear"),
        segmenters.valid_unet,
        segmenters.residual,
        segmenters.deeplab,
        segmenters.fully_convolutional,
        segmenters.pyramid,
        segmenters.flat,
    ],
)
def test_default_layer_is_the_end_of_the_bottleneck(build):
    model = build()
    network = KerasNetwork(model)
    found = []

    def look(inputs):
        forward = trace_forward(network, inputs)
        path = default_tap(network, forward)
        found.append((path, why_default(forward, path), forward.dense.grid.size))
        return forward.logits

    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    tf.function(look, autograph=False).get_concrete_function(signature)
    ((path, reason, size),) = found
    assert path == "end"
    assert "bottleneck" in reason
    expected = model.output_shape[1:3] if len(model.output_shape) == 4 else (32, 32)
    assert size == expected
    # In Python, the same layer is the default.
    if build in (segmenters.unet, segmenters.deeplab, segmenters.flat):
        assert GradCAM(model).conv_layer.name == "end"


def test_output_that_covers_the_middle_of_its_input():
    classifier = inspect("valid.keras", KerasNetwork(segmenters.valid_unet()))
    picture = np.zeros((44, 44, 1), np.uint8)
    region = np.zeros((44, 44), np.float32)
    region[20:24, 10:14] = 1
    explanation = explain(classifier, "gradcam", picture, 0, region)
    # The output of 36 × 36 leaves out 4 pixels on each side.
    expected = np.zeros((36, 36))
    expected[16:20, 6:10] = 1
    np.testing.assert_allclose(explanation.regions[0, 0], expected, atol=1e-6)


def test_coarse_output_weighs_a_region_by_its_area():
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.AveragePooling2D(4), keras.layers.Conv2D(3, 1)]
    )
    classifier = inspect("coarse.keras", KerasNetwork(model), task="segmentation")
    region = np.zeros((16, 16), np.float32)
    region[0:4, 2:8] = 1
    explanation = explain(classifier, "gradcam", np.zeros((16, 16, 3), np.uint8), 0, region)
    np.testing.assert_allclose(explanation.regions[0, 0, 0], [0.5, 1, 0, 0])


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (lambda x: keras.layers.Conv2D(8, 3, strides=16)(x), "feature maps .* --task segmentation"),
        (lambda x: keras.layers.Conv2D(1, 1)(x), "one number for each pixel .* --task"),
        (lambda x: keras.layers.Conv2D(3, 1, activation="tanh")(x), "ends in Tanh"),
        (lambda x: keras.ops.argmax(keras.layers.Conv2D(3, 1)(x), -1), "whole numbers"),
        (lambda x: keras.ops.cumsum(keras.layers.Conv2D(3, 1)(x), 1), "because of .* Cumsum"),
    ],
)
def test_other_outputs_with_positions_are_refused(outputs, message):
    picture = keras.Input((32, 32, 3))
    model = keras.Model(picture, outputs(picture))
    with pytest.raises(UnsupportedModelError, match=message):
        inspect_network("other.keras", KerasNetwork(model))


def test_python_explains_a_class_where_it_is_predicted():
    model = known_segmenter()
    inputs = np.float32([scene(TWO), scene({(4, 4): RED})])
    one_hot = np.eye(3)[[1, 1]]
    grad_cam = GradCAM(model)
    found = grad_cam.raw_maps(inputs, one_hot)
    zone = (model.predict(inputs, verbose=0).argmax(-1) == 1)[..., None] * np.eye(3)[1]
    mean = GradCAM(model, operator="semantic segmentation").raw_maps(inputs, zone)
    count = zone.sum((1, 2, 3))[:, None, None]
    np.testing.assert_allclose(found, mean * count, rtol=1e-5)
    np.testing.assert_allclose(found[0] > 0, cells_with(RED))
    for explainer in (AblationCAM, LayerCAM):
        heat = explainer(model).raw_maps(inputs[:1], one_hot[:1])[0].numpy()
        assert heat[cells_with(RED)].min() > heat[~cells_with(RED)].max()
    # A zone of the user's, with mirrored copies.
    zone[:, :, 16:] = 0
    left = LayerCAM(model, operator="semantic segmentation", smoothing=True)
    heat = left.explain(inputs[:1], zone[:1])[0, :, :, 0].numpy()
    assert heat[:, :16].max() == pytest.approx(1)
    assert heat[:, 20:].max() < 0.01
    with pytest.raises(UsageError, match="can't explain a segmentation"):
        ReciproCAM(model).explain(inputs, one_hot)
    with pytest.raises(UsageError, match="segments 3 classes"):
        grad_cam.explain(inputs, np.eye(4)[[1, 1]])


def test_python_explains_binary_masks():
    model = known_segmenter("sigmoid", 1, final=keras.layers.Reshape((SIDE, SIDE)))
    inputs = np.float32([scene(TWO)])
    explainer = HiResCAM(model)
    found = explainer.raw_maps(inputs, np.ones((1, 1)))
    np.testing.assert_allclose(found[0] > 0, cells_with(RED))
    np.testing.assert_array_equal(found, explainer.raw_maps(inputs, [[0, 1]]))


def test_image_with_a_region(tmp_path):
    model = known_segmenter()
    picture = Image.fromarray(scene(TWO)).resize((64, 64), Image.Resampling.NEAREST)
    options = {"model": model, "labels": CLASSES, "method": "layercam", "preprocess": "none"}
    found = explain_image(picture, **options)
    assert found.target.name == "red"
    assert found.target.probability == pytest.approx(1 / 8)
    assert len(found.score_lines) == 2
    mask = np.zeros((64, 64), np.uint8)
    mask[4:28, 4:28] = 9
    Image.fromarray(mask).save(tmp_path / "mask.png")
    maps = [
        explain_image(picture, "red", region=region, **options).heatmap
        for region in (mask, (4, 4, 28, 28), tmp_path / "mask.png")
    ]
    for heat in maps:
        np.testing.assert_array_equal(heat, maps[0])
    assert maps[0][:, :32].max() > 0.9
    assert maps[0][:, 40:].max() < 0.01
    with pytest.raises(UsageError, match="doesn't segment"):
        explain_image(picture, region=(0, 0, 9, 9))


def test_masks_of_any_kind(tmp_path):
    inside = np.zeros((6, 8), bool)
    inside[1:3, 2:5] = True
    for name, picture in {
        "bits.png": Image.fromarray(inside),
        "grey.png": Image.fromarray(inside.astype(np.uint8)),
        "deep.png": Image.fromarray(inside.astype(np.uint16)),
        "blue.png": Image.fromarray(inside[..., None] * np.uint8([0, 0, 1])),
        "clear.png": Image.fromarray(inside[..., None] * np.uint8([9, 9, 9, 255])),
        "labels.png": Image.fromarray(inside.astype(np.uint8)).convert("P"),
    }.items():
        picture.save(tmp_path / name)
        np.testing.assert_array_equal(read_mask(tmp_path / name), inside, err_msg=name)
    # The edges of a JPEG are blurred.
    large = Image.fromarray(inside.astype(np.uint8) * 255).resize(
        (64, 48), Image.Resampling.NEAREST
    )
    large.save(tmp_path / "blurred.jpg", quality=60)
    np.testing.assert_array_equal(read_mask(tmp_path / "blurred.jpg"), np.asarray(large) > 0)
    # A camera that was turned: the mask is upright like the picture.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(inside.astype(np.uint8)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "turned.png"), np.rot90(inside, -1))


@pytest.mark.parametrize("fit", ["squash", "pad", "crop", "cover", "keep"])
def test_masks_follow_the_fit(fit):
    """A mask lands where the same shape in the picture does."""
    mask = np.zeros((60, 100), bool)
    mask[20:40, 30:60] = True
    found = fit_picture((100, 60), fit, (64, 64), 32)
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    seen = found.apply(picture.convert("RGB"))[..., 0]
    weights = found.apply_mask(mask)
    assert weights.shape == seen.shape
    inner = weights == 1
    assert inner.any()
    assert seen[inner].min() > 100
    # As large as in the picture, in input pixels.
    scale = np.subtract(found.target[2:], found.target[:2])
    scale = scale / np.subtract(found.source[2:], found.source[:2])
    assert weights.sum() == pytest.approx(mask.sum() * scale.prod())


def test_borders_are_no_part_of_the_picture():
    """A wide picture in a square input: the grey bars above and below don't count."""
    picture = Image.fromarray(scene({(4, 4): RED}, size=(16, 32)))
    options = {"model": known_segmenter(), "labels": CLASSES, "preprocess": "none", "fit": "pad"}
    for region in (None, (0, 0, 32, 16)):
        found = explain_image(picture, "red", region=region, **options)
        assert found.predictions[0].probability == pytest.approx(7 / 8)
        assert found.predictions[1].probability == pytest.approx(1 / 8)
