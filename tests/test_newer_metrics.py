"""ADCC, ARCC, infidelity, IROF, random logit, eMPRT and compactness, worked out by hand."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from gradcam_cli import evaluation
from gradcam_cli.cli import main
from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.evaluation.batches import MapBatch, PictureBatch
from gradcam_cli.evaluation.composites import ARCC_PERCENTILES, coherency
from gradcam_cli.evaluation.faithfulness import draw_subsets, mean_square_misfit, subset_losses
from gradcam_cli.evaluation.scores import TargetScores
from gradcam_cli.evaluation.superpixels import find_superpixels
from gradcam_cli.evaluation.table import DEFAULT_METRICS, METRICS, RANKING_METRICS
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import arcc_cases

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

    def explain(inputs, _targets):
        return weights * np.asarray(inputs)[..., 0]

    return linear(weights), explain, inputs, np.array([[[4, 3], [2, 1]]], np.float32)


def test_adcc_by_hand(four_pixels):
    model, explain, inputs, heat = four_pixels
    # The map scaled to 1, 2/3, 1/3 and 0 leaves 4, 2, 2/3 and 0: a third of 10 is lost, half
    # of the heat remains on average, and the products of the deviations sum up to 20/3.
    correlation = (20 / 3) / np.sqrt(5 * 84 / 9)
    expected = 3 / (2 / (1 + correlation) + 1 / (1 - 1 / 2) + 1 / (1 - 1 / 3))
    measured = evaluation.adcc(model, explain, inputs, TARGETS, heat)
    assert measured == pytest.approx(expected, rel=1e-5)
    # Where everything is lost, nothing else counts.
    nothing = evaluation.adcc(model, explain, inputs, TARGETS, np.ones_like(heat))
    assert nothing == pytest.approx(0, abs=1e-6)


def test_coherency():
    heat = np.random.default_rng(0).random((1, 5, 4))
    assert coherency(heat, 3 * heat + 1) == pytest.approx(1, abs=1e-6)
    assert coherency(heat, -heat) == pytest.approx(0, abs=1e-6)
    assert coherency(heat, np.ones_like(heat)) == 0.5


def test_adcc_and_arcc_are_those_of_pytorch_grad_cam():
    inputs, targets = arcc_cases.make_inputs(), arcc_cases.TARGETS
    maps = arcc_cases.explain(inputs, targets)
    ours = (arcc_cases.network, arcc_cases.explain, inputs, targets, maps)
    expected = arcc_cases.EXPECTED
    np.testing.assert_allclose(evaluation.adcc(*ours), expected["adcc"], atol=1e-5)
    faded = arcc_cases.explain(inputs * maps[..., None], targets)
    np.testing.assert_allclose(coherency(maps, faded), expected["coherency"], atol=1e-5)
    road = evaluation.road(arcc_cases.network, inputs, targets, maps, ARCC_PERCENTILES)
    np.testing.assert_allclose(road, expected["road"], atol=2e-3)
    np.testing.assert_allclose(evaluation.arcc(*ours), expected["arcc"], atol=2e-3)


def test_arcc_is_0_for_a_map_that_marks_the_wrong_pixels():
    inputs, targets = arcc_cases.make_inputs(), arcc_cases.TARGETS

    def inverted(inputs, targets):
        return 1 - arcc_cases.explain(inputs, targets)

    measured = evaluation.arcc(
        arcc_cases.network, inverted, inputs, targets, inverted(inputs, targets)
    )
    np.testing.assert_allclose(measured, 0, atol=1e-6)


def test_infidelity_by_hand():
    subsets = np.array([[[True, False]], [[True, True]]])
    maps = np.array([[[1.0, 1.0]]])
    losses = np.array([[3.0, 1.0]])
    # The heat in the sets is 1 and 2; 3 + 2 of 1 + 4 makes the factor 1, and 2 and 1 remain.
    assert mean_square_misfit(losses, subsets, maps) == pytest.approx((2**2 + 1**2) / 2)


def test_infidelity_of_a_perfect_map_is_0():
    rng = np.random.default_rng(0)
    weights = rng.random((18, 27)).astype(np.float32)
    inputs = rng.random((2, 18, 27, 1)).astype(np.float32)
    targets = np.array([1, 1])
    arguments = (linear(weights), inputs, targets)
    perfect = weights * inputs[..., 0]
    losses = subset_losses(*arguments, draw_subsets((18, 27)))
    most = (losses**2).mean(axis=1)
    for scale in (1, 1e-3, 50):
        assert (evaluation.infidelity(*arguments, scale * perfect) < 1e-6 * most).all()
    worse = evaluation.infidelity(*arguments, rng.random(perfect.shape))
    assert (worse > 1e-3 * most).all()
    assert (worse < most).all()
    # An inverted map is as wrong as none.
    for wrong in (-perfect, 0 * perfect):
        np.testing.assert_allclose(evaluation.infidelity(*arguments, wrong), most, rtol=1e-5)


def test_irof_by_hand(four_pixels):
    model, _, inputs, heat = four_pixels
    each = np.arange(4).reshape(1, 2, 2)
    arguments = (model, inputs, TARGETS)
    # 10, 6, 3, 1, 0 of 10, by the trapezoidal rule.
    assert evaluation.irof(*arguments, heat, segments=each) == pytest.approx(1 - 15 / 40)
    assert evaluation.irof(*arguments, -heat, segments=each) == pytest.approx(1 - 25 / 40)
    # The right column gives 4, the left one 6, and has the greater mean.
    columns = np.array([[[7, 3], [7, 3]]])
    assert evaluation.irof(*arguments, heat, segments=columns) == pytest.approx(1 - (5 + 4) / 20)
    with pytest.raises(UsageError, match=r"^segments have the shape"):
        evaluation.irof(*arguments, heat, segments=each[0])


def test_superpixels_keep_to_the_edges_of_objects():
    rows, columns = np.indices((45, 70))
    inside = (rows - 20) ** 2 + (columns - 40) ** 2 < 14**2
    picture = np.where(inside[..., None], [200, 30, 40], [20, 90, 160]).astype(np.uint8)
    for inputs in (picture[None], picture[None, ..., :1] / np.float32(255)):
        (segments,) = find_superpixels(inputs, segments=30)
        numbers = np.unique(segments)
        assert numbers.tolist() == list(range(len(numbers)))
        assert 20 <= len(numbers) <= 40
        shares = np.array([inside[segments == number].mean() for number in numbers])
        # The edge itself is smoothed, and may lie a pixel beside it.
        assert np.minimum(shares, 1 - shares)[segments].mean() < 0.03
    (even,) = find_superpixels(np.zeros((1, 40, 40, 3), np.uint8), segments=16)
    assert set(np.bincount(even.ravel())) == {100}


def test_irof_of_the_planted_patch():
    inputs = np.full((1, 32, 32, 1), 0.2, np.float32)
    inputs[:, 8:16, 20:28] = 0.9
    heat = np.zeros((1, 32, 32), np.float32)
    heat[:, 8:16, 20:28] = 1
    arguments = (linear(heat[0]), inputs, TARGETS)
    assert evaluation.irof(*arguments, heat) > 0.85
    noise = evaluation.random_maps(1, (32, 32), np.random.default_rng(0))
    for other in (1 - heat, noise):
        assert evaluation.irof(*arguments, other) < evaluation.irof(*arguments, heat) - 0.05


def test_random_logit():
    rng = np.random.default_rng(0)
    inputs = rng.random((6, 16, 16, 3)).astype(np.float32)
    of_class = rng.random((10, 16, 16))
    asked = []

    def of_the_class(_inputs, targets):
        asked.append(targets.tolist())
        return of_class[targets]

    def of_the_picture(inputs, _targets):
        return inputs[..., 0]

    targets = np.arange(6)
    maps = of_the_picture(inputs, targets)
    blind = evaluation.random_logit(of_the_picture, inputs, targets, maps, classes=10)
    np.testing.assert_allclose(blind, 1, atol=1e-5)
    maps = of_class[targets]
    # Scaling one of the maps changes nothing.
    aware = evaluation.random_logit(of_the_class, inputs, targets, 7 * maps, classes=10)
    assert (aware < 0.3).all()
    (drawn,) = asked
    assert all(
        0 <= other < 10 and other != target for other, target in zip(drawn, targets, strict=True)
    )
    assert len(set(drawn)) > 1
    # What is drawn for an input doesn't depend on the others.
    alone = evaluation.random_logit(of_the_class, inputs[4:5], targets[4:5], maps[4:5], 10)
    np.testing.assert_allclose(alone, aware[4:5], atol=1e-6)
    with pytest.raises(UsageError, match="two classes"):
        evaluation.random_logit(of_the_class, inputs, 0 * targets, maps, classes=1)


def test_efficient_mprt_by_hand():
    half = np.repeat([[0.0, 1.0]], 4, axis=0)[None]
    four = np.arange(4.0).repeat(2).reshape(1, 4, 2)
    # Two equal parts, then four: ln 2, then ln 4.
    assert evaluation.efficient_mprt(half, four) == pytest.approx(1)
    assert evaluation.efficient_mprt(four, half) == pytest.approx(-0.5)
    assert evaluation.efficient_mprt(four, 5 * four - 2) == pytest.approx(0)
    assert np.isnan(evaluation.efficient_mprt(0 * four, four)).all()
    assert np.isnan(evaluation.efficient_mprt(four, 0 * four)).all()


def test_compactness_by_hand():
    one, corners = np.zeros((2, 1, 4, 4))
    one[0, 2, 1] = 3
    corners[0, 0, 0] = corners[0, 3, 3] = 2
    maps = np.concatenate([one, np.ones((1, 4, 4)), corners, 0 * one])
    # Along each side, pixels lie 1/8 and 3/8 from the centre: 10/128 on average, 9/64 at most.
    expected = [1, 0, 1 - (9 / 64) / (10 / 128), 0]
    np.testing.assert_allclose(evaluation.compactness(maps), expected, atol=1e-12)
    # The same values in two places are less compact, but as sparse.
    together, apart = np.zeros((2, 1, 20, 30))
    together[0, 4:8, 4:12] = 1
    apart[0, 4:8, 4:8] = apart[0, 14:18, 20:24] = 1
    assert evaluation.compactness(together) > evaluation.compactness(apart) + 0.5
    assert evaluation.sparseness(together) == pytest.approx(evaluation.sparseness(apart))


@pytest.fixture(scope="module")
def small_model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(6, 3, 2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Conv2D(8, 3, 2, activation="relu", name="last"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ],
        name="small",
    )


def test_weights_are_shuffled_for_a_while(small_model, tmp_path):
    inputs = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    before, weights = small_model(inputs).numpy(), small_model.get_weights()
    with evaluation.randomized_weights(small_model):
        for shuffled, weight in zip(small_model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(np.sort(shuffled.ravel()), np.sort(weight.ravel()))
        assert np.abs(small_model(inputs).numpy() - before).max() > 1e-3
    np.testing.assert_array_equal(small_model(inputs).numpy(), before)
    small_model.save(tmp_path / "small.keras")
    classifier = load_classifier(ModelOptions(model=str(tmp_path / "small.keras")))
    with evaluation.randomized_weights(classifier):
        pass
    folded = classifier.folded()
    with pytest.raises(UnsupportedModelError), evaluation.randomized_weights(folded):
        pass


def test_the_table_and_the_functions_say_the_same(four_pixels):
    inputs, targets = arcc_cases.make_inputs(), arcc_cases.TARGETS
    scored = []

    class Counting(TargetScores):
        def of_changed(self, change, input_shape, targets):
            scored.append(len(targets))
            return super().of_changed(change, input_shape, targets)

    explained = []

    def explain(inputs, targets):
        explained.append(len(inputs))
        return arcc_cases.explain(inputs, targets)

    maps = arcc_cases.explain(inputs, targets)
    pictures = PictureBatch(Counting(arcc_cases.network), inputs, targets, classes=2)
    batch = MapBatch(pictures, maps, explain, explain)

    def measure(*names):
        return [METRICS[name].find_function()(batch) for name in names]

    measure("average_drop", "road", "mu_fidelity")
    runs = sum(scored)
    adcc, arcc, infidelity = measure("adcc", "arcc", "infidelity")
    # They need one more map for each input, and no more runs.
    assert sum(scored) == runs
    assert sum(explained) == len(inputs)
    (irof,) = measure("irof")
    arguments = (arcc_cases.network, inputs, targets, maps)
    with_maps = (arcc_cases.network, arcc_cases.explain, inputs, targets, maps)
    np.testing.assert_allclose(adcc, evaluation.adcc(*with_maps), atol=1e-6)
    np.testing.assert_allclose(arcc, evaluation.arcc(*with_maps), atol=1e-4)
    np.testing.assert_allclose(infidelity, evaluation.infidelity(*arguments), atol=1e-6)
    np.testing.assert_allclose(irof, evaluation.irof(*arguments), atol=1e-6)
    random_logit, efficient_mprt, compactness = measure(
        "random_logit", "efficient_mprt", "compactness"
    )
    np.testing.assert_allclose(random_logit, 1, atol=1e-5)
    np.testing.assert_allclose(efficient_mprt, 0, atol=1e-12)
    np.testing.assert_allclose(compactness, evaluation.compactness(maps))


def test_all_metrics_by_the_command(small_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_model.save("small.keras")
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save("a.png")

    def evaluate(*arguments):
        command = ["evaluate", "a.png", "--json", "--quiet", *arguments]
        return CliRunner().invoke(main, command)

    result = evaluate("--model", "small.keras", "--metric", "all")
    assert result.exit_code == 0, result.output
    first, _, centre = json.loads(result.stdout)["rows"]
    assert list(centre["figures"]) == list(METRICS)
    # With random weights, the map may be empty.
    assert set(METRICS) - set(first["figures"]) <= {"efficient_mprt"}
    assert 0 <= first["figures"]["adcc"]["mean"] <= 1
    assert first["figures"]["random_logit"]["mean"] < 1
    # A map that depends on nothing.
    assert centre["figures"]["efficient_mprt"]["mean"] == pytest.approx(0)
    assert centre["figures"]["random_logit"]["mean"] == pytest.approx(1)
    tf.saved_model.save(small_model, "saved")
    refused = evaluate("--model", "saved", "--metric", "efficient_mprt")
    assert refused.exit_code == 2
    assert "--metric efficient_mprt needs a .keras or .h5 model" in refused.stderr
    assert set(RANKING_METRICS) < set(DEFAULT_METRICS)
    assert not {"irof", "random_logit", "efficient_mprt"} & set(DEFAULT_METRICS)
