"""Models with several inputs: numbers beside the picture, several pictures, and their files."""

import importlib
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from gradcam_cli.api.callback import GradCAMCallback
from gradcam_cli.api.explainers import FinerCAM, GradCAM, ScoreCAM
from gradcam_cli.api.image import explain_image
from gradcam_cli.cli import main
from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.evaluation import deletion
from gradcam_cli.models.inputs import choose_explained
from gradcam_cli.networks.inputs import NetworkInput

L = keras.layers
SIDE = 32
# The left and top edge of a square of 8 px in each picture.
PLACES = {"a": (4, 20), "b": (20, 4), "c": (12, 12)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a dark picture for each place, in which the square is white."""
    monkeypatch.chdir(tmp_path)
    for name in PLACES:
        Image.fromarray(picture(name)).save(f"{name}.png")
    return tmp_path


def picture(name):
    left, top = PLACES[name]
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[top : top + 8, left : left + 8] = 255
    return pixels


def gradcam(*arguments, code=0):
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def records(*arguments, code=0):
    done = gradcam(*arguments, "--json", code=code)
    return [json.loads(line) for line in done.stdout.splitlines()]


def probabilities(record):
    return [one["probability"] for one in sorted(record["predictions"], key=lambda p: p["index"])]


def is_at(place, heat):
    """Whether the maximum of a map is within the square."""
    top, left = np.unravel_index(np.argmax(heat), heat.shape)
    return all(edge <= found < edge + 8 for edge, found in zip(place, (left, top), strict=True))


def heat_of(target):
    return np.load(target["heatmap"])


def save_ages(library=keras, path="ages.keras"):
    """Two classes: 0 has the brightness of the picture, 1 the age and twice the first of two."""
    layers = library.layers
    image = library.Input((SIDE, SIDE, 3), name="image")
    age = library.Input((1,), name="age")
    sex = library.Input((2,), name="sex", dtype="int32")
    x = layers.Conv2D(1, 1, use_bias=False, name="grey")(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(x)
    beside = layers.Dense(1, use_bias=False, name="beside")
    # Rescaling makes floating-point numbers of whole ones.
    numbers = layers.Concatenate()([layers.Rescaling(0.01)(age), layers.Rescaling(1.0)(sex)])
    outputs = layers.Softmax()(layers.Concatenate()([x, beside(numbers)]))
    inputs = {"age": age, "image": image, "sex": sex} if library is keras else [image, age, sex]
    model = library.Model(inputs, outputs)
    model.get_layer("grey").set_weights([np.full((1, 1, 3, 1), 4, np.float32)])
    beside.set_weights([np.float32([[1], [2], [0]])])
    if path.endswith("/"):
        model.export(path)
    else:
        model.save(path)


def ages_by_hand(name, age, first):
    logits = np.array([4 * 3 * np.mean(picture(name)) / 255, 0.01 * age + 2 * first])
    return np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize("file", ["ages.keras", "ages/", "ages.h5"])
def test_numbers_beside_the_picture_change_the_score_as_they_should(folder, file):
    library = importlib.import_module("tf_keras") if file.endswith(".h5") else keras
    save_ages(library, file)
    (young,) = records("a.png", "-m", file, "--input", "age=3", "--input", "sex=0,1")
    (other,) = records("a.png", "-m", file, "--input", "age=63", "--input", "sex=1,0")
    for record, age, first in ((young, 3, 0), (other, 63, 1)):
        np.testing.assert_allclose(probabilities(record), ages_by_hand("a", age, first), atol=1e-4)
    assert young["inputs"] == {"age": "3", "sex": "0,1"}
    # None has replaced another.
    outputs = {record["targets"][0]["output"] for record in (young, other)}
    assert len(outputs) == 2
    assert all(map(Path.is_file, map(Path, outputs)))


def test_values_of_each_picture(folder):
    save_ages()
    np.save("a_sex.npy", [1, 0])
    Path("b_sex.json").write_text("[0, 1]")
    Path("list.csv").write_text("path,Age,sex,id\na.png,20,a_sex.npy,7\nb.png,,b_sex.json,8\n")
    found = records("--from-file", "list.csv", "-m", "ages.keras", "--input", "age=90")
    for record, (name, age, first) in zip(found, [("a", 20, 1), ("b", 90, 0)], strict=True):
        np.testing.assert_allclose(probabilities(record), ages_by_hand(name, age, first), atol=1e-4)

    # One picture of several doesn't stop the others.
    Path("list.csv").write_text("path,sex\na.png,0\nb.png,b_sex.json\nc.png,x.json\na.png,\n")
    arguments = ("--from-file", "list.csv", "-m", "ages.keras", "--input", "age=90")
    done = gradcam(*arguments, code=1)
    assert "a.png: sex=0: it is 1 number, but the input takes 2 whole numbers" in done.stderr
    assert "c.png: sex=x.json: there is no such file" in done.stderr
    assert "a.png: has no value for the input sex (2 whole numbers)" in done.stderr
    assert "b.png  age 90  sex b_sex.json" in done.stdout

    # A file that is named after its picture.
    (record,) = records(
        "b.png", "-m", "ages.keras", "--input", "age=1", "--input", "sex={stem}_sex.json"
    )
    assert record["inputs"]["sex"] == "b_sex.json"


def test_results_are_skipped_only_with_the_same_values(folder):
    save_ages()
    one = (
        "a.png",
        "-m",
        "ages.keras",
        "--input",
        "sex=0,1",
        "--json",
        "r.jsonl",
        "--skip-existing",
    )
    assert "1 skipped" not in gradcam(*one, "--input", "age=3").stderr
    assert "1 skipped" in gradcam(*one, "--input", "age=3").stderr
    assert "1 skipped" not in gradcam(*one, "--input", "age=4").stderr
    lines = Path("r.jsonl").read_text().splitlines()
    assert [json.loads(line)["inputs"]["age"] for line in lines] == ["3", "4"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "ages.keras also takes age (1 number), sex (2 whole numbers); give each a value with"),
        (["age=old", "sex=0,1"], "age=old: 'old' is no number"),
        (["age=nan", "sex=0,1"], "age=nan: it contains NaN or infinity"),
        (["age=1,2", "sex=0,1"], "age=1,2: it is 2 numbers, but the input takes 1 number"),
        (["age=1", "sex=0,0.5"], "sex=0,0.5: it isn't a whole number"),
        (["age=1", "sex=0,3e9"], "it isn't between -16777216 and 16777216"),
        (["age=1", "sex=no.npy"], "sex=no.npy: there is no such file"),
        (["age=1", "sex=objects.npy"], "it contains something other than numbers"),
        (["age=1", "sex=large.npy"], "it has the shape (1000, 1000)"),
        (["age=1", "sex=a.png"], "sex=a.png: 'a.png' is no number"),
        (["ages=1", "sex=0,1"], "--input ages: the model has no such input; did you mean age?"),
        (["image=b.png"], "--input image: PATH gives the pictures of this input"),
        (["age"], "--input age: takes 1 number, no picture to explain"),
        (["age=1", "age=2"], "--input age: has two values, 1 and 2"),
        (["=1"], "expected NAME or NAME=VALUE"),
    ],
)
def test_wrong_values_are_refused_in_one_line(folder, inputs, message):
    save_ages()
    np.save("objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.save("large.npy", np.zeros((1000, 1000)))
    options = [part for text in inputs for part in ("--input", text)]
    done = gradcam("a.png", "-m", "ages.keras", *options, code=2)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(folder.glob("*gradcam*"))


def branch(inputs, name):
    """Finds light: its map is the picture's brightness, its output the largest value."""
    x = L.Conv2D(1, 3, padding="same", use_bias=False, kernel_initializer="ones", name=name)(inputs)
    return L.GlobalMaxPooling2D()(x)


def save_views(path="views.keras", shared=False, size=SIDE):
    """A pair of pictures. Each of two classes needs the light of both."""
    left = keras.Input((size, size, 3), name="left")
    right = keras.Input((size, size, 3), name="right")
    if shared:
        inner = keras.Input((size, size, 3))
        backbone = keras.Model(inner, branch(inner, "conv"), name="backbone")
        found = [backbone(left), backbone(right)]
    else:
        found = [branch(left, "left_conv"), branch(right, "right_conv")]
    scores = L.Dense(2, use_bias=False, kernel_initializer=keras.initializers.Constant(0.02))
    model = keras.Model([left, right], scores(L.Concatenate()(found)))
    if path.endswith("/"):
        model.export(path)
    else:
        model.save(path)
    return model


@pytest.mark.parametrize(
    ("file", "shared"), [("views.keras", False), ("views.keras", True), ("views/", True)]
)
def test_each_picture_of_a_pair_has_its_own_map(folder, file, shared):
    save_views(file, shared)
    (record,) = records("a.png", "-m", file, "--input", "right=b.png", "-c", 0, "--heatmap", "npy")
    left, right = record["targets"]
    assert (left["input"], right["input"]) == ("left", "right")
    assert is_at(PLACES["a"], heat_of(left))
    assert is_at(PLACES["b"], heat_of(right))
    if not shared:
        assert (left["layer"], right["layer"]) == ("left_conv", "right_conv")
    for target, name in ((left, "left"), (right, "right")):
        assert target["output"].startswith("a_gradcam")
        assert target["output"].endswith(f"_{name}.png")
        with Image.open(target["output"]) as overlay:
            assert f"input {name}" in overlay.info["Title"]


def test_the_explained_input_is_chosen(folder):
    save_views()
    arguments = ("b.png", "-m", "views.keras", "--input", "right", "--input", "left=a.png")
    (record,) = records(*arguments, "-c", 0, "--heatmap", "npy")
    (target,) = record["targets"]
    assert target["input"] == "right"
    assert is_at(PLACES["b"], heat_of(target))
    # The columns of a table are named like the inputs.
    Path("pairs.csv").write_text("left,right\na.png,b.png\na.png,c.png\nb.png,c.png\n")
    found = records("--from-file", "pairs.csv", "-m", "views.keras", "--input", "left", "-o", "out")
    assert [record["inputs"]["right"] for record in found] == ["b.png", "c.png", "c.png"]
    assert len({record["targets"][0]["output"] for record in found}) == 3
    done = gradcam("--from-file", "pairs.csv", "-m", "views.keras", code=2)
    assert "--input NAME names the column of the explained pictures" in done.stderr


def test_a_layer_of_the_other_branch_is_refused(folder):
    save_views()
    arguments = ("a.png", "-m", "views.keras", "--input", "right=b.png", "--layer", "right_conv")
    done = gradcam(*arguments, code=2)
    assert "--layer right_conv: does not depend on the input left" in done.stderr
    done = gradcam(*arguments, "--input", "left", code=2)
    assert "layer right_conv does not depend on the explained picture" in done.stderr
    # Of several layers, each input has its own.
    (record,) = records(*arguments, "--layer", "left_conv", "-c", 0)
    assert [one["layer"] for one in record["targets"]] == ["left_conv", "right_conv"]


def test_pairs_in_figures_sheets_and_reports(folder):
    save_views(shared=True)
    pair = ("a.png", "-m", "views.keras", "--input", "right=b.png", "-c", 0, "-c", 1, "-o", "out")
    (record,) = records(*pair, "--figure", "png", "--report", "out/report.html")
    assert Path(record["figure"]).is_file()
    page = Path("out/report.html").read_text()
    assert re.search(r"Grad-CAM (·|\\u00b7) right", page)
    assert "--input right=b.png" in page
    (record,) = records(*pair, "--method", "gradcam", "--method", "layercam")
    assert len({target["output"] for target in record["targets"]}) == 2
    (record,) = records(
        "a.png", "-m", "views.keras", "--input", "right=b.png", "--each", "-o", "each"
    )
    assert record["composite"].keys() == {"left", "right"}


def test_inputs_of_any_size_take_the_size_of_the_explained_picture(folder):
    save_views(size=None)
    Image.new("RGB", (50, 70), "white").save("white.png")
    arguments = ("a.png", "-m", "views.keras", "--input", "right=white.png", "--size", 64)
    (record,) = records(*arguments, "-c", 0, "--heatmap", "npy")
    assert heat_of(record["targets"][1]).shape == (70, 50)
    (kept,) = records(*arguments, "-c", 0, "--fit", "keep")
    assert [one["input"] for one in kept["targets"]] == ["left", "right"]


def test_inputs_are_listed(folder):
    save_ages()
    record = json.loads(gradcam("info", "ages.keras", "--json").stdout)
    by_name = {one["name"]: one for one in record["inputs"]}
    assert by_name["image"]["explained"]
    assert by_name["sex"] == {
        "name": "sex",
        "shape": [2],
        "dtype": "int32",
        "takes": "2 whole numbers",
        "explained": False,
        "preprocessing": None,
    }
    assert "input age: 1 number" in gradcam("layers", "ages.keras").stdout
    # A model with one input is described as before.
    assert "inputs" not in json.loads(gradcam("info", "--json").stdout)


def test_metrics_take_one_value_for_all_pictures(folder):
    save_views(shared=True)
    arguments = (
        "evaluate",
        "a.png",
        "b.png",
        "-m",
        "views.keras",
        "--metric",
        "deletion",
        "--json",
    )
    done = gradcam(*arguments, "--input", "right=c.png")
    assert json.loads(done.stdout)["pictures"]
    assert "also takes right" in gradcam(*arguments, code=2).stderr
    model = keras.models.load_model("views.keras")
    with pytest.raises(UsageError, match="takes 2 inputs"):
        deletion(model, picture("a")[None], [0], np.zeros((1, SIDE, SIDE)))


def test_text_is_refused():
    inputs = [NetworkInput("image", (SIDE, SIDE, 3), "float32"), NetworkInput("t", (), "string")]
    with pytest.raises(UnsupportedModelError, match="its input t takes string values"):
        choose_explained("model.keras", inputs, [])


@pytest.fixture
def pair():
    """A siamese network, its inputs and targets."""
    left = np.stack([picture("a"), picture("c")])
    right = np.stack([picture("b"), picture("a")])
    return save_views("pair.keras", shared=True), left, right, np.eye(2, dtype=np.float32)


@pytest.mark.parametrize("kind", [GradCAM, ScoreCAM, FinerCAM])
def test_the_classes_take_lists_dictionaries_and_datasets(folder, pair, kind):
    model, left, right, targets = pair
    if kind is FinerCAM:
        # The classes must differ.
        model.layers[-1].set_weights([model.layers[-1].get_weights()[0] * [1.0, 0.2]])
        targets = targets[[0, 0]]
    named = {"right": right, "left": left}
    data = tf.data.Dataset.from_tensor_slices(((left, right), targets))
    explainer = kind(model)
    for inputs in ([left, right], (left, right), named):
        maps = explainer.explain(inputs, targets)
        assert all(is_at(PLACES[n], h) for n, h in zip("ac", maps[..., 0], strict=True))
    maps = kind(model, explained_input="right").explain(data)
    assert all(is_at(PLACES[n], h) for n, h in zip("ba", maps[..., 0], strict=True))


def test_single_pictures_in_python(folder, pair):
    model, left, right, targets = pair
    explainer = GradCAM(model)
    assert is_at(PLACES["a"], explainer.compute_heatmap([left[0], right[0]], 1))
    assert explainer.raw_maps([left, right], targets).shape[0] == 2
    with pytest.raises(UsageError, match="in this order, or a dictionary with these names: left"):
        explainer.explain(left, targets)
    with pytest.raises(UsageError, match="no input 'middle', only left, right"):
        GradCAM(model, explained_input="middle")
    found = explain_image("a.png", 0, model=model, inputs={"right": "b.png"})
    assert is_at(PLACES["a"], found.heatmap)
    found = explain_image(
        right[0], 0, model=model, inputs={"left": left[0]}, explained_input="right"
    )
    assert is_at(PLACES["b"], found.heatmap)
    with pytest.raises(UsageError, match="also takes right"):
        explain_image("a.png", model=model)


def test_the_callback_draws_the_explained_input(folder, pair):
    model, left, right, _ = pair
    callback = GradCAMCallback((left, right), [0, 1], "epochs", explained_input="right")
    model.compile(loss="mean_squared_error")
    model.fit([left, right], np.eye(2), callbacks=[callback], verbose=0)
    assert len(list(Path("epochs").glob("*.png"))) == 2


def test_tickets_with_a_picture(folder):
    """Keras's tutorial of the functional interface: texts, tags, and two outputs."""
    title = keras.Input((None,), name="title", dtype="int32")
    tags = keras.Input((4,), name="tags")
    photo = keras.Input((SIDE, SIDE, 3), name="photo")
    words = L.LSTM(4)(L.Embedding(20, 6)(title))
    x = L.Concatenate()([words, tags, branch(photo, "photo_conv")])
    priority = L.Dense(1, name="priority", activation="sigmoid")(x)
    department = L.Dense(3, name="department")(x)
    inputs = {"title": title, "tags": tags, "photo": photo}
    model = keras.Model(inputs, {"priority": priority, "department": department})
    model.save("ticket.keras")
    Path("a.json").write_text("[3, 4, 5]")
    arguments = ("--input", "title={stem}.json", "--input", "tags=0,1,0,0", "--head", "department")
    (record,) = records("a.png", "-m", "ticket.keras", *arguments)
    values = {"title": [[3, 4, 5]], "tags": [[0, 1, 0, 0]], "photo": picture("a")[None] / 255}
    values = {name: np.float32(value) for name, value in values.items()}
    logits = model.predict(values, verbose=0)["department"][0]
    expected = np.exp(logits - logits.max())
    np.testing.assert_allclose(probabilities(record), expected / expected.sum(), atol=1e-3)


def test_siamese_network_with_a_distance(folder):
    """Keras's example of contrastive loss: a Lambda layer with the Euclidean distance."""
    inner = keras.Input((SIDE, SIDE, 1))
    x = L.Conv2D(4, 5, activation="tanh")(L.BatchNormalization()(inner))
    x = L.Conv2D(6, 5, activation="tanh")(L.AveragePooling2D(2)(x))
    x = L.Dense(10, activation="tanh")(
        L.BatchNormalization()(L.Flatten()(L.AveragePooling2D(2)(x)))
    )
    embed = keras.Model(inner, x)
    pair = [keras.Input((SIDE, SIDE, 1)), keras.Input((SIDE, SIDE, 1))]
    squares = L.Lambda(lambda two: (two[0] - two[1]) ** 2, output_shape=(10,))
    distance = L.Dense(1, kernel_initializer="ones")(squares([embed(pair[0]), embed(pair[1])]))
    score = L.Activation("sigmoid")(L.BatchNormalization()(distance))
    model = keras.Model(pair, score)
    model.save("siamese.keras")
    assert "--unsafe" in gradcam("a.png", "-m", "siamese.keras", code=1).stderr
    described = json.loads(gradcam("info", "siamese.keras", "--unsafe", "--json").stdout)
    names = [one["name"] for one in described["inputs"]]
    arguments = ("a.png", "-m", "siamese.keras", "--input", f"{names[1]}=b.png")
    (record,) = records(*arguments, "--unsafe", "--preprocess", "0-1")
    inputs = [picture(name)[None, ..., :1] / np.float32(255) for name in "ab"]
    expected = float(model.predict(inputs, verbose=0)[0, 0])
    assert probabilities(record)[1] == pytest.approx(expected, abs=1e-3)
    assert [target["input"] for target in record["targets"]] == names


def test_a_clip_of_kerashub(folder):
    """Picture and text meet in a product of their embeddings."""
    models = pytest.importorskip("keras_hub").models
    vision = models.CLIPVisionEncoder(
        patch_size=8, hidden_dim=16, num_layers=2, num_heads=2, intermediate_dim=32,
        image_shape=(SIDE, SIDE, 3),
    )  # fmt: skip
    text = models.CLIPTextEncoder(
        vocabulary_size=30, embedding_dim=16, hidden_dim=16, num_layers=1, num_heads=2,
        intermediate_dim=32, max_sequence_length=6,
    )  # fmt: skip
    image = keras.Input((SIDE, SIDE, 3), name="image")
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    seen = L.GlobalAveragePooling1D()(vision(image))
    read = L.GlobalAveragePooling1D()(text(tokens))
    model = keras.Model([image, tokens], L.Dot(1, normalize=True)([seen, read]))
    model.save("clip.keras")
    arguments = ("-m", "clip.keras", "--input", "tokens=1,5,9,3,2,0", "--task", "regression")
    (record,) = records("a.png", *arguments, "--preprocess", "0-1")
    inputs = [picture("a")[None] / np.float32(255), np.array([[1, 5, 9, 3, 2, 0]])]
    expected = float(model.predict(inputs, verbose=0)[0, 0])
    assert record["predictions"][0]["value"] == pytest.approx(expected, abs=1e-3)
    assert "image" not in record["targets"][0].get("input", "")


def test_a_network_that_segments_takes_values_too(folder):
    """Change detection: a mask of what is light in both pictures, scaled by a number."""
    before, after = (keras.Input((SIDE, SIDE, 3), name=name) for name in ("before", "after"))
    gain = keras.Input((1,), name="gain")
    grey = L.Conv2D(2, 1, use_bias=False, kernel_initializer="ones", name="grey")
    both = L.Add()([grey(before), grey(after)])
    scaled = L.Multiply()([both, L.Reshape((1, 1, 1))(gain)])
    keras.Model([before, after, gain], L.Softmax()(scaled)).save("change.keras")
    arguments = ("a.png", "-m", "change.keras", "--input", "after=b.png", "--input", "gain=2")
    (record,) = records(*arguments, "--task", "segmentation", "-c", 1, "--heatmap", "npy")
    assert [target["input"] for target in record["targets"]] == ["before", "after"]
    done = gradcam(*arguments, "--task", "segmentation", "--region", "0,0,9,9", code=2)
    assert "choose one with --input NAME" in done.stderr
    chosen = ("--task", "segmentation", "--region", "0,0,32,32", "--input", "before", "-c", 1)
    assert [one["input"] for one in records(*arguments, *chosen)[0]["targets"]] == ["before"]


@pytest.mark.parametrize("join", [L.Add, L.Concatenate])
def test_layers_after_the_fusion_of_two_pictures_are_explained(folder, join):
    left, right = (keras.Input((SIDE, SIDE, 3), name=name) for name in ("left", "right"))
    maps = [L.Conv2D(1, 1, kernel_initializer="ones", name=f"{n}_conv")(x) for n, x in
            (("left", left), ("right", right))]  # fmt: skip
    fused = L.Conv2D(2, 3, padding="same", kernel_initializer="ones", name="fused")
    x = L.GlobalMaxPooling2D()(fused(join()(maps)))
    keras.Model([left, right], L.Dense(2, kernel_initializer="ones")(x)).save("fused.keras")
    (record,) = records(
        "a.png", "-m", "fused.keras", "--input", "right=a.png", "-c", 0, "--heatmap", "npy"
    )
    for target in record["targets"]:
        assert target["layer"] == "fused"
        assert is_at(PLACES["a"], heat_of(target))
