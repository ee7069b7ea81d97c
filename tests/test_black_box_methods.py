"""RISE, Sobol attribution and occlusion on networks whose maps are known."""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

import gradcam_cli
from gradcam_cli import RISE, Occlusion, Sobol, explain_image
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cam.score_weights import ScoreWeights
from gradcam_cli.cli import main
from gradcam_cli.errors import UsageError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from tests.red_squares import SIDE, red_model

BLACK_BOXES = ("rise", "sobol", "occlusion")
ROWS, COLUMNS = 6, 4


def value_model(weights):
    """Makes a regression whose value is the sum of the pixels times weights, (rows, columns)."""
    inputs = keras.Input((*weights.shape, 1))
    dense = keras.layers.Dense(1, use_bias=False)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    dense.set_weights([weights.reshape(-1, 1).astype(np.float32)])
    model.compile(loss="mse")
    return model


class Product(keras.layers.Layer):
    """The product of the first two pixels of (N, 2, 2, 1)."""

    def call(self, inputs):
        return inputs[:, 0, 0] * inputs[:, 0, 1]


def product_model():
    inputs = keras.Input((2, 2, 1))
    model = keras.Model(inputs, Product()(inputs))
    model.compile(loss="mse")
    return model


def maps_of(explainer, inputs, targets=None):
    targets = np.ones((len(inputs), 1), np.float32) if targets is None else targets
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return explainer.raw_maps(inputs, targets).numpy()


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    path = tmp_path_factory.mktemp("red") / "red.keras"
    red_model().save(path)
    return path


def red_picture(top, left):
    pixels = np.full((SIDE, SIDE, 3), 120, np.uint8)
    pixels[top : top + 16, left : left + 16] = (220, 40, 40)
    return pixels


@pytest.fixture(scope="module")
def classifier(red):
    return load_classifier(ModelOptions(str(red), preprocess="none"))


def test_occlusion_of_a_sum_is_exact():
    rng = np.random.default_rng(0)
    weights, picture = rng.normal(size=(ROWS, COLUMNS)), rng.normal(size=(ROWS, COLUMNS))
    found = maps_of(
        Occlusion(value_model(weights), patch_size=3, patch_stride=2), picture[None, ..., None]
    )
    # Patches of 3 with a step of 2 start one pixel beyond the border. A pixel in the middle of one
    # counts it twice as much as one at its edge.
    tent = np.outer([1, 2, 1], [1, 2, 1])
    loss = weights * (picture - picture.mean())
    total, number = np.zeros_like(loss), np.zeros_like(loss)
    total, number, loss = (np.pad(values, 3) for values in (total, number, loss))
    for row in (2, 4, 6, 8):
        for column in (2, 4, 6):
            covered = slice(row, row + 3), slice(column, column + 3)
            total[covered] += tent * loss[covered].sum()
            number[covered] += tent
    total, number = total[3:-3, 3:-3], number[3:-3, 3:-3]
    np.testing.assert_allclose(found[0], total / number, atol=1e-4)


def test_single_pixels_of_a_sum_have_their_own_loss():
    rng = np.random.default_rng(1)
    weights, picture = rng.normal(size=(ROWS, COLUMNS)), rng.normal(size=(ROWS, COLUMNS))
    found = maps_of(Occlusion(value_model(weights), patch_size=1), picture[None, ..., None])
    np.testing.assert_allclose(found[0], weights * (picture - picture.mean()), atol=1e-4)


def rise_by_hand(model, picture, masks, probability):
    """RISE's map of a sum, with masks drawn by someone else."""
    mean = picture.mean()
    scores = [float((model * (mean + (picture - mean) * mask)).sum()) for mask in masks]
    gains = np.array(scores) - np.mean(scores)
    return np.tensordot(gains, masks, 1) / (probability * len(masks))


