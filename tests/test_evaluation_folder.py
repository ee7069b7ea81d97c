"""Measuring pictures of a folder: rows, intervals, verdicts, layers, sanity."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from gradcam_cli import evaluation as metrics
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import ImageError, UnsupportedModelError
from gradcam_cli.evaluation.annotations import Annotations
from gradcam_cli.evaluation.map_sources import ExplainerMaps
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.measuring import evaluate_pictures
from gradcam_cli.evaluation.options import EvaluationOptions
from gradcam_cli.evaluation.ranking import best_rows, candidate_layers, rank_rows
from gradcam_cli.evaluation.results import EvaluatedMaps, Evaluation
from gradcam_cli.evaluation.sanity import (
    CASCADING,
    INDEPENDENT,
    check_sanity,
    number_of_steps,
    sanity_verdicts,
)
from gradcam_cli.evaluation.table import LOCALISATION_METRICS, METRICS
from gradcam_cli.evaluation.verdict import verdicts
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.pictures.preparing import InputShape

SIDE = 64
SQUARES = 12


@pytest.fixture(scope="module")
def red_network(classify):
    """Class 1 is red somewhere: a network whose perfect explanation is the red square."""
    inputs = keras.Input((SIDE, SIDE, 3))
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    # The first feature map is 0.8 on red and 0 on grey and on the reddish mean colour; the
    # second is always 0.
    kernel[0, 0, :, 0] = np.array([1, -0.5, -0.5]) / 180
    x = keras.layers.Conv2D(2, 1, activation="relu", name="red")(inputs)
    x = keras.layers.AveragePooling2D(4, name="pool")(x)
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="last")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(2, activation="softmax", name="scores")(x)
    model = keras.Model(inputs, outputs, name="red")
    model.get_layer("red").set_weights([kernel, np.float32([-0.2, 0])])
    model.get_layer("last").set_weights([np.eye(2, dtype=np.float32)[None, None]])
    weights = np.array([[-60, 60], [0, 0]], np.float32)
    model.get_layer("scores").set_weights([weights, np.array([1.5, -1.5], np.float32)])
    return classify(model)


@pytest.fixture
def squares(tmp_path):
    """Grey pictures with a red square off their middle; and their masks."""
    rng = np.random.default_rng(0)
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(SQUARES):
        pixels = np.full((SIDE, SIDE, 3), rng.integers(90, 160), np.uint8)
        left, top = rng.choice([0, 44]) + rng.integers(0, 4, 2)
        pixels[top : top + 16, left : left + 16] = (220, 40, 40)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number:02}.png")
        mask = (pixels[..., 0] == 220) & (pixels[..., 1] == 40)
        Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "masks" / f"{number:02}.png")
    return tmp_path


def options(**others):
    return EvaluationOptions(inputs=InputShape("squash", (SIDE, SIDE), 1), target=1, **others)


def test_a_perfect_explanation_beats_maps_that_know_nothing(squares, red_network):
    pictures = list(find_pictures([squares / "photos"]))
    reported = []
    found = evaluate_pictures(
        pictures,
        [Explainer(red_network, "red")],
        options(annotations=Annotations(squares / "masks", red_network.labels)),
        reported.append,
    )
    assert sum(reported) == 3 * SQUARES
    assert [row.name for row in found.rows] == ["Grad-CAM · red", "random map", "centre Gaussian"]
    # Masks name no class, so nobody knows whether the class was right.
    assert found.metrics == [*METRICS, *list(LOCALISATION_METRICS)[:3]]
    own, random, centre = found.rows
    for name in ("average_drop", "deletion"):
        assert own.measurements[name].mean < random.measurements[name].mean
        assert own.measurements[name].mean < centre.measurements[name].mean
    for name in ("insertion", "road", "mu_fidelity", "sparseness"):
        assert own.measurements[name].mean > random.measurements[name].mean
        assert own.measurements[name].mean > centre.measurements[name].mean
    assert own.measurements["pointing_game"].mean == 1
    assert own.measurements["energy_pointing_game"].mean > 0.95
    assert own.measurements["box_iou"].mean > 0.9
    assert centre.measurements["pointing_game"].mean < 0.5
    assert centre.measurements["stability"].mean == 0
    (sentence,) = verdicts(found)
    kept = 100 * (1 - own.measurements["average_drop"].mean)
    assert sentence.startswith(f"Grad-CAM · red keeps {kept:.0f} % of the confidence ±")
    assert "; a random map keeps " in sentence
    # Nothing can be won where the whole square is kept already.
    assert "It beats the random map in 5 of 7 metrics, but not in Increase, Gain." in sentence


def test_one_table_has_what_the_functions_return(squares, red_network):
    pictures = list(find_pictures([squares / "photos"]))[:3]
    explainer = Explainer(red_network, "last")
    found = evaluate_pictures(pictures, [explainer], options(with_baselines=False))
    inputs = np.stack([np.asarray(Image.open(picture.path)) for picture in pictures])
    targets = np.array([1, 1, 1])
    source = ExplainerMaps(explainer)
    maps = source.explain(inputs, targets)
    arguments = (red_network, inputs, targets, maps)
    expected = {
        name: getattr(metrics, name)(*arguments)
        for name in METRICS
        if name not in ("stability", "sparseness", "complexity")
    }
    expected["sparseness"] = metrics.sparseness(maps)
    expected["complexity"] = metrics.complexity(maps)
    expected["stability"] = metrics.average_stability(
        source.explain, inputs, targets, maps, radius=25.5
    )
    (row,) = found.rows
    for name, values in expected.items():
        np.testing.assert_allclose(row.measurements[name].values, values, atol=1e-6, err_msg=name)
    assert [row.values[2][name] for name in METRICS] == pytest.approx(
        [expected[name][2] for name in METRICS], abs=1e-6
    )


def test_a_map_that_says_nothing_is_said_not_to_beat_chance(squares, red_network):
    class Wrong(Explainer):
        """An explainer whose maps are cold where they should be hot."""

        def explain(self, inputs, targets, conditions=None):
            explanation = super().explain(inputs, targets, conditions)
            return replace(explanation, maps=1 - explanation.maps)

    pictures = list(find_pictures([squares / "photos"]))
    found = evaluate_pictures(
        pictures, [Wrong(red_network, "red")], options(metrics=["average_drop", "deletion"])
    )
    (sentence,) = verdicts(found)
    assert "It does not beat the random map in any metric." in sentence
    assert "It does not beat the centre Gaussian in any metric." in sentence


def test_few_pictures_prove_nothing(squares, red_network):
    pictures = list(find_pictures([squares / "photos"]))[:5]
    explainers = [Explainer(red_network, "red")]
    found = evaluate_pictures(pictures, explainers, options(metrics=["deletion"]))
    assert verdicts(found) == [
        "5 pictures are too few to say whether Grad-CAM · red beats the random map or the "
        "centre Gaussian."
    ]


def test_pictures_that_fail_do_not_stop_the_rest(squares, red_network):
    (squares / "photos" / "05.png").write_bytes(b"no picture")
    (squares / "masks" / "07.png").unlink()
    pictures = list(find_pictures([squares / "photos"]))
    annotations = Annotations(squares / "masks", red_network.labels)
    found = evaluate_pictures(
        pictures, [Explainer(red_network)], options(metrics=["deletion"], annotations=annotations)
    )
    assert [str(error).split(":")[0][-6:] for error in found.errors] == ["05.png", "07.png"]
    assert len(found.pictures) == SQUARES - 1
    assert len(found.rows[0].measurements["deletion"].values) == SQUARES - 1
    assert len(found.rows[0].measurements["box_iou"].values) == SQUARES - 2
    with pytest.raises(ImageError, match=r"05\.png"):
        evaluate_pictures(pictures[5:6], [Explainer(red_network)], options())


def test_layers_are_ranked_by_their_places(red_network):
    # What is as large as the input is left out, and so is pooling.
    assert candidate_layers(red_network) == ["last"]
    figures = {
        "early": {"deletion": 0.3, "road": 0.1, "sparseness": 0.9},
        "middle": {"deletion": 0.1, "road": 0.2, "sparseness": 0.1},
        "late": {"deletion": 0.2, "road": 0.2, "sparseness": 0.2},
        None: {"deletion": 0.0, "road": 0.9, "sparseness": 0.0},
    }
    rows = [
        EvaluatedMaps(
            "gradcam",
            "Grad-CAM",
            layer,
            {name: Measurement(np.array([mean, mean])) for name, mean in means.items()},
            {},
        )
        for layer, means in figures.items()
    ]
    found = Evaluation("model", [], rows, ["deletion", "road", "sparseness"])
    # Less deletion and more ROAD are better; two share the places 1 and 2; sparseness
    # doesn't ask the network, and baselines aren't ranked.
    ranking = [(row.layer, place) for row, place in rank_rows(found)]
    assert ranking == [("middle", 1.25), ("late", 1.75), ("early", 3)]
    assert [row.layer for row in best_rows(found, "deletion")] == ["middle"]
    assert [row.layer for row in best_rows(found, "road")] == ["middle", "late"]


def test_layers_of_the_builtin_model(builtin):
    layers = candidate_layers(builtin)
    assert layers[-1] == "top_activation"
    assert {"block6d_add", "block5c_add", "block2b_add"} <= set(layers)
    assert 10 < len(layers) < 25


@pytest.fixture(scope="module")
def two_layer_network(classify, small_model):
    return classify(small_model())


def test_sanity_of_one_that_looks_and_one_that_does_not(two_layer_network):
    explainer = Explainer(two_layer_network, "last")

    class Blind:
        """Explains the picture, not the network."""

        classifier, method, layer, pitch = two_layer_network, "eigencam", "last", (1.0, 1.0)

        def explain(self, inputs, targets):
            explanation = explainer.explain(inputs, targets)
            object.__setattr__(explanation, "maps", inputs[:, None, :, :, 0] / np.float32(255))
            return explanation

    inputs = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3), np.uint8)
    model = two_layer_network.network.model
    weights = model.get_weights()
    reported = []
    check = check_sanity([explainer, Blind()], [inputs[:4], inputs[4:]], progress=reported.append)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert check.layers == ["scores", "last", "first"]
    assert number_of_steps(explainer) == 3
    assert sum(reported) == 2 * 2 * 3
    curves = {(curve.title, curve.mode): curve for curve in check.curves}
    for mode in (CASCADING, INDEPENDENT):
        blind = curves["Eigen-CAM", mode]
        np.testing.assert_allclose(blind.rank_correlation, np.ones((4, 6)), atol=1e-6)
        np.testing.assert_allclose(blind.ssim, np.ones((4, 6)), atol=1e-6)
        looking = curves["Grad-CAM", mode]
        assert looking.rank_correlation.shape == looking.ssim.shape == (4, 6)
        np.testing.assert_allclose(looking.rank_correlation[0], 1, atol=1e-6)
        assert (looking.rank_correlation[1:].mean(axis=1) < 0.95).all()
    # The first step loses the same layer in both.
    cascading, independent = (curves["Grad-CAM", mode] for mode in (CASCADING, INDEPENDENT))
    np.testing.assert_array_equal(cascading.ssim[1], independent.ssim[1])
    assert not np.array_equal(cascading.ssim[2], independent.ssim[2])
    sentences = sanity_verdicts(check)
    assert "they hardly change" in sentences[1]
    assert "correlate 1.00 ±0.00" in sentences[1]


def test_the_builtin_model_notices_what_it_lost(explainer, samples):
    names = ("dog.jpg", "cat.jpg", "koala.jpg", "bee.jpg")
    pictures = [Image.open(samples / name).resize((224, 224)) for name in names]
    inputs = np.stack([np.asarray(picture) for picture in pictures])
    check = check_sanity([explainer], [inputs], steps=3)
    assert check.layers[0] == "predictions"
    cascading = check.curves[0]
    assert cascading.rank_correlation.shape == (4, 4)
    assert cascading.rank_correlation[-1].mean() < 0.5
    assert "they depend on what the network learned" in sanity_verdicts(check)[0]


def test_sanity_needs_layers_that_can_be_changed(two_layer_network):
    class Explained:
        classifier = type("SavedModel", (), {"network": object()})

    with pytest.raises(UnsupportedModelError, match="SavedModel"):
        check_sanity([Explained()], [])
