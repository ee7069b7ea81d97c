"""Every method against an independent reading of its paper, in NumPy, and by hand."""

import inspect
from typing import get_type_hints

import numpy as np
import numpy_network
import pytest
import tensorflow as tf
from attention_networks import OTHER_METHODS
from numpy_network import (
    CELLS,
    CLASSES,
    HEIGHT,
    WIDTH,
    K,
    NumpyNetwork,
    bilinear,
    conv_transposed,
    random_inputs,
)

import gradcam_cli
from gradcam_cli.cam.methods.base import find_implementation, make_method
from gradcam_cli.cam.methods.components import eigen_cam, eigen_grad_cam, fem
from gradcam_cli.cam.methods.gradients import (
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    xgrad_cam,
)
from gradcam_cli.cam.methods.layer_fusion import winsorized_weights
from gradcam_cli.cam.methods.table import METHODS, MethodParameters
from gradcam_cli.cam.upsampling import upsample_at_pitch
from gradcam_cli.errors import UsageError

TARGETS = [2, 0, 3]
ONE_HOT = np.eye(CLASSES)[TARGETS]


@pytest.fixture(scope="module")
def model():
    return numpy_network.build()


def maps_of(model, method, inputs=None, targets=ONE_HOT, layer="conv2", **options):
    """The maps before the ReLU, at the size that the method gives them."""
    classes = {explainer.method: explainer for explainer in _explainers()}
    explainer = classes[method](model, conv_layer=layer, batch_size=4, **options)
    inputs = random_inputs(3) if inputs is None else inputs
    return explainer.raw_maps(inputs, targets).numpy()


def _explainers():
    found = [getattr(gradcam_cli, name) for name in dir(gradcam_cli) if name[0].isupper()]
    return [explainer for explainer in found if hasattr(explainer, "method")]


def networks(model, inputs=None):
    inputs = random_inputs(3) if inputs is None else inputs
    return [
        (NumpyNetwork(model, x.astype(np.float32)), weights)
        for x, weights in zip(inputs, ONE_HOT, strict=True)
    ]


def assert_equal_maps(actual, expected):
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())
    # A network in which nothing happens would prove nothing.
    assert np.ptp(expected) > 0


def test_every_method_has_a_class_of_its_own_and_the_paper():
    offered = {name for name, info in METHODS.items() if not info.only_for_detection}
    assert {explainer.method for explainer in _explainers()} == offered
    assert len(_explainers()) == len(offered)
    for name, info in METHODS.items():
        make_method(name)
        assert "20" in info.paper, name


@pytest.mark.parametrize("name", OTHER_METHODS)
def test_what_a_row_says_is_so(model, name):
    info = METHODS[name]
    explainer = {explainer.method: explainer for explainer in _explainers()}[name]
    assert all((info.title, info.summary, info.paper, info.cost))
    told, maps = [], {}
    for layer in ("conv1", "conv2"):
        chosen = None if info.fuses_layers else layer
        explain = explainer(model, conv_layer=chosen, progress=lambda *counts: told.append(counts))
        maps[layer] = explain.raw_maps(random_inputs(2), ONE_HOT[:2]).numpy()
    assert bool(told) == info.runs_many_times
    at_input_size = maps["conv2"].shape == (2, HEIGHT, WIDTH)
    assert at_input_size == info.at_input_size
    assert np.array_equal(maps["conv1"], maps["conv2"]) != info.needs_layer


def test_parameters_are_typed_as_the_methods_take_them():
    taken = {}
    for info in METHODS.values():
        implementation = find_implementation(info)
        chosen = [
            parameter.name
            for parameter in inspect.signature(implementation).parameters.values()
            if parameter.default is not parameter.empty
        ]
        if chosen:
            is_class = inspect.isclass(implementation)
            types = get_type_hints(implementation.__init__ if is_class else implementation)
            taken.update((parameter, types[parameter]) for parameter in chosen)
    assert taken == get_type_hints(MethodParameters)


def test_an_unknown_method_is_refused_with_a_suggestion():
    with pytest.raises(UsageError, match="did you mean gradcam"):
        make_method("gradcm")


def test_the_numpy_network_is_the_keras_one(model):
    inputs = random_inputs(3)
    for probabilities, (network, _) in zip(
        model(inputs.astype(np.float32)).numpy(), networks(model), strict=True
    ):
        np.testing.assert_allclose(network.probabilities, probabilities, rtol=1e-4)


def test_grad_cam(model):
    expected = []
    for network, c in networks(model):
        alpha = network.gradient(c).mean((0, 1))
        expected.append(sum(alpha[k] * network.a[:, :, k] for k in range(K)))
    assert_equal_maps(maps_of(model, "gradcam"), expected)


