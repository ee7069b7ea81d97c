"""The explainers for notebooks: what users of Xplique and AUCMEDI expect of them."""

import subprocess
import sys

import keras
import numpy as np
import numpy_network
import pytest
import tensorflow as tf
from attention_networks import OTHER_METHODS
from numpy_network import CLASSES, HEIGHT, WIDTH, NumpyNetwork, random_inputs

import gradcam_cli
from gradcam_cli import GradCAM, HiResCAM, ScoreCAM, SmoothGradCAMPP
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.errors import UnknownClassError, UnknownLayerError, UnusableLayerError, UsageError

EXPLAINERS = [
    found for found in map(gradcam_cli.__getattr__, gradcam_cli.__all__) if hasattr(found, "method")
]
ONE_HOT = np.eye(CLASSES)[[2, 0, 3]]


@pytest.fixture(scope="module")
def model():
    return numpy_network.build()


def expected_maps(model, weights=ONE_HOT, layer_gradient=NumpyNetwork.gradient):
    """Grad-CAM of conv2 as Xplique documents it: ReLU, then bicubic to the input size."""
    maps = []
    for x, c in zip(random_inputs(3).astype(np.float32), weights, strict=True):
        network = NumpyNetwork(model, x)
        alpha = layer_gradient(network, c).mean((0, 1))
        maps.append(np.maximum(network.a @ alpha, 0))
    return tf.image.resize(np.stack(maps)[..., None], (HEIGHT, WIDTH), "bicubic").numpy()


def test_maps_are_those_of_xpliques_grad_cam(model):
    explainer = GradCAM(model, conv_layer="conv2")
    maps = explainer.explain(random_inputs(3), ONE_HOT)
    assert isinstance(maps, tf.Tensor)
    assert maps.shape == (3, HEIGHT, WIDTH, 1)
    assert maps.dtype == tf.float32
    np.testing.assert_allclose(maps, expected_maps(model), atol=1e-5)
    np.testing.assert_array_equal(explainer(random_inputs(3), ONE_HOT), maps)


def test_the_last_layer_is_after_softmax(model):
    def through_softmax(network, c):
        p = network.probabilities
        return network.gradient((p @ c) * (c - p))

    maps = GradCAM(model, output_layer=-1, conv_layer="conv2")(random_inputs(3), ONE_HOT)
    np.testing.assert_allclose(
        maps, expected_maps(model, layer_gradient=through_softmax), atol=1e-5
    )
    named = GradCAM(model, output_layer="predictions", conv_layer="conv2")
    np.testing.assert_array_equal(named(random_inputs(3), ONE_HOT), maps)


@pytest.mark.parametrize("batch_size", [1, 2, 32, None])
def test_batches_change_nothing(model, batch_size):
    maps = GradCAM(model, batch_size=batch_size, conv_layer="conv2")(random_inputs(3), ONE_HOT)
    np.testing.assert_allclose(maps, expected_maps(model), atol=1e-5)


@pytest.mark.parametrize("batched", [False, True])
def test_datasets_have_their_targets_inside(model, batched):
    dataset = tf.data.Dataset.from_tensor_slices((random_inputs(3), ONE_HOT))
    explainer = GradCAM(model, batch_size=2, conv_layer="conv2")
    maps = explainer(dataset.batch(2) if batched else dataset)
    np.testing.assert_allclose(maps, expected_maps(model), atol=1e-5)
    with pytest.raises(UsageError, match="omit the targets argument"):
        explainer(dataset, ONE_HOT)


def test_inputs_need_targets(model):
    explainer = GradCAM(model)
    for targets, message in (
        (None, "targets are missing"),
        (np.array([0, 1, 2]), "must be one-hot"),
        (ONE_HOT[:2], "one row for each input"),
    ):
        with pytest.raises(UsageError, match=message):
            explainer(random_inputs(3), targets)


