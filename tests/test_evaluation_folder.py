"""Measuring pictures of a folder: rows, intervals, verdicts, layers, sanity."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from red_squares import SIDE, red_model, save_squares

from gradcam_cli import evaluation as metrics
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import ImageError, UnsupportedModelError
from gradcam_cli.evaluation.annotations import Annotations
from gradcam_cli.evaluation.candidate_layers import candidate_layers
from gradcam_cli.evaluation.map_sources import ExplainerMaps
from gradcam_cli.evaluation.measuring import evaluate_pictures
from gradcam_cli.evaluation.options import EvaluationOptions
from gradcam_cli.evaluation.sanity import (
    CASCADING,
    INDEPENDENT,
    check_sanity,
    number_of_steps,
    sanity_verdicts,
)
from gradcam_cli.evaluation.table import LOCALISATION_METRICS
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.pictures.preparing import InputShape

SQUARES = 8
# These show what all pass through; each metric has tests of its own.
MEASURED = (
    "average_drop", "increase_in_confidence", "average_gain", "deletion", "insertion", "road",
    "mu_fidelity", "stability", "sparseness", "complexity",
)  # fmt: skip


@pytest.fixture(scope="module")
def red_network(classify):
    """A network whose perfect explanation is the red square."""
    return classify(red_model())


@pytest.fixture
def squares(tmp_path):
    """Grey pictures with a red square off their middle; and their masks."""
    return save_squares(tmp_path, SQUARES)


def options(**others):
    return EvaluationOptions(inputs=InputShape("squash", (SIDE, SIDE), 1), target=1, **others)


def test_a_perfect_explanation_beats_maps_that_know_nothing(squares, red_network):
    pictures = list(find_pictures([squares / "photos"]))
    reported, so_far = [], []
    found = evaluate_pictures(
        pictures,
        [Explainer(red_network, "red")],
        options(metrics=MEASURED, annotations=Annotations(squares / "masks", red_network.labels)),
        reported.append,
        so_far.append,
    )
    assert sum(reported) == 3 * SQUARES
    # First results come early, and each is the beginning of the whole.
    assert so_far[0].pictures_left == SQUARES - 1
    assert so_far[-1] is found
    for some in so_far:
        assert some.pictures == found.pictures[: SQUARES - some.pictures_left]
        number = len(some.pictures)
        own, whole = some.rows[0], found.rows[0]
        assert len(own.values) == number
        deletions = [row.measurements["deletion"].values for row in (own, whole)]
        np.testing.assert_array_equal(deletions[0], deletions[1][:number])
    assert [row.name for row in found.rows] == ["Grad-CAM · red", "random map", "centre Gaussian"]
    # Masks name no class, so nobody knows whether the class was right.
    assert found.metrics == [*MEASURED, *list(LOCALISATION_METRICS)[:3]]
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
    verdict = found.judge()
    sentence = verdict.sentences[0]
    kept = 100 * (1 - own.measurements["average_drop"].mean)
    assert sentence.startswith(f"Grad-CAM · red keeps {kept:.0f} % ± ")
    assert " of the confidence; a random map keeps " in sentence
    # Nothing can be won where the whole square is kept already.
    assert verdict.sentences[1:] == [
        f"It beats the {title} in 5 of 7 metrics, but not in Increase, Gain."
        for title in ("random map", "centre Gaussian")
    ]


def test_one_table_has_what_the_functions_return(squares, red_network):
    pictures = list(find_pictures([squares / "photos"]))[:3]
    explainer = Explainer(red_network, "last")
    found = evaluate_pictures(
        pictures, [explainer], options(metrics=MEASURED, with_baselines=False)
    )
    inputs = np.stack([np.asarray(Image.open(picture.path)) for picture in pictures])
    targets = np.array([1, 1, 1])
    source = ExplainerMaps(explainer)
    maps = source.explain(inputs, targets)
    arguments = (red_network, inputs, targets, maps)
    expected = {
        name: getattr(metrics, name)(*arguments)
        for name in MEASURED
        if name not in ("stability", "sparseness", "complexity")
    }
    expected["sparseness"] = metrics.sparseness(maps)
    expected["complexity"] = metrics.complexity(maps)
    expected["stability"] = metrics.average_stability(
        source.explain, inputs, targets, maps, radius=25.5
    )
    (row,) = found.rows
    for name, values in expected.items():
        # The noise of ROAD depends on the place in the batch, and so does rounding, by which
        # MuFidelity may order two sets of pixels.
        atol = 1e-3 if name in ("road", "mu_fidelity") else 1e-6
        np.testing.assert_allclose(row.measurements[name].values, values, atol=atol, err_msg=name)
        assert row.values[2][name] == row.measurements[name].values[2]


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
    sentence = " ".join(found.judge().sentences)
    assert "It does not beat the random map in any metric." in sentence
    assert "It does not beat the centre Gaussian in any metric." in sentence


def test_few_pictures_prove_nothing(squares, red_network):
    pictures = list(find_pictures([squares / "photos"]))[:5]
    explainers = [Explainer(red_network, "red")]
    found = evaluate_pictures(pictures, explainers, options(metrics=["deletion"]))
    assert found.judge().sentences == [
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


def test_what_is_as_large_as_the_input_is_no_candidate(red_network):
    # Pooling is left out too.
    assert candidate_layers(red_network) == ["last"]


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
    names = ("dog.jpg", "koala.jpg")
    pictures = [Image.open(samples / name).resize((192, 192)) for name in names]
    inputs = np.stack([np.asarray(picture) for picture in pictures])
    check = check_sanity([explainer], [inputs], steps=3)
    assert check.layers[0] == "predictions"
    cascading = check.curves[0]
    assert cascading.rank_correlation.shape == (4, 2)
    assert cascading.rank_correlation[-1].mean() < 0.5
    assert "they depend on what the network learned" in sanity_verdicts(check)[0]


def test_sanity_needs_layers_that_can_be_changed(two_layer_network):
    class Explained:
        classifier = type("SavedModel", (), {"network": object(), "name": "SavedModel"})

    with pytest.raises(UnsupportedModelError, match="SavedModel"):
        check_sanity([Explained()], [])
