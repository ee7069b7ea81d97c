"""The metrics, on networks whose perfect explanation is known."""

import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli import evaluation
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.upsampling import upsample_at_pitch
from gradcam_cli.errors import UsageError
from gradcam_cli.evaluation.batches import MapBatch, PictureBatch
from gradcam_cli.evaluation.faithfulness import draw_subsets
from gradcam_cli.evaluation.filling_in import fill_in
from gradcam_cli.evaluation.measurement import Measurement, is_larger
from gradcam_cli.evaluation.scores import TargetScores
from gradcam_cli.evaluation.table import METRICS
from gradcam_cli.pictures.reading import read_picture

TARGETS = np.array([1])


def linear(weights):
    """Class 1 is the weighted sum of the pixels; class 0 is nothing."""

    def network(inputs):
        score = tf.reduce_sum(inputs * weights[..., None], axis=(1, 2, 3))
        return tf.stack([tf.zeros_like(score), score], axis=1)

    return network


@pytest.fixture(scope="module")
def four_pixels():
    """What the pixels give to the score, and so the perfect map, is 4, 3, 2 and 1."""
    inputs = np.array([[[8, 3], [1, 4]]], np.float32)[..., None]
    weights = np.array([[0.5, 1], [2, 0.25]], np.float32)
    return linear(weights), inputs, np.array([[[4, 3], [2, 1]]], np.float32)


@pytest.fixture(scope="module")
def patch_network():
    """It looks at one patch of its input and nowhere else."""
    inputs = keras.Input((32, 32, 1))
    patch = inputs[:, 8:16, 20:28]
    score = keras.layers.GlobalAveragePooling2D()(patch)
    model = keras.Model(inputs, keras.ops.concatenate([1 - score, score], axis=1))
    heat = np.zeros((1, 32, 32), np.float32)
    heat[:, 8:16, 20:28] = 1
    images = np.full((1, 32, 32, 1), 0.9, np.float32)
    images[:, ::2] = 0.5
    return model, images, heat


def test_fading_by_hand(four_pixels):
    model, inputs, heat = four_pixels
    # The map scaled to 1, 2/3, 1/3 and 0 leaves 4 + 2 + 2/3 of 10.
    assert evaluation.average_drop(model, inputs, TARGETS, heat) == pytest.approx(1 / 3)
    assert evaluation.increase_in_confidence(model, inputs, TARGETS, heat) == 0
    assert evaluation.average_gain(model, inputs, TARGETS, heat) == 0
    # Without what speaks against the class there is more than before: 0.5 instead of 0.2.
    weights = np.array([[0.5, 0], [0, -0.3]], np.float32)
    ones, heat = np.ones((1, 2, 2, 1), np.float32), np.array([[[1, 0], [0, 0]]], np.float32)
    assert evaluation.average_drop(linear(weights), ones, TARGETS, heat) == 0
    assert evaluation.increase_in_confidence(linear(weights), ones, TARGETS, heat) == 1
    gain = evaluation.average_gain(linear(weights), ones, TARGETS, heat)
    assert gain == pytest.approx(0.3 / 0.8)


def test_metrics_share_what_they_need(four_pixels):
    model, inputs, heat = four_pixels
    pictures = PictureBatch(TargetScores(model), inputs, TARGETS, classes=2)

    def explain(_inputs, _targets):
        return heat

    batch, other = (MapBatch(pictures, maps, explain, explain) for maps in (heat, 1 - heat))
    runs = []

    def total(batch):
        runs.append(batch)
        return batch.maps.sum()

    assert batch.once(total) == batch.once(total) == 10
    assert other.once(total) == -6
    assert runs == [batch, other]
    # A row of the table and the function for arrays say the same.
    for name in ("average_drop", "increase_in_confidence", "average_gain", "mu_fidelity"):
        measured = METRICS[name].find_function()(batch)
        expected = getattr(evaluation, name)(model, inputs, TARGETS, heat)
        np.testing.assert_allclose(measured, expected, atol=1e-6)


def test_deletion_and_insertion_by_hand(four_pixels):
    model, inputs, heat = four_pixels
    # 10, 6, 3, 1, 0 and 0, 4, 7, 9, 10, by the trapezoidal rule.
    assert evaluation.deletion(model, inputs, TARGETS, heat, steps=4) == pytest.approx(15 / 4)
    assert evaluation.insertion(model, inputs, TARGETS, heat, steps=4) == pytest.approx(25 / 4)
    # The wrong way round it is the other way round.
    assert evaluation.deletion(model, inputs, TARGETS, -heat, steps=4) == pytest.approx(25 / 4)