def test_the_default_layer_is_the_last_with_filters(model):
    assert GradCAM(model).conv_layer is model.get_layer("conv3")
    assert GradCAM(model, conv_layer="conv2").conv_layer is model.get_layer("conv2")
    assert GradCAM(model, conv_layer=1).conv_layer is model.layers[1]
    nested = keras.Sequential([keras.Input((HEIGHT, WIDTH, 3)), model, keras.layers.Dense(2)])
    explainer = GradCAM(nested)
    assert explainer.conv_layer is model.get_layer("conv3")
    assert explainer(random_inputs(2), np.eye(2)).shape == (2, HEIGHT, WIDTH, 1)


def test_layers_that_are_not_there(model):
    with pytest.raises(UnknownLayerError, match="did you mean conv"):
        GradCAM(model, conv_layer="conv9")
    with pytest.raises(UnknownLayerError, match="its layers are 0 to 6"):
        GradCAM(model, output_layer=7)
    with pytest.raises(UnusableLayerError, match="no layer with a spatial output"):
        _ = GradCAM(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])).conv_layer
    with pytest.raises(UnusableLayerError, match="no spatial output"):
        GradCAM(model, conv_layer="predictions")(random_inputs(1), ONE_HOT[:1])


def test_operators(model):
    def difference(model, inputs, targets):
        scores = model(inputs)
        return tf.reduce_sum(scores * targets, -1) - scores[:, 1]

    weights = ONE_HOT - np.eye(CLASSES)[1]
    for operator in (difference, tf.function(difference)):
        maps = GradCAM(model, operator=operator, conv_layer="conv2")(random_inputs(3), ONE_HOT)
        np.testing.assert_allclose(maps, expected_maps(model, weights), atol=1e-5)
    for name in ("classification", "regression"):
        maps = GradCAM(model, operator=name, conv_layer="conv2")(random_inputs(3), ONE_HOT)
        np.testing.assert_allclose(maps, expected_maps(model), atol=1e-5)
    with pytest.raises(UsageError, match="no operator 'detection', only classification"):
        GradCAM(model, operator="detection")


def test_a_zone_of_a_segmentation():
    inputs = keras.Input((4, 4, 2))
    maps = keras.layers.Conv2D(2, 1, use_bias=False, name="maps")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, use_bias=False)(maps))
    first, second = np.array([[1.0, 2], [3, 1]]), np.array([[1.0, -1], [2, 1]])
    model.set_weights([first[None, None], second[None, None]])
    x = np.random.default_rng(0).uniform(0, 1, (1, 4, 4, 2))
    zone = np.zeros((1, 4, 4, 2))
    zone[0, 1:3, 1, 0] = 1
    explainer = GradCAM(model, output_layer=-1, operator="semantic segmentation", conv_layer="maps")
    # The mean over two cells of class 0; of 16 cells' gradients the mean.
    alpha = second[:, 0] / 16
    expected = np.maximum(x @ first @ alpha, 0)[..., None]
    np.testing.assert_allclose(explainer(x, zone), expected, rtol=1e-5)


def test_a_single_sigmoid_unit():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, padding="same", name="maps"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    x = np.random.default_rng(1).normal(size=(2, 6, 6, 3)).astype(np.float32)
    weights = model.layers[-1].get_weights()[0][:, 0]
    maps = model.layers[0](x).numpy() @ weights / 36
    explainer = GradCAM(model)
    np.testing.assert_allclose(explainer(x, [[1.0], [1.0]])[..., 0], np.maximum(maps, 0), atol=1e-6)
    against = explainer.compute_heatmap(x[0], 0)
    np.testing.assert_allclose(against, 1 - explainer.compute_heatmap(x[0], 1), atol=1e-5)


