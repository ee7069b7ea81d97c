"""``gradcam compare``: networks whose maps are known, and numbers by hand."""

import csv
import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from known_network import SIDE, known_picture
from PIL import Image

from gradcam_cli import compare
from gradcam_cli.analysis.class_matching import match_classes
from gradcam_cli.analysis.comparison import compare_accuracies
from gradcam_cli.analysis.comparison_verdict import describe_comparison
from gradcam_cli.analysis.map_agreement import hottest_overlap, rank_correlation
from gradcam_cli.cli import main
from gradcam_cli.errors import OutputError, UnknownClassError, UsageError
from gradcam_cli.models.labels import Labels, imagenet_labels, numbered_labels
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.run.comparison_plan import pair_models, plan_comparison
from gradcam_cli.run.options import ExplainOptions, MachineOptions

# How much the classes cat, dog and owl count red, which is on the left of the known picture, and
# green, which is on its right. Both networks say "cat".
LEFT = np.array([[4.0, 0.5, -1.0], [0.5, 2.0, 0.0]], np.float32)
RIGHT = np.array([[0.5, 2.0, -1.0], [4.0, 0.5, 0.0]], np.float32)
NAMES = ("cat", "dog", "owl")


def save_network(path, weights, names=NAMES, activation="softmax"):
    """Saves a network whose feature maps are the picture's red and green, and its class names."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="maps")(x)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(weights.shape[1], use_bias=False, activation=activation)(pooled)
    model = keras.Model(inputs, outputs)
    model.get_layer("maps").set_weights([np.eye(3)[:, :2].reshape(1, 1, 3, 2)])
    model.layers[-1].set_weights([weights])
    path.parent.mkdir(exist_ok=True)
    model.save(path)
    if names is not None:
        (path.parent / "labels.txt").write_text("\n".join(names))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures of three classes, networks that look left and right, and a damaged picture."""
    folder = tmp_path_factory.mktemp("compare")
    save_network(folder / "a" / "left.keras", LEFT)
    save_network(folder / "b" / "right.keras", RIGHT)
    # The same network as on the left with its classes in another order.
    order = [2, 0, 1]
    save_network(folder / "c" / "other.keras", LEFT[:, order], [NAMES[one] for one in order])
    values = known_picture()
    red, green = values * (1, 0, 0), values * (0, 1, 0)
    for name, pixels in {
        "cat/both.png": values,
        "cat/red.png": red,
        "dog/red.png": red,
        "dog/green.png": green,
        "owl/both.png": values,
    }.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def networks(place):
    return [place / "a" / "left.keras", place / "b" / "right.keras"]