def test_grad_cam_plus_plus(model):
    expected = []
    for network, c in networks(model):
        exponential = np.exp(network.y @ c)
        g = network.gradient(c)
        first, second, third = (exponential * g**n for n in (1, 2, 3))
        total = np.zeros(CELLS)
        for k in range(K):
            weight = 0.0
            for i in range(CELLS[0]):
                for j in range(CELLS[1]):
                    below = 2 * second[i, j, k] + network.a[:, :, k].sum() * third[i, j, k]
                    if below:
                        weight += second[i, j, k] / below * max(first[i, j, k], 0)
            total += weight * network.a[:, :, k]
        expected.append(total / exponential)
    assert_equal_maps(maps_of(model, "gradcam++"), expected)


def test_xgrad_cam(model):
    expected = []
    for network, c in networks(model):
        g = network.gradient(c)
        total = np.zeros(CELLS)
        for k in range(K):
            share = network.a[:, :, k] / (network.a[:, :, k].sum() or 1)
            total += (share * g[:, :, k]).sum() * network.a[:, :, k]
        expected.append(total)
    assert_equal_maps(maps_of(model, "xgradcam"), expected)


def test_hires_cam(model):
    expected = [(network.gradient(c) * network.a).sum(-1) for network, c in networks(model)]
    assert_equal_maps(maps_of(model, "hirescam"), expected)


def test_layer_cam(model):
    expected = [
        (np.maximum(network.gradient(c), 0) * network.a).sum(-1) for network, c in networks(model)
    ]
    assert_equal_maps(maps_of(model, "layercam"), expected)


def principal(values):
    """The first component by the eigenvectors of the covariance of the channels."""
    cells = values.reshape(-1, K)
    _, vectors = np.linalg.eigh(cells.T @ cells)
    projection = cells @ vectors[:, -1]
    if projection @ cells.sum(1) < 0:
        projection = -projection
    return projection.reshape(CELLS)


def test_eigen_cam(model):
    expected = [principal(network.a) for network, _ in networks(model)]
    assert_equal_maps(maps_of(model, "eigencam"), expected)


def test_eigen_grad_cam(model):
    expected = [principal(network.gradient(c) * network.a) for network, c in networks(model)]
    assert_equal_maps(maps_of(model, "eigengradcam"), expected)


def test_fem(model):
    expected = []
    for network, _ in networks(model):
        total = np.zeros(CELLS)
        for k in range(K):
            channel = network.a[:, :, k]
            total += channel.mean() * (channel > channel.mean() + 1.5 * channel.std())
        expected.append(total)
    assert_equal_maps(maps_of(model, "fem", k=1.5), expected)


def to_unit(values):
    spread = np.ptp(values)
    return (values - values.min()) / spread if spread else values * 0


def test_score_cam(model):
    expected = []
    for network, c in networks(model):
        baseline = NumpyNetwork(model, network.x * 0).y @ c
        gains = []
        for k in range(K):
            mask = to_unit(bilinear(network.a[:, :, k], (HEIGHT, WIDTH)))
            gains.append(NumpyNetwork(model, network.x * mask[:, :, None]).y @ c - baseline)
        alpha = np.exp(gains) / np.exp(gains).sum()
        expected.append(network.a @ alpha)
    assert_equal_maps(maps_of(model, "scorecam"), expected)


def test_ss_cam(model):
    samples, noise = 3, 0.3
    normal = tf.random.stateless_normal((samples, *CELLS), (0, 0)).numpy()
    expected = []
    for network, c in networks(model):
        means = []
        for k in range(K):
            cells = network.a[:, :, k]
            noisy = [cells + one * noise * np.ptp(cells) for one in normal]
            masks = [to_unit(bilinear(one, (HEIGHT, WIDTH))) for one in noisy]
            scores = [NumpyNetwork(model, network.x * mask[:, :, None]).y @ c for mask in masks]
            means.append(np.mean(scores))
        expected.append(network.a @ (np.exp(means) / np.exp(means).sum()))
    assert_equal_maps(maps_of(model, "sscam", samples=samples, noise=noise), expected)


def test_is_cam(model):
    expected = []
    for network, c in networks(model):
        means = []
        for k in range(K):
            mask = to_unit(bilinear(network.a[:, :, k], (HEIGHT, WIDTH)))[:, :, None]
            path = [network.x * mask * fraction for fraction in (0.25, 0.5, 0.75, 1)]
            means.append(np.mean([NumpyNetwork(model, x).y @ c for x in path]))
        expected.append(network.a @ (np.exp(means) / np.exp(means).sum()))
    assert_equal_maps(maps_of(model, "iscam", samples=4), expected)