def masks_by_hand(size, grid, probability, number, seed):
    """RISE's masks as the paper describes them: a larger grid upsampled, then cropped at random."""
    rng = np.random.default_rng(seed)
    cells = [-(-length // grid) for length in size]
    larger = [(grid + 1) * cell for cell in cells]
    masks = []
    for _ in range(number):
        seen = (rng.random((grid + 1, grid + 1)) < probability).astype(np.float32)
        enlarged = tf.image.resize(seen[..., None], larger, "bilinear").numpy()[..., 0]
        top, left = (rng.integers(0, cell) for cell in cells)
        masks.append(enlarged[top : top + size[0], left : left + size[1]])
    return np.array(masks)


def test_rise_agrees_with_masks_that_are_made_as_in_the_paper():
    size, grid, probability = (28, 28), 4, 0.4
    weights = np.zeros(size)
    weights[4:12, 16:24] = 1
    weights[18:24, 2:8] = -1
    picture = np.random.default_rng(2).uniform(100, 255, size)
    explainer = RISE(value_model(weights), 32, None, 3000, grid, probability, agreement=None)
    found = maps_of(explainer, picture[None, ..., None])[0]
    expected = rise_by_hand(
        weights, picture, masks_by_hand(size, grid, probability, 3000, 7), probability
    )
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98
    # Not only the form, but the values, too.
    slope = (found * expected).sum() / (expected**2).sum()
    assert 0.85 < slope < 1.15


def test_rise_of_single_pixels_has_the_expectation_of_its_formula():
    # With a grid as fine as the picture, pixels are shifted by half of one on average. A pixel's
    # own gain is the covariance of the score with it, over p.
    weights = np.zeros((8, 8))
    weights[3, 5] = 2
    picture = np.full((8, 8), 10.0)
    picture[3, 5] = 74
    explainer = RISE(value_model(weights), nb_samples=6000, grid_size=8, agreement=None)
    found = maps_of(explainer, picture[None, ..., None])[0]
    assert np.unravel_index(found.argmax(), found.shape) == (3, 5)
    # The gain of seeing the pixel is 2 * (74 - 11). A mask there is (1 - s) a + s b along each
    # axis, with a and b 0 or 1 and s uniform: its variance is p (1 - p) E[(1 - s)^2 + s^2]^2, with
    # an expectation of 2/3 for each axis; at the border, cells aren't shifted beyond the grid.
    assert found[3, 5] == pytest.approx(2 * (74 - 11) * 0.25 * (2 / 3) ** 2 / 0.5, rel=0.1)
    far = found[6:, :3]
    assert np.abs(far).max() < 0.06 * found.max()


def test_total_indices_of_a_sum():
    # For a sum of independent uniform variables, the index of each is its share of the variance.
    weights = np.array([[4.0, -2.0], [1.0, 0.0]])
    picture = np.array([[3.0, 1.0], [7.0, 5.0]])
    explainer = Sobol(value_model(weights), grid_size=2, nb_design=512, agreement=None)
    found = maps_of(explainer, picture[None, ..., None])[0]
    slopes = weights * (picture - picture.mean())
    expected = slopes**2 / (slopes**2).sum() * np.sign(slopes)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_total_indices_of_a_product():
    # With a and b uniform on [0, 1] in m + d a, the mean of f = (m + d a)(m + e b) given one of
    # them is known, and so are the variances.
    picture = np.array([[6.0, -5.0], [1.0, 2.0]])
    mean, (first, second) = picture.mean(), picture[0] - picture.mean()
    explainer = Sobol(product_model(), grid_size=2, nb_design=1024, agreement=None)
    found = maps_of(explainer, picture[None, ..., None])[0]

    def moments(step):
        middle, variance = mean + step / 2, step**2 / 12
        return middle, variance

    (one, var_one), (two, var_two) = moments(first), moments(second)
    alone = var_one * two**2, var_two * one**2
    together = var_one * var_two
    total = sum(alone) + together
    # Each lowers the product, because the other is on the whole on the other side of 0.
    expected = [-(part + together) / total for part in alone]
    np.testing.assert_allclose(found[0], expected, atol=0.03)
    np.testing.assert_allclose(found[1], 0, atol=1e-6)
    # Both count what they do together, so that the indices sum to more than 1.
    assert np.abs(found).sum() > 1.1


@pytest.mark.parametrize("method", BLACK_BOXES)
def test_a_planted_square_is_found(classifier, method):
    inputs = np.stack([red_picture(8, 40), red_picture(44, 4)])
    explainer = Explainer(classifier, method=method)
    told = []
    explainer.progress = lambda done, total: told.append((done, total))
    explanation = explainer.find_blanks(inputs, explainer.explain(inputs, np.array([[1], [1]])))
    assert not explanation.blanks
    assert explanation.maps.shape == (2, 1, SIDE, SIDE)
    assert explanation.maps.max() == 1
    for heat, (top, left) in zip(explanation.maps[:, 0], [(8, 40), (44, 4)], strict=True):
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert top <= row < top + 16
        assert left <= column < left + 16
        square = heat[top : top + 16, left : left + 16]
        assert square.mean() > 5 * heat.mean()
    # All runs that were announced are done or found to be unnecessary.
    totals = {total for _, total in told}
    assert len(totals) == 1
    assert sum(done for done, _ in told) == totals.pop()


@pytest.mark.parametrize("method", BLACK_BOXES)
def test_batches_and_neighbours_change_nothing(classifier, method):
    few = {"rise": {"samples": 400}, "sobol": {"samples": 8}}.get(method, {})
    one = red_picture(8, 40)[None]
    both = np.concatenate([red_picture(30, 30)[None], one])

    def explained(inputs, batch_size):
        explainer = Explainer(classifier, method=method, batch_size=batch_size, **few)
        return explainer.explain(inputs, np.ones((len(inputs), 1), int)).maps[-1]

    first, small, beside = explained(one, 32), explained(one, 7), explained(both, 32)
    np.testing.assert_allclose(small, first, atol=1e-4)
    np.testing.assert_allclose(beside, first, atol=1e-4)


def counted(model, kind, picture, **options):
    """Explains one picture, and counts the inputs that reach the network."""
    runs = [0]

    def count(number):
        runs[0] += int(number)
        return np.int32(0)

    def score(model, inputs, targets):
        counting = tf.numpy_function(count, [tf.shape(inputs)[0]], tf.int32)
        with tf.control_dependencies([counting]):
            return tf.reduce_sum(tf.nn.softmax(model(inputs)) * targets, axis=-1)

    explainer = kind(model, operator=score, **options)
    heat = maps_of(explainer, picture[None].astype(np.float32), np.eye(2)[[1]])
    return heat, runs[0]


@pytest.mark.parametrize(
    ("kind", "all_of_them"), [(RISE, {"nb_samples": 2000}), (Sobol, {"nb_design": 64})]
)
def test_a_settled_map_ends_the_runs_and_is_close_to_that_of_all(red, kind, all_of_them):
    model = keras.models.load_model(red)
    soon, few = counted(model, kind, red_picture(8, 40))
    full, many = counted(model, kind, red_picture(8, 40), agreement=None, **all_of_them)
    assert 0 < few <= many / 2
    assert np.corrcoef(soon.ravel(), full.ravel())[0, 1] > 0.9


def test_a_map_that_does_not_settle_is_told(red, tmp_path):
    model = keras.models.load_model(red)
    explainer = RISE(model, nb_samples=400, agreement=0.9999)
    picture = red_picture(8, 40)[None].astype(np.float32)
    with pytest.warns(UserWarning, match="the map hasn't settled after 400 runs"):
        explainer.explain(picture, np.eye(2)[[1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RISE(model, nb_samples=400, agreement=None).explain(picture, np.eye(2)[[1]])


def test_an_unsettled_map_is_noted_with_its_picture(classifier):
    explainer = Explainer(classifier, method="rise", samples=400, agreement=0.9999)
    inputs = np.stack([red_picture(8, 40), np.full((SIDE, SIDE, 3), 120, np.uint8)])
    found = explainer.find_blanks(inputs, explainer.explain(inputs, np.array([[1], [1]]))).blanks
    assert {place: str(blank.reason) for place, blank in found.items()} == {
        (0, 0): "unsettled",
        (1, 0): "no-effect",
    }
    assert not found[0, 0].is_blank
    assert found[1, 0].is_blank


@pytest.mark.parametrize("method", BLACK_BOXES)
def test_evidence_against_a_class_is_negative(classifier, method):
    picture = red_picture(8, 40)[None]
    signed = Explainer(classifier, method=method, signed=True)
    heat = signed.explain(picture, np.array([[0]])).maps[0, 0]
    row, column = np.unravel_index(heat.argmin(), heat.shape)
    assert heat.min() == -1
    assert 8 <= row < 24
    assert 40 <= column < 56
    # The probabilities of two classes are opposite, and so are their maps.
    other = signed.explain(picture, np.array([[1]])).maps[0, 0]
    np.testing.assert_allclose(other, -heat, atol=0.02)
    # Against class 0, class 1 counts double; scaled, it is the same map.
    against = Explainer(classifier, method=method, signed=True, weights=ScoreWeights(against=0))
    np.testing.assert_allclose(against.explain(picture, [[1]]).maps[0, 0], other, atol=0.02)


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("kind", [RISE, Sobol, Occlusion])
def test_any_number_of_channels_and_axes(kind, channels):
    for size in [(40,), (12, 10), (6, 8, 7)]:
        inputs = keras.Input((*size, channels))
        dense = keras.layers.Dense(2, activation="softmax", kernel_initializer="ones")
        model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
        weights = np.zeros((*size, channels, 2), np.float32)
        place = tuple(length // 2 for length in size)
        weights[place][:, 1] = 3
        dense.set_weights([weights.reshape(-1, 2), np.zeros(2, np.float32)])
        values = np.zeros((1, *size, channels), np.float32)
        values[(0, *place)] = 1
        options = {} if kind is Occlusion else {"agreement": None}
        if kind is Sobol:
            options |= {"nb_design": 8, "grid_size": 8}
        if kind is RISE:
            options |= {"nb_samples": 400, "grid_size": 4}
        heat = kind(model, **options).explain(values, np.eye(2)[[1]]).numpy()[0, ..., 0]
        assert heat.shape == size
        found = np.unravel_index(heat.argmax(), size)
        assert np.abs(np.array(found) - place).max() <= max(size) / 4


def test_the_operator_of_a_program_decides_what_is_explained():
    model = value_model(np.ones((4, 4)))
    picture = np.arange(16.0).reshape(1, 4, 4, 1)

    def corner(model, inputs, targets):
        return 5 * inputs[:, 0, 0, 0] + 0 * model(inputs)[:, 0]

    heat = maps_of(Occlusion(model, operator=corner, patch_size=1), picture)[0]
    expected = np.zeros((4, 4))
    expected[0, 0] = 5 * (0 - picture.mean())
    np.testing.assert_allclose(heat, expected, atol=1e-4)


def test_a_perceptron_is_explained_without_layers(tmp_path, monkeypatch):
    inputs = keras.Input((28, 28))
    dense = keras.layers.Dense(2)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Softmax()(dense(x)))
    weights = np.zeros((28, 28, 2), np.float32)
    weights[4:10, 16:24, 1] = 1
    dense.set_weights([weights.reshape(-1, 2), np.float32([0, -20])])
    model.save(tmp_path / "mlp.keras")
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:10, 16:24] = 255
    pixels[20:26, 2:8] = 255
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    (tmp_path / "out").mkdir()

    monkeypatch.chdir(tmp_path)

    def run(*options):
        return CliRunner().invoke(main, ["digit.png", "--model", "mlp.keras", *options])

    refused = run()
    assert refused.exit_code == 2
    assert "--method rise" in refused.stderr
    done = run("--method", "rise", "--class", "1", "--json", "--heatmap", "npy", "--out", "out")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["layer"] is None
    assert result["method"] == "rise"
    heat = np.load(tmp_path / result["targets"][0]["heatmap"])
    assert heat[4:10, 16:24].mean() > 3 * heat[20:26, 2:8].mean()
    told = run("--method", "occlusion", "--class", "1", "--out", "out")
    assert told.stdout.startswith("Occlusion · mlp.keras\n")
    layer = run("--method", "rise", "--layer", "dense")
    assert layer.exit_code == 2
    assert "rise needs no layer" in layer.stderr
    # In Python, (N, rows, columns) are pictures, too.
    maps = RISE(model).explain(pixels[None].astype(np.float32), np.eye(2)[[1]]).numpy()
    assert maps.shape == (1, 28, 28, 1)
    row, column = np.unravel_index(maps[0, ..., 0].argmax(), (28, 28))
    assert 2 <= row < 12
    assert 14 <= column < 26


def test_an_image_is_explained_in_one_call(red, tmp_path):
    Image.fromarray(red_picture(8, 40)).save(tmp_path / "red.png")
    found = explain_image(
        tmp_path / "red.png", 1, model=str(red), preprocess="none", method="occlusion"
    )
    row, column = np.unravel_index(found.heatmap.argmax(), found.heatmap.shape)
    assert 8 <= row < 24
    assert 40 <= column < 56
    assert "layer" not in found.title


def test_broken_weights_are_told(red, tmp_path):
    model = keras.models.load_model(red)
    values = model.get_layer("scores").get_weights()
    values[0][:] = np.nan
    model.get_layer("scores").set_weights(values)
    picture = red_picture(8, 40)[None].astype(np.float32)
    with pytest.warns(UserWarning, match="scores"):
        Occlusion(model).explain(picture, np.eye(2)[[1]])


def test_the_table_of_methods_and_the_classes_agree():
    classes = {kind.method: kind for kind in (RISE, Sobol, Occlusion)}
    assert tuple(classes) == BLACK_BOXES
    for name, kind in classes.items():
        assert METHODS[name].is_black_box
        assert not METHODS[name].needs_layer
        assert getattr(gradcam_cli, kind.__name__) is kind


def test_a_layer_is_refused(classifier):
    with pytest.raises(UsageError, match="rise needs no layer"):
        Explainer(classifier, "last", "rise")