def run(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_mcnemars_test_counts_tosses_of_a_coin():
    # Of six tosses, at most one tail or at most one head: 2 (1 + 6) / 2^6.
    assert compare_accuracies(1, 5).p == pytest.approx(14 / 64)
    assert compare_accuracies(5, 1).p == pytest.approx(14 / 64)
    assert compare_accuracies(0, 6).p == pytest.approx(2 / 64)
    assert compare_accuracies(3, 3).p == compare_accuracies(0, 0).p == 1


def test_the_rank_correlation_of_maps_by_hand():
    heat = np.array([[1, 2], [3, 4]], np.float32)
    # Two neighbours in rank are exchanged: 1 - 6 (1 + 1) / (4 (16 - 1)).
    assert rank_correlation(heat, np.array([[2, 1], [3, 4]])) == pytest.approx(0.8)
    assert rank_correlation(heat, heat**3) == pytest.approx(1)
    assert rank_correlation(heat, -heat) == pytest.approx(-1)
    # Equal values share the mean of their ranks: (0.5, 0.5, 2, 3) and (0, 1, 2, 3).
    assert rank_correlation(np.array([0, 0, 1, 2]), np.array([0, 1, 2, 3])) == pytest.approx(
        np.corrcoef([0.5, 0.5, 2, 3], [0, 1, 2, 3])[0, 1]
    )
    assert rank_correlation(heat, np.zeros((2, 2))) is None


def test_the_overlap_of_the_hottest_fifths_by_hand():
    heat = np.arange(10, dtype=np.float32).reshape(2, 5)
    assert hottest_overlap(heat, heat) == 1
    assert hottest_overlap(heat, heat[::-1, ::-1]) == 0
    # 8 and 9 are the hottest of one, 7 and 9 of the other: one of three is shared.
    other = heat.copy()
    other[1, 2:4] = other[1, 3:1:-1]
    assert hottest_overlap(heat, other) == pytest.approx(1 / 3)
    # Where nothing speaks for the class, nothing is hot.
    single = np.zeros((2, 5), np.float32)
    single[1, 4] = 1
    assert hottest_overlap(heat, single) == pytest.approx(1 / 2)
    assert hottest_overlap(heat, np.zeros((2, 5))) is None


def test_networks_that_look_left_and_right(place, networks):
    found = compare(place / "photos", models=networks, truth="folders", out=place / "sheets")
    assert [side.name for side in found.sides] == ["left.keras", "right.keras"]
    paths = [picture.path.removeprefix(f"{place}/photos/") for picture in found.pictures]
    assert paths == ["cat/both.png", "cat/red.png", "dog/green.png", "dog/red.png", "owl/both.png"]
    # Red is "cat" for one and "dog" for the other, green the other way round.
    assert [[one.name for one in picture.predicted] for picture in found.pictures] == [
        *(["cat", "cat"], ["cat", "dog"], ["dog", "cat"], ["cat", "dog"], ["cat", "cat"])
    ]
    assert [found.both_right, found.only_first, found.only_second, found.neither_right] == [
        *([0], [1, 2], [3], [4])
    ]
    assert [accuracy.count for accuracy in found.accuracies] == [3, 2]
    assert found.mcnemar.p == 1
    assert (found.same_predictions.count, found.same_predictions.total) == (2, 5)
    both = found.pictures[0]
    assert both.correlation < -0.5
    assert both.overlap < 0.1
    # Nothing speaks for an owl, so there is nothing to compare.
    owl = found.pictures[4]
    assert owl.correlation is None
    assert "the map of left.keras shows nothing" in owl.note
    assert found.most_different[0] == 0
    sentences = " ".join(describe_comparison(found))
    assert "Of the 3 pictures for which only one is right, left.keras has 2 and right.keras 1" in (
        sentences
    )
    assert "within chance" in sentences
    check_difference(place / "sheets" / "most_different_1.png")
    assert (place / "sheets" / "only_first_right.png").exists()
    assert (place / "sheets" / "only_second_right.png").exists()


def check_difference(path):
    """The difference of the first picture is red on its left and blue on its right."""
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    # Below the headings, the last column has no other colours.
    column = pixels[:, 28 + 3 * (360 + 16) :][:, :360]
    first = column[200:500]
    left, right = first[:, 20:160], first[:, 200:340]
    redness = [part[..., 0] - part[..., 2] for part in (left, right)]
    assert redness[0].mean() > 20
    assert redness[1].mean() < -20


def test_a_network_agrees_with_itself_whatever_the_order_of_its_classes(place, networks):
    models = [networks[0], place / "c" / "other.keras"]
    found = compare(place / "photos", models=models, truth="folders")
    assert found.mcnemar.p == 1
    assert found.same_predictions.value == 1
    assert found.correlation.mean == pytest.approx(1)
    assert found.overlap.mean == 1
    assert "right for the same pictures" in " ".join(describe_comparison(found))
    # Each is explained under its own index.
    first, second = found.pictures[0].explained
    assert (first.name, second.name, first.index, second.index) == ("cat", "cat", 0, 1)


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (("vgg16", "vgg19"), ("vgg16", "vgg19")),
        (("runs/1/a.keras", "runs/2/b.h5"), ("a.keras", "b.h5")),
        (("runs/1/best/a.keras", "runs/2/best/a.keras"), ("1/best/a.keras", "2/best/a.keras")),
        (("a.keras", "a.keras"), ("a.keras (first)", "a.keras (second)")),
    ],
)
def test_models_are_named_so_that_they_differ(models, names):
    plan = plan_comparison([*map(ModelOptions, models)], ExplainOptions(), MachineOptions())
    assert plan.names == names