@pytest.mark.parametrize(
    ("method", "options"), [("sscam", {"samples": 1, "noise": 0.0}), ("iscam", {"samples": 1})]
)
def test_variants_of_score_cam_without_their_copies_are_score_cam(model, method, options):
    np.testing.assert_allclose(
        maps_of(model, method, **options), maps_of(model, "scorecam"), rtol=1e-5, atol=1e-6
    )


def numpy_blur(x):
    for axis in (0, 1):
        length = x.shape[axis]
        result = np.zeros_like(x)
        for to in range(length):
            weights = np.array(
                [
                    np.exp(-((to - at) ** 2) / (2 * (50 / 224 * length) ** 2))
                    if abs(to - at) <= 25 / 224 * length
                    else 0
                    for at in range(length)
                ]
            )
            line = np.tensordot(weights / weights.sum(), x, axes=([0], [axis]))
            result.swapaxes(0, axis)[to] = line
        x = result
    return x


def test_group_cam(model):
    expected = []
    for network, c in networks(model):
        weights = network.gradient(c).mean((0, 1))
        blurred = numpy_blur(network.x)
        baseline = NumpyNetwork(model, blurred).y @ c
        total = np.zeros(CELLS)
        for group in ([0, 1], [2, 3], [4]):
            mask = np.maximum((network.a * weights)[:, :, group].sum(-1), 0)
            mask = to_unit(np.where(mask > np.percentile(mask, 60), mask, 0))
            seen = bilinear(mask, (HEIGHT, WIDTH))[:, :, None]
            kept = network.x * seen + blurred * (1 - seen)
            total += (NumpyNetwork(model, kept).y @ c - baseline) * mask
        expected.append(total)
    assert_equal_maps(maps_of(model, "groupcam", groups=3, percentile=60), expected)


def test_ablation_cam(model):
    expected = []
    for network, c in networks(model):
        complete = network.y @ c
        total = np.zeros(CELLS)
        for k in range(K):
            without = network.a.copy()
            without[:, :, k] = 0
            ablated = NumpyNetwork(model, network.x, without).y @ c
            total += (complete - ablated) / abs(complete) * network.a[:, :, k]
        expected.append(total)
    assert_equal_maps(maps_of(model, "ablationcam"), expected)


def test_reciprocam(model):
    expected = []
    for network, c in networks(model):
        found = np.zeros(CELLS)
        for i in range(CELLS[0]):
            for j in range(CELLS[1]):
                alone = np.zeros_like(network.a)
                for row in range(max(i - 1, 0), min(i + 2, CELLS[0])):
                    for column in range(max(j - 1, 0), min(j + 2, CELLS[1])):
                        weight = (2 - abs(row - i)) * (2 - abs(column - j)) / 16
                        alone[row, column] = weight * network.a[i, j]
                found[i, j] = NumpyNetwork(model, network.x, alone).probabilities @ c
        expected.append(found - found.min())
    assert_equal_maps(maps_of(model, "reciprocam"), expected)


def test_ablation_cam_reaches_what_lies_beside_the_layer():
    # A shortcut around the ablated layer goes on as it was: y = mean(A + 10 x).
    import keras

    inputs = keras.Input((2, 2, 1))
    ablated = keras.layers.Conv2D(1, 1, use_bias=False, name="conv2")(inputs)
    doubled = keras.layers.Rescaling(10.0)(inputs)
    summed = keras.layers.Add()([ablated, doubled])
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(summed))
    model = keras.Model(inputs, outputs)
    weights = [[[[[3.0]]]], [[1.0, 0.0]], [0.0, 0.0]]
    model.set_weights([np.array(weight) for weight in weights])
    x = np.arange(4.0).reshape(1, 2, 2, 1)
    # y = 13 · 1.5 = 19.5; without A, 10 · 1.5 = 15; A = 3 x.
    expected = (19.5 - 15) / 19.5 * 3 * x[..., 0]
    np.testing.assert_allclose(maps_of(model, "ablationcam", x, [[1.0, 0.0]]), expected, rtol=1e-5)


