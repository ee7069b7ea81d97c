import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.gradients import grad_cam
from gradcam_cli.cam.scaling import scale_by_maximum


def by_hand(feature_maps, gradients):
    """Equations 1 and 2 of the paper, cell by cell."""
    rows, columns, channels = feature_maps.shape
    heatmap = np.zeros((rows, columns))
    for k in range(channels):
        alpha = gradients[:, :, k].sum() / (rows * columns)
        for i in range(rows):
            for j in range(columns):
                heatmap[i, j] += alpha * feature_maps[i, j, k]
    return np.maximum(heatmap, 0)


def test_grad_cam_is_the_formula_of_the_paper():
    rng = np.random.default_rng(4)
    maps = rng.normal(size=(3, 4, 5, 6)).astype(np.float32)
    gradients = rng.normal(size=maps.shape).astype(np.float32)
    found = tf.nn.relu(grad_cam(tf.constant(maps), tf.constant(gradients))).numpy()
    expected = [by_hand(a, g) for a, g in zip(maps, gradients, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.min() == 0
    assert found.max() > 0


def test_scaling_makes_each_map_reach_one():
    maps = np.zeros((2, 3, 4, 5), np.float32)
    maps[0, 0, 1, 2] = 1e-20
    maps[0, 1] = 7
    maps[1, 2, 0, 0], maps[1, 2, 3, 4] = 3e30, 1.5e30
    scaled = scale_by_maximum(tf.constant(maps)).numpy()
    assert np.isfinite(scaled).all()
    assert scaled[0, 0, 1, 2] == 1
    assert (scaled[0, 1] == 1).all()
    assert scaled[1, 2, 0, 0] == 1
    assert scaled[1, 2, 3, 4] == pytest.approx(0.5)
    assert not scaled[0, 2].any()


def network_by_hand(kernel, weights, bias, size=4):
    """1×1 convolution, ReLU, global average, dense: everything can be worked out on paper."""
    inputs = keras.Input((size, size, 3))
    channels, classes = weights.shape
    x = keras.layers.Conv2D(channels, 1, activation="relu", use_bias=False, name="maps")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(classes, activation="softmax", name="scores")(x)
    model = keras.Model(inputs, outputs)
    model.get_layer("maps").set_weights([kernel[None, None]])
    model.get_layer("scores").set_weights([weights, bias])
    return model


def test_a_network_worked_out_on_paper(classify):
    rng = np.random.default_rng(5)
    kernel = rng.normal(size=(3, 2)).astype(np.float32)
    weights = rng.normal(size=(2, 3)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    pictures = rng.uniform(0, 2, (5, 4, 4, 3)).astype(np.float32)
    explanation = Explainer(classify(network_by_hand(kernel, weights, bias)), "maps").explain(
        pictures, np.tile([[0, 1, 2]], (5, 1))
    )
    maps = np.maximum(pictures @ kernel, 0)
    logits = maps.mean((1, 2)) @ weights + bias
    exponentials = np.exp(logits)
    np.testing.assert_allclose(
        explanation.probabilities, exponentials / exponentials.sum(-1, keepdims=True), atol=1e-5
    )
    for number in range(5):
        for target in range(3):
            # The logit is linear in the maps: each cell has the gradient weight / 16.
            expected = np.maximum(maps[number] @ weights[:, target] / 16, 0)
            if expected.max() > 0:
                expected /= expected.max()
            np.testing.assert_allclose(explanation.maps[number, target], expected, atol=1e-4)


def test_without_positive_evidence_the_map_is_all_zeros(classify):
    kernel = np.abs(np.random.default_rng(6).normal(size=(3, 2))).astype(np.float32)
    weights = np.array([[-1, 0, 2], [-3, 0, 1]], np.float32)
    classifier = classify(network_by_hand(kernel, weights, np.zeros(3, np.float32)))
    pictures = np.random.default_rng(7).uniform(0, 1, (2, 4, 4, 3)).astype(np.float32)
    maps = Explainer(classifier, "maps").explain(pictures, [[0, 1, 2]] * 2).maps
    assert not maps[:, 0].any()
    assert not maps[:, 1].any()
    assert maps[:, 2].max() == 1
    assert np.isfinite(maps).all()
    black = np.zeros((1, 4, 4, 3), np.float32)
    assert not Explainer(classifier, "maps").explain(black, [[0, 1, 2]]).maps.any()


def test_a_saturated_softmax_still_has_a_map(classify):
    # In float32 the probability is exactly 1, and its gradient exactly 0.
    kernel = np.eye(3, 2, dtype=np.float32)
    weights = np.array([[1000, 0, 0], [0, 10, 0]], np.float32)
    classifier = classify(network_by_hand(kernel, weights, np.zeros(3, np.float32)))
    pictures = np.zeros((1, 4, 4, 3), np.float32)
    pictures[0, 1, 2] = (9, 0, 0)
    explanation = Explainer(classifier, "maps").explain(pictures, [[-1]])
    assert explanation.probabilities[0, 0] == 1
    expected = np.zeros((4, 4))
    expected[1, 2] = 1
    np.testing.assert_allclose(explanation.maps[0, 0], expected)


def test_the_built_in_model_agrees_with_a_gradient_tape(builtin, explainer, samples):
    from gradcam_cli.pictures.fitting import fit_picture
    from gradcam_cli.pictures.reading import read_picture

    picture = read_picture(samples / "dog.jpg")
    inputs = fit_picture(picture.size, "keep", (256, 256), 32).apply(picture)[None]
    found = explainer.explain(inputs, [[235, 281]])

    model = builtin.network.model
    part = keras.Model(model.inputs, model.get_layer("top_activation").output)
    kernel, bias = model.get_layer("predictions").get_weights()
    feature_maps = part(tf.cast(inputs, tf.float32))
    for number, target in enumerate((235, 281)):
        with tf.GradientTape() as tape:
            tape.watch(feature_maps)
            logits = tf.reduce_mean(feature_maps, (1, 2)) @ kernel + bias
            score = logits[:, target]
        gradients = tape.gradient(score, feature_maps)
        expected = by_hand(feature_maps[0].numpy(), gradients[0].numpy())
        expected /= expected.max()
        np.testing.assert_allclose(found.maps[0, number], expected, atol=1e-3)
    np.testing.assert_allclose(found.probabilities[0].sum(), 1, atol=1e-4)


def test_a_batch_gives_the_maps_of_single_pictures(explainer, samples):
    from gradcam_cli.pictures.fitting import fit_picture
    from gradcam_cli.pictures.reading import read_picture

    inputs = []
    for name in ("bee.jpg", "cat.jpg", "koala.jpg", "bridge.jpg"):
        picture = read_picture(samples / name)
        inputs.append(fit_picture(picture.size, "squash", (224, 224)).apply(picture))
    targets = np.array([[-1, 5], [285, -2], [1, 2], [839, -1]])
    together = explainer.explain(np.stack(inputs), targets)
    for number, picture in enumerate(inputs):
        alone = explainer.explain(picture[None], targets[[number]])
        np.testing.assert_array_equal(alone.targets[0], together.targets[number])
        np.testing.assert_allclose(
            alone.probabilities[0], together.probabilities[number], atol=1e-4
        )
        np.testing.assert_allclose(alone.maps[0], together.maps[number], atol=2e-3)
    ranking = np.argsort(-together.probabilities, axis=-1)
    assert together.targets[0, 0] == ranking[0, 0]
    assert together.targets[1, 1] == ranking[1, 1]
    assert together.targets[3, 1] == ranking[3, 0]