def test_the_baseline_is_what_removed_pixels_become(four_pixels):
    model, inputs, heat = four_pixels
    # With 1 in all pixels the score is 3.75: 10, 6.5, 4.5, 4.5 - 2 + 2 = 4.5, 3.75.
    area = evaluation.deletion(model, inputs, TARGETS, heat, baseline=1, steps=4)
    assert area == pytest.approx((5 + 6.5 + 4.5 + 4.5 + 3.75 / 2) / 4)
    drop = evaluation.average_drop(model, inputs, TARGETS, heat, baseline=inputs)
    assert drop == pytest.approx(0, abs=1e-6)


def test_targets_may_be_one_hot(four_pixels):
    model, inputs, heat = four_pixels
    one_hot = np.array([[0, 1]], np.float32)
    assert evaluation.deletion(model, inputs, one_hot, heat, steps=4) == pytest.approx(15 / 4)


EVERY_FORM = {
    "tensors": (tf.constant, tf.constant, tf.constant),
    "lists": (np.ndarray.tolist, np.ndarray.tolist, np.ndarray.tolist),
    "what explain returns": (tf.constant, lambda t: np.eye(2)[t], lambda m: m[..., None]),
}


@pytest.mark.parametrize("form", EVERY_FORM)
@pytest.mark.parametrize(
    "metric",
    [
        *("average_drop", "increase_in_confidence", "average_gain", "deletion", "insertion"),
        *("mu_fidelity", "road"),
    ],
)
def test_metrics_take_what_people_have(four_pixels, metric, form):
    model, inputs, heat = four_pixels
    measure = getattr(evaluation, metric)
    given = [
        make(value) for make, value in zip(EVERY_FORM[form], (inputs, TARGETS, heat), strict=True)
    ]
    np.testing.assert_array_equal(measure(model, *given), measure(model, inputs, TARGETS, heat))


def test_metrics_of_maps_take_what_people_have(four_pixels):
    _, _, heat = four_pixels
    for measure in (evaluation.sparseness, evaluation.complexity):
        for form in (heat[..., None], tf.constant(heat), heat.tolist()):
            np.testing.assert_array_equal(measure(form), measure(heat))


def test_other_shapes_get_one_line(four_pixels):
    model, inputs, heat = four_pixels
    wrong = [
        ("inputs", (inputs[0], TARGETS, heat)),
        ("targets", (inputs, TARGETS[:, None, None], heat)),
        ("maps", (inputs, TARGETS, heat[0])),
        ("maps", (inputs, TARGETS, heat[:, :1])),
    ]
    for name, arguments in wrong:
        with pytest.raises(UsageError, match=f"^{name} have the shape") as caught:
            evaluation.deletion(model, *arguments)
        assert "\n" not in str(caught.value)


def test_mu_fidelity_of_a_perfect_map_is_1():
    rng = np.random.default_rng(0)
    weights = rng.random((18, 27)).astype(np.float32)
    inputs = rng.random((2, 18, 27, 1)).astype(np.float32)
    targets = np.array([1, 1])
    perfect = weights * inputs[..., 0]
    found = evaluation.mu_fidelity(linear(weights), inputs, targets, perfect)
    assert found == pytest.approx(1, abs=1e-4)
    assert evaluation.mu_fidelity(linear(weights), inputs, targets, -perfect) == pytest.approx(
        -1, abs=1e-4
    )
    # A map that says nothing of the score, and a score that nothing changes.
    assert evaluation.mu_fidelity(linear(weights), inputs, targets, 0 * perfect).tolist() == [0, 0]
    assert evaluation.mu_fidelity(linear(weights), inputs, 0 * targets, perfect).tolist() == [0, 0]


def test_subsets_are_cells_of_a_grid_taken_by_chance():
    subsets = draw_subsets((18, 27), grid=9, share=0.2, subsets=500)
    assert subsets.shape == (500, 18, 27)
    assert (subsets[:, ::2, ::3] == subsets[:, 1::2, 2::3]).all()
    assert subsets.mean() == pytest.approx(0.2, abs=0.01)