def test_smooth_grad_cam_plus_plus(model):
    samples, noise = 3, 0.2
    expected = []
    for network, c in networks(model):
        g = []
        for sample in range(samples):
            normal = tf.random.stateless_normal(network.x.shape, (0, sample)).numpy()
            noisy = network.x + normal * noise * np.ptp(network.x)
            g.append(NumpyNetwork(model, noisy).gradient(c))
        first, second, third = (np.mean(np.power(g, n), axis=0) for n in (1, 2, 3))
        below = 2 * second + network.a.sum((0, 1)) * third
        alpha = np.divide(second, below, out=np.zeros_like(second), where=below != 0)
        weights = (alpha * np.maximum(first, 0)).sum((0, 1))
        expected.append(network.a @ weights)
    actual = maps_of(model, "smoothgradcam++", samples=samples, noise=noise)
    assert_equal_maps(actual, expected)


def test_fullgrad(model):
    expected = []
    for network, c in networks(model):
        at_x = network.gradient_by_input(c)
        terms = [
            at_x * network.x,
            network.at_z1 * network.b1,
            network.at_z2 * network.b2,
            network.at_z3 * network.b3,
        ]
        # Input and biases explain the score completely.
        of_dense = network.b @ c
        assert sum(term.sum() for term in terms) + of_dense == pytest.approx(network.y @ c)
        total = np.zeros((HEIGHT, WIDTH))
        for term in terms:
            strength = to_unit(np.abs(term))
            for channel in range(strength.shape[-1]):
                total += bilinear(strength[:, :, channel], (HEIGHT, WIDTH))
        expected.append(total)
    assert_equal_maps(maps_of(model, "fullgrad"), expected)


def test_guided_grad_cam(model):
    expected = []
    for network, c in networks(model):
        alpha = network.gradient(c).mean((0, 1))
        coarse = bilinear(np.maximum(network.a @ alpha, 0), (HEIGHT, WIDTH))
        fine = np.abs(network.gradient_by_input(c, guided=True)).max(-1)
        expected.append(coarse * fine)
    assert_equal_maps(maps_of(model, "guidedgradcam"), expected)


def test_finer_cam(model):
    expected = []
    for network, c in networks(model):
        target = int(np.argmax(c))
        by_distance = np.argsort(np.abs(network.y - network.y[target]))
        similar = [d for d in by_distance if d != target][:2]
        weights = c - 0.6 * np.eye(CLASSES)[similar].mean(0)
        alpha = network.gradient(weights).mean((0, 1))
        expected.append(network.a @ alpha)
    assert_equal_maps(maps_of(model, "finercam", gamma=0.6, references=2), expected)