def test_checkpoints_of_a_model_are_named_by_their_files():
    models = pair_models(ModelOptions(), ["resnet50"], [Path("e/1.h5"), Path("e/2.h5")], [])
    plan = plan_comparison(models, ExplainOptions(), MachineOptions())
    assert (plan.kind, plan.names) == ("weights", ("1.h5", "2.h5"))
    assert {job.model.model for job in plan.jobs} == {"resnet50"}


def test_a_true_class_by_number_must_mean_the_same(place, networks, tmp_path):
    (tmp_path / "truth.csv").write_text(f"{place}/photos/cat/both.png,0\n")
    models = [networks[0], place / "c" / "other.keras"]
    with pytest.raises(UsageError, match=r"0 is 'cat' for left.keras but 'owl' for other.keras"):
        compare(place / "photos/cat/both.png", models=models, truth=tmp_path / "truth.csv")


def test_models_without_common_classes_are_refused():
    cats, birds = Labels([["cat"], ["dog"]]), Labels([["owl"], ["dodo"], ["wren"]])
    with pytest.raises(UsageError, match=r"no class of a \(cat, dog\) is a class of b \(owl, dodo"):
        match_classes((cats, birds), ("a", "b"))
    with pytest.raises(UsageError, match="a has 2 classes and b has 3 classes, and not all have"):
        match_classes((cats, numbered_labels(3)), ("a", "b"))
    with pytest.raises(UsageError, match="b returns values and a classes"):
        match_classes((cats, numbered_labels(2, "value")), ("a", "b"))
    by_index = match_classes((cats, numbered_labels(2)), ("a", "b"))
    assert list(by_index.indices) == [0, 1]
    assert "matched by index" in by_index.note
    some = match_classes((cats, Labels([["Dog"], ["owl"], ["cow"]])), ("a", "b"))
    assert list(some.indices) == [None, 0]
    assert "a has 2 classes and b has 3 classes: 1 have the same name" in some.note


def test_models_without_common_classes_are_refused_before_the_work(place, networks, tmp_path):
    other = save_network(tmp_path / "birds" / "birds.keras", LEFT, ("wren", "dodo", "emu"))
    (tmp_path / "photos").mkdir()
    for number in range(60):
        os.link(place / "photos" / "cat" / "both.png", tmp_path / "photos" / f"{number}.png")
    explained = []
    with pytest.raises(UsageError, match=r"no class of left.keras \(cat, dog, owl\) is a class of"):
        compare(tmp_path / "photos", models=[networks[0], other], progress=explained.append)
    assert explained == []


def test_names_that_fit_several_classes_match_none():
    imagenet = imagenet_labels()
    assert imagenet.matching(imagenet)[:3] == [0, 1, 2]
    # ImageNet has two kinds of cranes; "tabby cat" is another name of one class.
    own = Labels([["crane"], ["tabby cat"], ["unicorn"]])
    assert own.matching(imagenet) == [None, 281, None]


def test_a_class_that_one_model_lacks(place, tmp_path, networks):
    other = save_network(tmp_path / "few.keras", LEFT[:, 1:], NAMES[1:])
    found = compare(place / "photos", models=[networks[0], other])
    assert len(found.pictures) == 5
    assert any("2 have the same name" in note for note in found.notes)
    cat = found.pictures[0]
    assert cat.explained[1] is None
    assert cat.correlation is None
    assert cat.note == "few.keras has no class cat"
    assert found.pictures[2].correlation == pytest.approx(1)
    with pytest.raises(UnknownClassError, match=r"^few.keras: --truth folders: .*'cat'"):
        compare(place / "photos", models=[networks[0], other], truth="folders")


def test_methods_of_one_network(place, networks):
    methods = ("gradcam", "layercam")
    found = compare(
        place / "photos", models=networks[:1], methods=methods, truth="folders", target="dog"
    )
    assert [side.name for side in found.sides] == ["Grad-CAM", "LayerCAM"]
    # One network has one accuracy.
    assert found.mcnemar is None
    assert found.same_predictions is None
    assert [accuracy.count for accuracy in found.accuracies] == [3, 3]
    assert found.pictures[0].correlation > 0.9
    assert found.compared_class == "dog"
    assert {picture.explained[0].name for picture in found.pictures} == {"dog"}