def test_the_planted_patch_is_the_best_map(patch_network):
    model, images, heat = patch_network
    others = {
        "inverted": 1 - heat,
        "elsewhere": np.roll(heat, 12, axis=1),
        "random": evaluation.random_maps(1, (32, 32), np.random.default_rng(0)),
        "centre": evaluation.centre_gaussian_maps(1, (32, 32)),
    }
    arguments = (model, images, TARGETS)
    assert evaluation.average_drop(*arguments, heat) == pytest.approx(0, abs=1e-6)
    for other in others.values():
        assert evaluation.average_drop(*arguments, other) > 0.1
        assert evaluation.deletion(*arguments, heat) < evaluation.deletion(*arguments, other)
        assert evaluation.insertion(*arguments, heat) > evaluation.insertion(*arguments, other)
        assert evaluation.mu_fidelity(*arguments, heat) > evaluation.mu_fidelity(*arguments, other)
    assert evaluation.mu_fidelity(*arguments, heat) > 0.8
    # The tenth that is removed first is the patch and more: the score is gone at once, in
    # the mean of 10 steps 0.7 / 20.
    assert evaluation.deletion(*arguments, heat) < 0.09


def test_road_of_the_planted_patch(patch_network):
    model, images, heat = patch_network
    images = np.full_like(images, 0.2)
    images[:, 8:16, 20:28] = 0.8
    arguments = (model, images, TARGETS)
    # Whatever is removed outside leaves 0.8; whatever is removed inside leaves 0.2, and the
    # last 90 % of the least important are still outside.
    assert evaluation.road(*arguments, heat) == pytest.approx((0.8 - 0.2) / 2, abs=0.02)
    assert evaluation.road(*arguments, 1 - heat) == pytest.approx(-(0.8 - 0.2) / 2, abs=0.02)
    assert evaluation.road(*arguments, 0 * heat) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_filling_in_solves_the_equations(samples, share):
    side = 24
    picture = read_picture(samples / "dog.jpg").resize((side, side))
    image = np.asarray(picture, np.float32)[None]
    rng = np.random.default_rng(0)
    smooth = evaluation.random_maps(1, (side, side), rng)[0]
    known = (smooth <= np.quantile(smooth, 1 - share))[None]
    # Each unknown pixel times the weights of its neighbours, less those neighbours, is 0.
    pixels = side * side
    matrix, right = np.eye(pixels), image.reshape(pixels, 3).astype(np.float64)
    for y, x in np.argwhere(~known[0]):
        row, total = np.zeros(pixels), 0.0
        for dy, dx in np.argwhere(np.ones((3, 3))) - 1:
            if (dy or dx) and 0 <= y + dy < side and 0 <= x + dx < side:
                weight = 1 / 12 if dy and dx else 1 / 6
                row[(y + dy) * side + x + dx] = -weight
                total += weight
        row[y * side + x] = total
        matrix[y * side + x], right[y * side + x] = row, 0
    exact = np.linalg.solve(matrix, right).reshape(image.shape)
    filled = fill_in(image, known)
    np.testing.assert_array_equal(filled[known], image[known])
    # ROAD's noise has a deviation of 2.55.
    assert np.abs(filled - exact)[~known].mean() < 0.5


def test_sparseness_and_complexity_by_hand():
    one, even = np.zeros((1, 2, 2)), np.ones((1, 2, 2))
    one[0, 0, 1] = 5
    quarters = np.array([[[1, 2], [0, 1]]])
    maps = np.concatenate([one, even, quarters, 0 * one])
    # 2 * (1 * 0 + 2 * 1 + 3 * 1 + 4 * 2) / (4 * 4) - 5 / 4 for the third.
    np.testing.assert_allclose(evaluation.sparseness(maps), [0.75, 0, 0.375, 0])
    entropy = 0.5 * np.log(2) + 0.5 * np.log(4)
    np.testing.assert_allclose(
        evaluation.complexity(maps), [0, np.log(4), entropy, np.log(4)], atol=1e-12
    )