def test_finer_cam_without_comparison_is_grad_cam(model):
    np.testing.assert_allclose(
        maps_of(model, "finercam", gamma=0.0), maps_of(model, "gradcam"), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("base", METHODS["finercam"].bases)
def test_finer_cam_over_other_methods_explains_the_same_difference(model, base):
    weights = []
    for network, c in networks(model):
        target = int(np.argmax(c))
        by_distance = np.argsort(np.abs(network.y - network.y[target]))
        similar = [d for d in by_distance if d != target][:2]
        weights.append(c - 0.6 * np.eye(CLASSES)[similar].mean(0))
    over = gradcam_cli.FinerCAM(model, conv_layer="conv2", base=base, gamma=0.6, references=2)
    found = over.raw_maps(random_inputs(3), ONE_HOT).numpy()
    assert_equal_maps(found, maps_of(model, base, targets=np.array(weights)))


def numpy_winsorized(importances, percentile):
    u = np.maximum(importances, 0)
    if not u.any():
        return u
    v = np.minimum(u, np.percentile(u[u > 0], percentile))
    low, high = v[u > 0].min(), v.max()
    weights = 0.1 + 0.9 * (v - low) / (high - low) if high > low else np.ones_like(v)
    return np.where(u > 0, weights, 0)


@pytest.mark.parametrize("percentile", [0.0, 35.0, 90.0, 100.0])
def test_winsorized_weights(percentile):
    random = np.random.default_rng(1)
    importances = random.normal(size=(6, 9))
    importances[1] = -1
    importances[2, 1:] = -1
    importances[3] = 0.5
    found = winsorized_weights(tf.constant(importances, tf.float32), percentile)
    expected = [numpy_winsorized(row, percentile) for row in importances]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_winsor_cam(model):
    expected = []
    for network, c in networks(model):
        # conv2 is A, and conv3's output is its ReLU of z3.
        b = np.maximum(network.z3, 0)
        at_a, at_b = network.gradient(c), np.broadcast_to(network.w @ c / np.prod(CELLS), b.shape)
        network.gradient_by_input(c)
        r1 = np.maximum(network.z1, 0)
        at_r1 = np.repeat(np.repeat(conv_transposed(network.at_z2, network.k2), 2, 0), 2, 1) / 4
        alphas = [gradient.mean((0, 1)) for gradient in (at_r1, at_a, at_b)]
        first, second, third = (
            to_unit(np.maximum(features @ alpha, 0))
            for features, alpha in zip((r1, network.a, b), alphas, strict=True)
        )
        weights = numpy_winsorized(np.array([alpha.mean() for alpha in alphas]), 50)
        coarse = tf.constant((weights[1] * second + weights[2] * third)[None], tf.float32)
        upsampled = upsample_at_pitch(coarse, (HEIGHT, WIDTH), (2.0, 2.0)).numpy()[0]
        expected.append(weights[0] * first + upsampled)
    assert_equal_maps(maps_of(model, "winsorcam", layer=None, percentile=50.0), expected)
    names = ["conv1", "conv2", "conv3"]
    assert_equal_maps(maps_of(model, "winsorcam", layer=names, percentile=50.0), expected)
    assert not np.allclose(maps_of(model, "winsorcam", layer=names[1:]), expected)


def test_layers_of_winsor_cam_are_checked(model):
    with pytest.raises(UsageError, match="winsorcam fuses the maps of several layers"):
        gradcam_cli.WinsorCAM(model, conv_layer="conv2")
    with pytest.raises(UsageError, match="LayerCAM explains one layer"):
        gradcam_cli.LayerCAM(model, conv_layer=["conv1", "conv2"])


def test_shapley_cam(model):
    expected = []
    for network, c in networks(model):
        p = network.probabilities
        jacobian = np.stack([network.gradient(row) for row in np.eye(CLASSES)])
        # u = y_c + log p_c = 2 y_c - log Σ exp(y)
        slope = np.tensordot(2 * c - p, jacobian, axes=1)
        # Between the kinks of the ReLUs y is linear in A, so H = -Jᵀ (diag p - p pᵀ) J.
        along_a = (jacobian * network.a).sum((1, 2, 3))
        hessian_a = -np.tensordot(p * along_a - p * (p @ along_a), jacobian, axes=1)
        alpha = (slope - hessian_a / 2).mean((0, 1))
        expected.append(network.a @ alpha)
    assert_equal_maps(maps_of(model, "shapleycam"), expected)


# Two maps of two cells: A¹ = (1, 3), A² = (2, 0), with gradients (1, -1) and (2, 4).
A = tf.constant([[[[1.0, 2.0], [3.0, 0.0]]]])
G = tf.constant([[[[1.0, 2.0], [-1.0, 4.0]]]])


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        # α = (0, 3): 3 A².
        (grad_cam, [6.0, 0.0]),
        # 1·1 + 2·2 and -1·3 + 4·0.
        (hires_cam, [5.0, -3.0]),
        (layer_cam, [5.0, 0.0]),
        # α = ((1·1 - 1·3) / 4, 2·2 / 2) = (-1/2, 2).
        (xgrad_cam, [3.5, -1.5]),
        # α¹ = 1 / (2 + 4·1) where positive: w¹ = 1/6; α² = 1 / (2 + 2 g):
        # w² = 2/6 + 4/10 = 11/15.
        (grad_cam_plus_plus, [1 / 6 + 22 / 15, 1 / 2]),
        # Means (2, 1), deviations (1, 1): nothing is more than one above its mean...
        (fem, [0.0, 0.0]),
        # ...but with half a deviation the second cell is in A¹ and the first in A².
        (lambda a, g: fem(a, g, k=0.5), [1.0, 2.0]),
    ],
)
def test_by_hand(formula, expected):
    np.testing.assert_allclose(formula(A, G)[0, 0], expected, rtol=1e-6)


def test_eigen_cam_of_one_pattern_is_that_pattern():
    # Both maps are multiples of (3, 4): the only component is it, with length 5 · |(1, 2)|.
    a = tf.constant([[[[3.0, 6.0], [4.0, 8.0]]]])
    np.testing.assert_allclose(eigen_cam(a, a)[0, 0], np.sqrt(5) * np.array([3, 4]), rtol=1e-5)


def test_eigen_grad_cam_keeps_the_sign_of_evidence():
    a = tf.constant([[[[3.0, 6.0], [4.0, 8.0]]]])
    against = eigen_grad_cam(a, -tf.ones_like(a))
    np.testing.assert_allclose(against[0, 0], -np.sqrt(5) * np.array([3, 4]), rtol=1e-5)


def test_methods_stay_finite_where_nothing_is_active():
    zeros = tf.zeros((1, 2, 2, 3))
    for formula in (grad_cam, grad_cam_plus_plus, xgrad_cam, eigen_cam, eigen_grad_cam, fem):
        assert not formula(zeros, zeros).numpy().any()