def test_values_are_compared_as_values(place, tmp_path):
    first = save_network(tmp_path / "one.keras", LEFT[:, :1] * 10, None, None)
    second = save_network(tmp_path / "two.keras", LEFT[:, :1] * 20, None, None)
    found = compare(place / "photos", models=[first, second], task="regression")
    assert found.same_predictions is None
    assert found.values.correlation == pytest.approx(1)
    values = [[one.probability for one in picture.explained] for picture in found.pictures]
    assert found.values.difference.mean == pytest.approx(np.mean([a for a, _ in values]))
    assert "value of two.keras differs from that of one.keras by" in describe_comparison(found)[0]


def test_the_command_goes_on_after_a_damaged_picture(place, networks, tmp_path):
    pictures = tmp_path / "photos"
    pictures.mkdir()
    for name in ("cat/both.png", "dog/green.png"):
        (pictures / name.replace("/", "-")).write_bytes((place / "photos" / name).read_bytes())
    (pictures / "bad.png").write_bytes(b"no picture")
    models = ["--model", networks[0], "--model", networks[1]]
    result = run(pictures, *models, "--json")
    assert result.exit_code == 1
    assert "bad.png" in result.stderr
    record = json.loads(result.stdout)
    assert record["pictures"] == 2
    assert [error["picture"] for error in record["errors"]] == [f"{pictures}/bad.png"]
    assert record["maps"]["most_different"][0] == f"{pictures}/cat-both.png"
    folder = tmp_path / "photos_comparison"
    assert f"{folder}/comparison.csv" in record["files"]
    with open(folder / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"].rpartition("/")[2] for row in rows] == [
        *("cat-both.png", "dog-green.png", "bad.png")
    ]
    assert [row["first"] for row in rows] == ["cat", "dog", ""]
    assert rows[1]["same_prediction"] == "false"
    assert "bad.png" in rows[2]["error"]
    # Its own files are replaced, and no others are.
    (folder / "mine.txt").write_text("mine")
    result = run(pictures, *models)
    assert result.exit_code == 1
    assert "left.keras" in result.stdout
    assert (folder / "mine.txt").read_text() == "mine"
    with pytest.raises(OutputError, match="choose another folder"):
        compare(pictures, models=networks, out=pictures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "compare needs two of one kind: give --model, --weights, --method or --layer twice"),
        (("-m", "vgg16"), "compare needs two of one kind"),
        (
            ("-m", "vgg16", "-m", "vgg19", "--method", "gradcam,layercam"),
            "twice, but --model and --method are given several times",
        ),
        (("-m", "vgg16", "-m", "vgg19", "-m", "resnet50"), "--model: 3 are given"),
        (("--method", "gradcam", "--method", "grad-cam"), "--method: both are gradcam"),
        (("--layer", "3", "--layer", "3"), "--layer: both are 3"),
        (
            ("--method", "fullgrad", "--layer", "top_activation", "--layer", "block5c_add"),
            "the map of FullGrad doesn't depend on a layer",
        ),
        (("-m", "vgg16", "-m", "vgg19", "--weights", "w.h5"), "--weights w.h5: it isn't clear"),
        (
            ("--method", "gradcam,layercam", "--labels", "a.txt", "--labels", "b.txt"),
            "--labels: 2 files for 1 model",
        ),
        (("-m", "vgg16", "-m", "no.keras"), "--model no.keras"),
        (("-m", "vgg16", "-m", "vgg19", "--class", "nonsense"), "no class is called 'nonsense'"),
    ],
)
def test_unclear_comparisons_are_refused(place, options, message):
    result = run(place / "photos", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (place / "photos_comparison").exists()


def test_networks_that_segment_are_refused(place, tmp_path):
    inputs = keras.Input((SIDE, SIDE, 3))
    outputs = keras.layers.Conv2D(3, 1, activation="softmax")(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "segments.keras")
    models = ["--model", place / "a" / "left.keras", "--model", tmp_path / "segments.keras"]
    result = run(place / "photos", *models, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "segments.keras segments pictures" in result.stderr
    assert not (tmp_path / "out").exists()