def test_stability_by_hand():
    weights = np.random.default_rng(1).random((6, 5)).astype(np.float32)

    def explain(inputs, targets):
        assert set(targets) == {1}
        return weights * inputs[..., 0]

    inputs = np.random.default_rng(2).random((3, 6, 5, 1)).astype(np.float32)
    targets = np.array([1, 1, 1])
    found = evaluation.average_stability(
        explain, inputs, targets, explain(inputs, targets), radius=0.3, neighbours=4000
    )
    # The root of the expected square of what even noise adds is a little above the mean.
    assert found == pytest.approx(np.sqrt((weights**2).sum() * 0.3**2 / 3), rel=0.01)
    steady = evaluation.average_stability(
        lambda inputs, _: np.ones(inputs.shape[:3]), inputs, targets, np.ones((3, 6, 5))
    )
    assert steady.tolist() == [0, 0, 0]


def test_baseline_maps():
    maps = evaluation.random_maps(50, (40, 64), np.random.default_rng(3))
    assert maps.shape == (50, 40, 64)
    assert maps.min() >= 0
    assert maps.max() <= 1
    # Nothing is favoured.
    assert np.ptp(maps.mean(0)) < 0.35
    (centre,) = evaluation.centre_gaussian_maps(1, (41, 61))
    assert np.unravel_index(centre.argmax(), centre.shape) == (20, 30)
    assert centre.max() == 1
    np.testing.assert_allclose(centre, centre[::-1, ::-1], atol=1e-6)


def test_the_interval_of_a_mean():
    values = np.random.default_rng(4).normal(3, 2, 400)
    measurement = Measurement(values)
    low, high = measurement.interval
    # Normal theory: 1.96 standard errors to either side.
    error = 1.96 * values.std() / np.sqrt(400)
    assert measurement.mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.03)
    assert measurement.margin == pytest.approx(error, abs=0.03)
    assert Measurement(values).interval == (low, high)


@pytest.mark.filterwarnings("error")
def test_intervals_where_there_is_nothing_to_resample():
    assert Measurement(np.array([2.0])).interval == (2, 2)
    assert Measurement(np.full(5, 0.25)).interval == (0.25, 0.25)
    assert np.isnan(Measurement(np.array([1, np.nan, 2])).interval).all()
    low, high = Measurement(np.array([0.0, 0, 0, 0, 0, 0, 0, 0, 0, 1])).interval
    assert low == 0 < high < 1


def test_the_interval_of_many_pictures_needs_little_memory():
    values = np.random.default_rng(6).random(10_000)
    tracemalloc.start()
    try:
        low, high = Measurement(values).interval
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert low < 0.5 < high
    # All 2,000 resamples at once would be 160 MB.
    assert peak < 60e6


def test_what_is_larger_beyond_chance():
    rng = np.random.default_rng(5)
    pictures = rng.normal(0, 10, 30)
    # The pictures differ by far more than the methods: only pairs tell.
    assert is_larger(pictures + 1 + rng.normal(0, 0.5, 30), pictures)
    assert not is_larger(pictures + rng.normal(0, 0.5, 30), pictures + 1)
    assert not is_larger(pictures, pictures)


def test_the_classifier_gets_pixels_and_gives_probabilities(builtin, samples):
    inputs = np.asarray(read_picture(samples / "dog.jpg").resize((256, 192)))[None]
    explainer = Explainer(builtin)
    explanation = explainer.explain(inputs, np.array([[-1]]))
    target = explanation.targets[:, 0]
    heat = upsample_at_pitch(explanation.maps[:, 0], (192, 256), explainer.pitch).numpy()
    probability = float(explanation.probabilities[0, target[0]])
    arguments = (builtin, inputs, target)
    everything = np.ones_like(heat)
    everything[0, 0, 0] = 0
    assert evaluation.average_drop(*arguments, everything) == pytest.approx(0, abs=0.01)
    # Everything gone is the mean colour, of which the network thinks nothing.
    assert evaluation.average_drop(*arguments, 0 * heat) > 0.95
    # First all pixels are there, at last none: half a step of the whole score.
    curve = evaluation.deletion(*arguments, heat, steps=1)
    assert curve == pytest.approx(probability / 2, abs=0.01)
    blank = np.broadcast_to(np.float32([124, 116, 104]), (1, 64, 64, 3))
    assert evaluation.mu_fidelity(builtin, blank, target, heat[:, 64:128, 64:128])[0] == 0
    noise = evaluation.random_maps(1, (192, 256), np.random.default_rng(0))
    assert evaluation.road(*arguments, heat) > evaluation.road(*arguments, noise) + 0.1
    assert evaluation.insertion(*arguments, heat) > evaluation.insertion(*arguments, noise)