@pytest.mark.parametrize("explainer", [GradCAM, HiResCAM])
def test_before_global_average_pooling_and_dense_it_is_classic_cam(explainer):
    """CAM (Zhou et al., 2016, arXiv 1512.04150): the sum of w_k^c A^k."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((10, 14, 3)),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="maps"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    x = np.random.default_rng(2).normal(size=(4, 10, 14, 3)).astype(np.float32)
    feature_maps = model.layers[0](x).numpy()
    weights = model.layers[-1].get_weights()[0]
    cam = np.stack([feature_maps[n] @ weights[:, n] for n in range(4)])
    found = explainer(model).raw_maps(tf.constant(x), tf.eye(4))
    # The mean's gradient spreads each weight over the cells.
    np.testing.assert_allclose(found, cam / np.prod(cam.shape[1:]), atol=1e-5)
    scaled = explainer(model, scale=True)(x, np.eye(4))
    upsampled = np.maximum(
        tf.image.resize(np.maximum(cam, 0)[..., None], (10, 14), "bicubic").numpy(), 0
    )
    np.testing.assert_allclose(
        scaled, upsampled / upsampled.max((1, 2, 3), keepdims=True), atol=1e-4
    )


def test_compute_heatmap_scales_from_minimum_to_maximum(model):
    explainer = GradCAM(model, conv_layer="conv2")
    x = random_inputs(1).astype(np.float32)
    network = NumpyNetwork(model, x[0])
    heatmap = network.a @ network.gradient(np.eye(CLASSES)[1]).mean((0, 1))
    expected = (heatmap - heatmap.min()) / (heatmap.max() - heatmap.min() + 1e-8)
    found = explainer.compute_heatmap(x, 1)
    assert found.shape == (HEIGHT // 2, WIDTH // 2)
    assert found.dtype == np.float32
    assert (found.min(), found.max()) == (0, pytest.approx(1))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(explainer.compute_heatmap(x[0], 1), found)
    with pytest.raises(UnknownClassError, match="are 0 to 3"):
        explainer.compute_heatmap(x, 4)
    # A large eps shows that it is added to what is divided by.
    spread = heatmap.max() - heatmap.min()
    halved = explainer.compute_heatmap(x, 1, eps=spread)
    np.testing.assert_allclose(halved, found / 2, atol=1e-5)


def test_compute_heatmap_of_a_constant_map_is_all_zeros():
    model = numpy_network.build()
    model.set_weights([0 * weight for weight in model.get_weights()])
    assert not GradCAM(model).compute_heatmap(random_inputs(1), 1).any()


def network_of(rank):
    keras.utils.set_random_seed(rank)
    conv = {3: keras.layers.Conv1D, 5: keras.layers.Conv3D}[rank]
    pool = {3: keras.layers.GlobalAveragePooling1D, 5: keras.layers.GlobalAveragePooling3D}[rank]
    shape = {3: (12, 2), 5: (4, 6, 8, 2)}[rank]
    return keras.Sequential(
        [
            keras.Input(shape),
            conv(3, 3, strides=2, padding="same", activation="relu"),
            conv(4, 3, padding="same", activation="relu", name="maps"),
            pool(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("rank", [3, 5])
@pytest.mark.parametrize(
    "explainer",
    [explainer for explainer in EXPLAINERS if explainer.method in OTHER_METHODS],
    ids=lambda explainer: explainer.method,
)
def test_series_and_volumes_are_explained_with_the_same_code(explainer, rank):
    model = network_of(rank)
    shape = (2, *model.input_shape[1:])
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    explain = explainer(model)
    maps = explain(x, np.eye(3)[:2]).numpy()
    assert maps.shape == (*shape[:-1], 1)
    assert np.isfinite(maps).all()
    # Each for itself gives the same: inputs of a batch don't mix.
    alone = explain(x[1:], np.eye(3)[1:2]).numpy()
    np.testing.assert_allclose(alone[0], maps[1], rtol=1e-3, atol=1e-6)
    if explainer is GradCAM:
        feature_maps = model.layers[1](model.layers[0](x)).numpy()
        weights = model.layers[-1].get_weights()[0][:, :2].T
        cells = np.prod(feature_maps.shape[1:-1])
        cam = np.einsum("n...k,nk->n...", feature_maps, weights) / cells
        np.testing.assert_allclose(explain.raw_maps(x, tf.eye(3)[:2]), cam, atol=1e-5)


class NoGradient(keras.layers.Layer):
    """Passes values on, but no gradients back."""

    def call(self, values):
        return tf.stop_gradient(values)


def test_only_methods_that_use_gradients_need_them():
    inputs = keras.Input((8, 8, 3))
    x = NoGradient()(keras.layers.Conv2D(4, 3, name="maps")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    x, targets = np.ones((1, 8, 8, 3), np.float32), np.eye(3)[:1]
    assert ScoreCAM(model, conv_layer="maps").raw_maps(x, targets).shape == (1, 6, 6)
    for explainer in (gradcam_cli.GroupCAM, SmoothGradCAMPP):
        with pytest.raises(UnusableLayerError, match="StopGradient after it passes none back"):
            explainer(model, conv_layer="maps").raw_maps(x, targets)


def test_upsampling_a_volume_is_separable_and_keeps_a_ramp():
    from gradcam_cli.cam.upsampling import upsample

    ramp = np.arange(8, dtype=np.float32)[None, None, :, None] * np.ones((1, 3, 1, 4), np.float32)
    up = upsample(tf.constant(ramp), tf.constant([6, 16, 8])).numpy()
    assert up.shape == (1, 6, 16, 8)
    np.testing.assert_allclose(np.diff(up[0, 2, 4:12, 3]), 0.5, atol=1e-5)
    np.testing.assert_allclose(up[0, 0], up[0, 5], atol=1e-6)


def test_smoothing_averages_mirrored_and_brighter_copies(model):
    x = random_inputs(2).astype(np.float32)
    explainer = GradCAM(model, conv_layer="conv2", smoothing=True)
    mirrored = explainer(x[:, :, ::-1], ONE_HOT[:2]).numpy()
    np.testing.assert_allclose(mirrored[:, :, ::-1], explainer(x, ONE_HOT[:2]), atol=1e-4)
    plain = GradCAM(model, conv_layer="conv2")
    total = 0
    for factor in (0.9, 1.0, 1.1):
        for copy, back in ((x, slice(None)), (x[:, :, ::-1], slice(None, None, -1))):
            maps = np.maximum(plain.raw_maps(tf.constant(copy * factor), ONE_HOT[:2]), 0)
            total += (maps / maps.max((1, 2), keepdims=True))[:, :, back]
    expected = tf.image.resize(total[..., None], (HEIGHT, WIDTH), "bicubic").numpy()
    expected = np.maximum(expected, 0)
    expected /= expected.max((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(explainer(x, ONE_HOT[:2]), expected, atol=1e-4)


def test_progress_is_told(model):
    told = []
    explainer = ScoreCAM(
        model, conv_layer="conv2", batch_size=2, progress=lambda *counts: told.append(counts)
    )
    explainer(random_inputs(2), ONE_HOT[:2])
    # How many go at once depends on the cores.
    assert max(done for done, _ in told) <= 2
    assert {total for _, total in told} == {10}
    assert sum(done for done, _ in told) == 10


def test_parameters_reach_the_method(model):
    x = random_inputs(1)
    few = SmoothGradCAMPP(model, conv_layer="conv2", samples=1, noise=0.0)(x, ONE_HOT[:1])
    plain = gradcam_cli.GradCAMPP(model, conv_layer="conv2")(x, ONE_HOT[:1])
    np.testing.assert_allclose(few, plain, atol=1e-5)
    for explainer in (SmoothGradCAMPP, GradCAM):
        with pytest.raises(TypeError, match="sampels"):
            explainer(model, sampels=1)


def test_the_weights_may_change_and_the_model_is_left_alone():
    model = numpy_network.build()
    layers = [layer.name for layer in model.layers]
    explainer = GradCAM(model, conv_layer="conv2")
    before = explainer(random_inputs(1), ONE_HOT[:1]).numpy()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([2 * kernel, bias])
    np.testing.assert_allclose(explainer(random_inputs(1), ONE_HOT[:1]), 2 * before, atol=1e-5)
    assert [layer.name for layer in model.layers] == layers
    assert not any("call" in layer.__dict__ for layer in model.layers)


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, gradcam_cli; dir(gradcam_cli); from gradcam_cli import __version__\n"
        "assert not {'tensorflow', 'keras', 'matplotlib', 'PIL', 'numpy'} & set(sys.modules)\n"
        "assert 'GradCAM' in dir(gradcam_cli)\n"
        "try: gradcam_cli.GradCan\n"
        "except AttributeError as error: assert 'GradCan' in str(error)\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_method_is_exported():
    assert {explainer.method for explainer in EXPLAINERS} == {
        name for name, info in METHODS.items() if not info.only_for_detection
    }
