"""Sums and differences of scores, on a network whose gradients are known by hand."""

import json

import attention_networks
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from known_network import SIDE, WEIGHTS, known_picture, load_known, map_by_hand, save_known
from PIL import Image
from segmenters import known_segmenter, scene

from gradcam_cli import explain_image
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cam.score_weights import ScoreWeights
from gradcam_cli.cli import main
from gradcam_cli.errors import UsageError
from gradcam_cli.models.labels import Labels


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return save_known(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def classifier(model_file):
    return load_known(model_file)


@pytest.fixture(scope="module")
def picture():
    return known_picture()


def explained(classifier, picture, target, method="gradcam", **weights):
    explainer = Explainer(classifier, method=method, weights=ScoreWeights(**weights))
    found = explainer.explain(picture[None], np.array([[target]]))
    return found.maps[0, 0], found


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "xgradcam", "ablationcam"])
def test_a_contrast_is_the_difference_of_the_gradients(classifier, picture, method):
    heat, found = explained(classifier, picture, 0, method, against=1)
    np.testing.assert_allclose(heat, map_by_hand(picture, [1, -1, 0], method), atol=1e-5)
    assert found.targets[0, 0] == 0
    # Only red speaks for red rather than green, but both speak for red.
    assert heat[0, 12] == 0 < explained(classifier, picture, 0, method)[0][0, 12]


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "xgradcam", "ablationcam"])
def test_joined_classes_are_explained_by_the_sum_of_their_scores(classifier, picture, method):
    for target in (1, 2):
        heat, _ = explained(classifier, picture, target, method, joined=(1, 2))
        np.testing.assert_allclose(heat, map_by_hand(picture, [0, 1, 1], method), atol=1e-5)
    # A class that isn't one of them stands for itself.
    alone, _ = explained(classifier, picture, 0, method, joined=(1, 2))
    np.testing.assert_allclose(alone, map_by_hand(picture, [1, 0, 0], method), atol=1e-5)
    both, _ = explained(classifier, picture, 1, method, joined=(1, 2), against=0)
    wanted = map_by_hand(picture, [-1, 1, 1], method)
    np.testing.assert_allclose(both, wanted, atol=1e-5)


def test_what_lowers_a_score_is_explained_by_its_opposite(classifier, picture):
    heat, _ = explained(classifier, picture, 2, against=2)
    np.testing.assert_allclose(heat, map_by_hand(picture, [0, 0, -1]), atol=1e-5)


def test_ranks_leave_out_the_class_to_compare_with(classifier, picture):
    _, plain = explained(classifier, picture, -1)
    top = plain.targets[0, 0]
    for rank, index in enumerate(
        index for index in np.argsort(-plain.probabilities[0]) if index != top
    ):
        _, found = explained(classifier, picture, -1 - rank, against=int(top))
        assert found.targets[0, 0] == index


def test_probabilities_of_the_cells_are_subtracted_too(classifier, picture):
    # ReciproCAM compares probabilities: red's of a cell minus green's.
    heat, _ = explained(classifier, picture, 0, "reciprocam", against=1)
    red, green = heat[3, 1], heat[3, 12]
    assert red > 0.9 > 0.1 > green


def test_methods_that_know_no_other_class_are_refused(classifier, picture, tmp_path):
    refused = {name for name, info in METHODS.items() if info.ignores_class or info.only_one_class}
    assert refused == {"eigencam", "fem", "rollout", "finercam", "drise"}
    for method in refused - {"drise"}:
        with pytest.raises(UsageError, match=f"against doesn't work with {method}: it"):
            Explainer(classifier, method=method, weights=ScoreWeights(against=1))
    Image.fromarray(picture).save(tmp_path / "a.png")
    given = [str(tmp_path / "a.png"), "--against", "tabby", "--method", "gradcam,fem"]
    done = CliRunner().invoke(main, given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--against doesn't work with fem: its map is the same for every class" in done.stderr


@pytest.mark.parametrize(
    "method",
    [
        *("gradcam++", "smoothgradcam++", "layercam", "eigengradcam", "scorecam"),
        *("groupcam", "fullgrad", "guidedgradcam", "shapleycam"),
    ],
)
def test_every_other_method_explains_a_difference(classifier, method):
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    heat, _ = explained(classifier, picture, 0, method, against=1)
    assert np.isfinite(heat).all()
    assert heat.max() == pytest.approx(1)
    assert not np.allclose(heat, explained(classifier, picture, 0, method)[0], atol=1e-3)


def test_equal_scores_do_not_blank_ablation(classifier, picture):
    equal = np.zeros_like(picture)
    # 3 r + g = r + 2 g: the scores of red and green are equal, but not their reasons.
    equal[:, :8, 0] = 100
    equal[:, 8:, 1] = 200
    heat, _ = explained(classifier, equal, 0, "ablationcam", against=1)
    assert heat[0, 0] == 1


def test_the_probability_of_joined_classes():
    labels = Labels([["ant"], ["bee"], ["cat"]])
    both = labels.together([2, 0], np.array([0.25, 0.25, 0.5], np.float32))
    assert (both.name, both.index, both.numbers) == ("cat + ant", 2, "2 + 0")
    assert both.probability == pytest.approx(0.75)
    # Sigmoids don't exclude each other.
    assert labels.together([0, 2], np.array([0.75, 0.5, 0.5])).probability == 0.75


def test_in_python(classifier, picture):
    found = explain_image(picture, "red", against="green", model=classifier)
    np.testing.assert_allclose(found.heat, map_by_hand(picture, [1, -1, 0]), atol=1e-5)
    assert "of red (0), against green (1)" in found.title
    joined = explain_image(picture, ["green", 2], model=classifier)
    np.testing.assert_allclose(joined.heat, map_by_hand(picture, [0, 1, 1]), atol=1e-5)
    assert joined.target.name == "green + dark"
    with pytest.raises(UsageError, match="target and against are both green"):
        explain_image(picture, 1, against="green", model=classifier)
    top = explain_image(picture, model=classifier).target.name
    with pytest.raises(UsageError, match=f"{top} is the most probable class itself"):
        explain_image(picture, against=top, model=classifier)


def test_by_command(model_file, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture).save(tmp_path / "a.png")
    given = ("-m", model_file, "--labels", model_file.with_name("labels.txt"))
    given = (*given, "--preprocess", "0-1", "--heatmap", "npy", "--json")

    def run(*args, code=0, paths=("a.png",)):
        done = CliRunner().invoke(main, [str(word) for word in (*paths, *given, *args)])
        assert done.exit_code == code, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    record = run("--class", "red", "--against", "green", "--figure", "-o", "one")
    assert record["against"] == {"index": 1, "name": "green"}
    (target,) = record["targets"]
    assert target["output"].endswith("a_gradcam_known_0-1_against_1-green_0-red.png")
    np.testing.assert_allclose(
        np.load(tmp_path / target["heatmap"]), map_by_hand(picture, [1, -1, 0]), atol=1e-5
    )
    with Image.open(tmp_path / target["output"]) as overlay:
        assert "Grad-CAM of red (0), against green (1)" in overlay.text["Title"]

    record = run("--class", "green", "--class", "dark", "--join", "-o", "two")
    (target,) = record["targets"]
    assert (target["name"], target["joined"]) == ("green + dark", [1, 2])
    assert target["probability"] == pytest.approx(
        sum(entry["probability"] for entry in record["predictions"] if entry["index"] > 0), abs=1e-5
    )
    assert target["output"].endswith("_join_1-green+2-dark.png")
    assert len(list((tmp_path / "two").iterdir())) == 2

    # Each of the others against the most probable, which can't be explained against itself.
    top = record["predictions"][0]["name"]
    others = [entry["name"] for entry in record["predictions"][1:]]
    record = run("--each", "--against", top, "-o", "three")
    assert [target["name"] for target in record["targets"]] == others
    record = run("--against", top, "-o", "four", code=1)
    assert record["error"].startswith(f"a.png: {top} is the most probable class itself")
    assert not record["targets"]

    assert "--class and --against are both red" in run("-c", "0", "--against", "red", code=2)
    assert "--join needs several --class" in run("-c", "red", "--join", code=2)
    assert "are the same class" in run("-c", "red", "-c", "0", "--join", code=2)
    (tmp_path / "list.csv").write_text("path,class\na.png,green\n")
    assert "a.png has a class of its own" in run(
        "--from-file", "list.csv", "-c", "0", "-c", "1", "--join", code=2
    )
    wrong = run("--from-file", "list.csv", "--against", "green", code=1, paths=())
    assert "its class and --against are both green" in wrong["error"]


@pytest.fixture(scope="module")
def values_file(model_file, tmp_path_factory):
    """The same network without softmax, compiled for a regression."""
    known = keras.saving.load_model(model_file)
    model = keras.models.clone_model(
        known,
        clone_function=lambda layer: (
            keras.layers.Dense(3, use_bias=False, name=layer.name)
            if isinstance(layer, keras.layers.Dense)
            else layer.__class__.from_config(layer.get_config())
        ),
    )
    model.set_weights(known.get_weights())
    model.compile(loss="mse")
    path = tmp_path_factory.mktemp("values") / "values.keras"
    model.save(path)
    return path


def test_what_lowers_a_value(values_file, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture).save(tmp_path / "a.png")

    def run(*args, code=0):
        given = ("-m", values_file, "--preprocess", "0-1", "--heatmap", "npy", "--json")
        done = CliRunner().invoke(main, [str(word) for word in ("a.png", *given, *args)])
        assert done.exit_code == code, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    record = run("--against", "2", "-o", "lowered")
    (target,) = record["targets"]
    assert target["index"] == record["against"]["index"] == 2
    assert "value" in target
    wanted = map_by_hand(picture, [0, 0, -1])
    np.testing.assert_allclose(np.load(target["heatmap"]), wanted, atol=1e-5)
    with Image.open(target["output"]) as overlay:
        assert "what lowers it" in overlay.text["Title"]
    (target,) = run("-c", "0", "--against", "1", "-o", "compared")["targets"]
    wanted = map_by_hand(picture, [1, -1, 0])
    np.testing.assert_allclose(np.load(target["heatmap"]), wanted, atol=1e-5)
    (target,) = run("-c", "1", "-c", "2", "--join", "-o", "joined")["targets"]
    sums = (WEIGHTS.T @ picture[..., :2].mean((0, 1)) / 255)[1:].sum()
    assert target["value"] == pytest.approx(sums, rel=1e-4)
    assert "leave out --class" in run("-c", "2", "--against", "2", code=2)
    assert "leave out --against" in run("--against", "2", "--signed", code=2)
    with pytest.raises(UsageError, match="leave out against="):
        explain_image(picture, against=2, signed=True, model=str(values_file))
    found = explain_image(picture, 2, signed=True, model=str(values_file))
    assert found.ends == ("lowers", "raises")
    np.testing.assert_allclose(found.heat, map_by_hand(picture, [0, 0, 1], signed=True), atol=1e-5)


def test_a_blank_contrast_is_explained(classifier, picture):
    # Nothing speaks for dark rather than red.
    with pytest.warns(UserWarning, match="no positive evidence .* --signed"):
        found = explain_image(picture[:, : SIDE // 2], "dark", against="red", model=classifier)
    assert not found.heat.any()


@pytest.mark.parametrize("method", ["chefer", "legrad"])
def test_attention_explains_a_difference(classify, method):
    size = attention_networks.HEIGHT, attention_networks.WIDTH
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    classifier = classify(attention_networks.build(1))
    one, _ = explained(classifier, picture, 2, method)
    difference, _ = explained(classifier, picture, 2, method, against=0)
    assert difference.max() == pytest.approx(1)
    assert not np.allclose(one, difference, atol=1e-2)


def test_segments_are_compared_in_one_region(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known_segmenter().save("known.keras")
    squares = {(4, 4): (255, 0, 0), (20, 4): (255, 0, 0), (12, 20): (0, 255, 0)}
    Image.fromarray(scene(squares)).save("a.png")

    def run(*args, code=0):
        given = ("-m", "known.keras", "--preprocess", "none", "--heatmap", "npy", "--json")
        done = CliRunner().invoke(main, ["a.png", *given, "-c", "1", *args])
        assert done.exit_code == code, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    assert "choose one region for all classes with --region" in run("--against", "2", code=2)
    assert "choose one region for all" in run("-c", "2", "--join", code=2)
    whole = ("--region", "0,0,32,32", "--signed", "--method", "hirescam")
    (target,) = run("--against", "2", *whole)["targets"]
    heat = np.load(target["heatmap"])
    # Both red squares speak for red rather than green, and the green one against it.
    assert heat[8, 8] > 0.9
    assert heat[8, 24] > 0.9
    assert heat[24, 16] < -0.9
    with pytest.raises(UsageError, match="choose one region for all with region="):
        explain_image("a.png", 1, against=2, model="known.keras")
