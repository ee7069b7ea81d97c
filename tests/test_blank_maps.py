"""Maps that show nothing: the reason is found, in real saved models whose fault is known."""

import io
import json
import pickle
from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import ops
from PIL import Image

from gradcam_cli import GradCAM, GradCAMCallback, explain_image
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli import main
from gradcam_cli.errors import PredictionError, UnusableLayerError
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.models.preprocessing import parse_preprocessing
from gradcam_cli.networks.deferred import DeferredNetwork
from gradcam_cli.networks.kept_graphs import KeptGraphs
from gradcam_cli.networks.keras_network import KerasNetwork

SIZE = 16
PICTURE = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
layers = keras.layers


def make(middle=None, after=None, dtype="float32", classes=3):
    """A small network: first, last, ``after`` the maps, pooling, ``middle``, scores."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="first", dtype=dtype)(inputs)
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="last", dtype=dtype)(x)
    if after is not None:
        x = after(x)
    x = layers.GlobalAveragePooling2D(name="pool", dtype=dtype)(x)
    if middle is not None:
        x = middle(x)
    x = layers.Dense(classes, activation="softmax", name="scores")(x)
    return keras.Model(inputs, x)


def change(model, layer, kernel=None, bias=None):
    """Changes the weights of a layer: its kernel by a function, its bias to a number."""
    weights = model.get_layer(layer).get_weights()
    if kernel is not None:
        weights[0] = kernel(weights[0])
    if bias is not None:
        weights[1] = np.full_like(weights[1], bias)
    model.get_layer(layer).set_weights(weights)
    return model


def hidden(activation):
    return layers.Dense(8, activation=activation, name="hidden")


def with_first(value):
    def changed(kernel):
        kernel.flat[3] = value
        return kernel

    return changed


MODELS = {
    "dead": lambda: change(make(hidden("relu")), "hidden", bias=-100),
    "dead-6": lambda: change(make(hidden("relu6")), "hidden", bias=-100),
    "sigmoid": lambda: change(make(hidden("sigmoid")), "hidden", bias=-200),
    "tanh": lambda: change(make(hidden("tanh")), "hidden", bias=200),
    "softmax": lambda: change(
        make(hidden("softmax")), "hidden", kernel=np.zeros_like, bias=np.arange(8) * 500.0
    ),
    "zero-weights": lambda: change(make(), "scores", kernel=np.zeros_like),
    "negative": lambda: change(make(), "scores", kernel=lambda kernel: -np.abs(kernel)),
    "dead-layer": lambda: change(make(), "last", bias=-1000),
    "constant": lambda: change(make(), "last", kernel=np.zeros_like, bias=1),
    "nan": lambda: change(make(), "scores", kernel=with_first(np.nan)),
    "hidden-nan": lambda: change(make(), "first", kernel=with_first(np.nan)),
    "infinity": lambda: change(make(), "first", kernel=with_first(np.inf)),
    "half": lambda: change(
        make(dtype="float16"), "first", kernel=lambda kernel: 100 + np.abs(kernel)
    ),
    # The derivative of the root is infinite at 0, where a ReLU often is.
    "root": lambda: make(after=ops.sqrt),
    "stopped": lambda: make(after=ops.stop_gradient),
    "rounded": lambda: make(after=ops.round),
    "ranked": lambda: make(
        after=lambda x: ops.cast(ops.argmax(x, axis=-1, keepdims=True), "float32")
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Saves the model of a name to a real file, once."""
    folder = tmp_path_factory.mktemp("models")

    def save(name):
        path = folder / f"{name}.keras"
        if not path.exists():
            MODELS[name]().save(path)
        return path

    return save


@cache
def load(path):
    return load_classifier(ModelOptions(str(path), preprocess="none"))


def find_blanks(explainer, targets=(0,)):
    explanation = explainer.explain(PICTURE, np.array([targets]))
    assert np.isfinite(explanation.maps).all()
    found = explainer.find_blanks(PICTURE, explanation).blanks
    return [found.get((0, number)) for number in range(len(targets))]


def is_told(blank, reason, *words):
    assert blank is not None
    assert blank.reason == reason
    assert "\n" not in blank.note
    for word in words:
        assert word in blank.note


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("dead", "dead-relu", ["at layer last", "ReLU in layer hidden", "dead ReLU"]),
        ("dead-6", "dead-relu", ["layer hidden"]),
        ("sigmoid", "saturated", ["the sigmoid in layer hidden is saturated"]),
        ("tanh", "saturated", ["the tanh in layer hidden"]),
        ("softmax", "saturated", ["the softmax in layer hidden"]),
        ("zero-weights", "zero-gradients", ["layer last"]),
        ("negative", "nothing-positive", ["no positive evidence", "--signed"]),
        ("dead-layer", "zero-activations", ["layer last"]),
        ("constant", "constant-activations", ["layer last is the same in all cells"]),
        ("nan", "nonfinite-weights", ["kernel of layer scores (NaN in 1 of 15 values)"]),
        ("half", "nonfinite-activations", ["layer first", "float16", "65,504"]),
        ("root", "nonfinite-gradients", ["layer last"]),
    ],
)
def test_the_reason_is_found(saved, name, reason, words):
    (blank,) = find_blanks(Explainer(load(saved(name)).folded(["last"]), "last"))
    is_told(blank, reason, *words)
    # It travels between processes.
    assert pickle.loads(pickle.dumps(blank)) == blank


def test_a_map_that_shows_something_has_no_note():
    model = change(make(), "scores", kernel=lambda kernel: np.abs(kernel))
    (blank,) = find_blanks(Explainer(load_memory(model), "last"))
    assert blank is None


def load_memory(model):
    return inspect_network("m", KerasNetwork(model), preprocess=parse_preprocessing("none"))


def test_only_the_classes_without_evidence_are_explained():
    def one_negative(kernel):
        return np.abs(kernel) * np.array([1, -1, 1])

    classifier = load_memory(change(make(), "scores", kernel=one_negative))
    blanks = find_blanks(Explainer(classifier, "last"), targets=(0, 1, 2))
    assert blanks[0] is None
    is_told(blanks[1], "nothing-positive")
    assert blanks[2] is None


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("gradcam++", "dead-relu"),
        ("hirescam", "dead-relu"),
        ("guidedgradcam", "dead-relu"),
        ("ablationcam", "dead-relu"),
        ("smoothgradcam++", "dead-relu"),
        ("fullgrad", "dead-relu"),
        ("groupcam", "dead-relu"),
    ],
)
def test_every_kind_of_method_finds_a_dead_relu(saved, method, reason):
    classifier = load(saved("dead"))
    layer = None if method == "fullgrad" else "last"
    (blank,) = find_blanks(Explainer(classifier, layer, method))
    is_told(blank, reason, "layer hidden")


def test_layers_without_evidence_are_fused_and_explained(saved):
    (blank,) = find_blanks(Explainer(load(saved("dead")), ["first", "last"]))
    is_told(blank, "dead-relu", "layer hidden")
    (blank,) = find_blanks(Explainer(load(saved("dead")), "last", smoothing=True))
    is_told(blank, "dead-relu", "layer hidden")


def test_signed_is_suggested_only_where_it_shows_something(saved):
    classifier = load(saved("negative"))
    (blank,) = find_blanks(Explainer(classifier, "last", "hirescam"))
    assert "--signed" in blank.note
    # LayerCAM drops negative gradients before its sum.
    (blank,) = find_blanks(Explainer(classifier, "last", "layercam"))
    is_told(blank, "nothing-positive")
    assert "--signed" not in blank.note


def test_nothing_raises_a_value():
    inputs = keras.Input((8, 8, 3))
    maps = layers.Conv2D(1, 1, activation="relu", kernel_initializer="ones")(inputs)
    pooled = layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(
        inputs, layers.Dense(1, kernel_initializer=lambda *_, **__: [[-1.0]])(pooled)
    )
    model.compile(loss="mse")
    picture = np.full((1, 8, 8, 3), 0.5, np.float32)
    picture[0, 2, 2] = 1
    with pytest.warns(UserWarning, match="nothing raises this value: .* lowers it; .*--signed"):
        GradCAM(model).explain(picture, np.ones((1, 1), np.float32))


def test_another_layer_is_named_where_one_helps():
    # A dead end beside a way around it: the sum of both.
    inputs = keras.Input((SIZE, SIZE, 3))
    first = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="dead")(first)
    x = layers.GlobalAveragePooling2D()(layers.Add(name="sum")([first, x]))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="scores")(x))
    change(model, "dead", bias=-1000)
    (blank,) = find_blanks(Explainer(load_memory(model), "dead"))
    is_told(blank, "zero-activations", "layer sum")


def test_saved_models_are_explained_too(saved, tmp_path):
    for name, reason, layer in (
        ("dead", "dead-relu", "hidden"),
        ("nan", "nonfinite-weights", "scores"),
    ):
        keras.saving.load_model(saved(name)).export(tmp_path / name)
        (blank,) = find_blanks(Explainer(load(tmp_path / name), "last"))
        is_told(blank, reason, f"layer {layer}" if name == "nan" else "layer last")


@pytest.mark.parametrize(
    ("name", "operation"),
    [("stopped", "StopGradient"), ("rounded", "Round"), ("ranked", "ArgMax")],
)
def test_a_layer_that_is_cut_off_is_refused_with_the_operation(saved, name, operation):
    classifier = load(saved(name))
    with pytest.raises(UnusableLayerError, match=f"layer last: the operation {operation} "):
        Explainer(classifier, "last")
    # What the message advises works.
    method = "scorecam" if name == "ranked" else "eigencam"
    assert find_blanks(Explainer(classifier, "last", method)) == [None]


def test_a_layer_off_the_path_is_refused():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="used")(inputs)
    off = layers.Conv2D(4, 3, name="off")(x)
    scores = layers.Dense(2, activation="softmax", name="scores")(
        layers.GlobalAveragePooling2D()(x)
    )
    model = keras.Model(inputs, [scores, off])
    classifier = inspect_network("m", KerasNetwork(model, output=model.output_names[0]))
    with pytest.raises(UnusableLayerError, match=r"does not depend on layer off; .* used"):
        Explainer(classifier, "off")


def test_a_picture_of_a_single_cell_shows_no_place(classify):
    inputs = keras.Input((None, None, 3))
    cells = layers.Conv2D(4, SIZE, SIZE, activation="relu", name="cells")(inputs)
    scores = layers.Dense(2, activation="softmax", name="scores")(
        layers.GlobalAveragePooling2D()(cells)
    )
    model = keras.Model(inputs, scores)
    change(model, "cells", kernel=np.abs)
    change(model, "scores", kernel=np.abs)
    explainer = Explainer(classify(model, any_size=True), "cells")
    (blank,) = find_blanks(explainer)
    is_told(blank, "single-cell", "layer cells has a single cell", "--size")


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PICTURE[0]).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_a_picture_with_a_broken_prediction_fails_in_one_line(saved, picture, tmp_path):
    args = ["a.png", "-m", saved("nan"), "--preprocess", "none", "-o", "out/"]
    done = run(*args, "--heatmap", "npy", "--json", "--report", "out/report.html")
    assert done.exit_code == 1
    message = "a.png: the prediction has NaN or infinity: the model is damaged: kernel of layer "
    assert f"Error: {message}scores (NaN in 1 of 15 values)" in done.stderr
    assert json.loads(done.stdout)["error"].startswith(message)
    assert "NaN in 1 of 15" in (tmp_path / "out/report.html").read_text()
    assert not list((tmp_path / "out").glob("a_*"))
    measured = run("evaluate", *args[:-2], "--metric", "deletion", "-o", "out")
    assert measured.exit_code == 1
    assert message in measured.stderr
    with pytest.raises(PredictionError, match="kernel of layer scores"):
        explain_image(picture, model=str(saved("nan")), preprocess="none")


def test_broken_weights_are_told_even_if_a_relu_hides_them(saved, picture):
    done = run("a.png", "-m", saved("hidden-nan"), "--preprocess", "none", "-o", "out/")
    assert "kernel of layer first (NaN in 1 of 162 values)" in done.stderr
    done = run("a.png", "-m", saved("negative"), "--preprocess", "none", "-o", "out/")
    assert "NaN" not in done.stderr


def test_the_command_tells_the_reason_everywhere(saved, picture, tmp_path):
    args = ["a.png", "-m", saved("dead"), "--preprocess", "none", "-l", "last", "-o", "out/"]
    done = run(*args, "--report", "out/report.html")
    assert done.exit_code == 0, done.output
    assert "dead ReLU" in done.stdout
    assert "dead ReLU" in (tmp_path / "out/report.html").read_text()
    (target,) = json.loads(run(*args, "--json", "-c", 1, "--heatmap", "npy").stdout)["targets"]
    assert target["blank"] == "dead-relu"
    assert "layer hidden" in target["note"]
    assert not np.load(target["heatmap"]).any()
    # Of several methods, those are named whose map shows nothing.
    compared = json.loads(run(*args, "--json", "--method", "gradcam,eigencam").stdout)
    assert compared["targets"][0]["note"].startswith("Grad-CAM: the map is blank: ")
    measured = run("evaluate", *args[:-2], "--metric", "deletion", "-o", "out", "--json")
    record = json.loads(measured.stdout)
    assert record["rows"][0]["blank"] == {"dead-relu": 1}
    assert "1 of its 1 maps shows nothing" in record["verdicts"][-1]


def test_a_kept_graph_without_its_network_is_explained(saved, tmp_path):
    classifier = load(saved("dead"))
    built = []

    def build():
        built.append(True)
        return load(saved("dead")).folded(["last"]).network

    for tracings in (1, 2):
        deferred = replace(classifier, network=DeferredNetwork(build, "dead"))
        explainer = Explainer(deferred, "last", graphs=KeptGraphs(tmp_path))
        explanation = explainer.explain(PICTURE, np.array([[0]]))
        # The second explainer has built nothing yet.
        assert len(built) == 1
        if tracings == 2:
            blanks = explainer.find_blanks(PICTURE, explanation).blanks
            is_told(blanks[0, 0], "dead-relu", "layer hidden")


def test_an_explained_image_warns_and_says_it_below(saved, picture):
    with pytest.warns(UserWarning, match="dead ReLU"):
        blank = explain_image(picture, model=str(saved("dead")), layer="last", preprocess="none")
    is_told(blank.blank, "dead-relu")
    assert not blank.has_evidence
    plain = explain_image(
        picture, 0, model=str(saved("dead")), layer="last", preprocess="none", method="eigencam"
    )
    assert plain.blank is None
    heights = [
        Image.open(io.BytesIO(shown._repr_png_())).height - shown.picture.height
        for shown in (blank, plain)
    ]
    assert heights[0] > heights[1] + 20


def test_the_classes_warn_once_for_all_maps_of_a_call(saved):
    model = keras.saving.load_model(saved("dead"))
    inputs = np.repeat(PICTURE, 3, axis=0)
    with pytest.warns(UserWarning, match=r"3 of 3 maps show nothing; .* dead ReLU") as told:
        maps = GradCAM(model, conv_layer="last").explain(inputs, np.eye(3, dtype=np.float32))
    assert len([one for one in told if "show nothing" in str(one.message)]) == 1
    assert not np.asarray(maps).any()


def test_a_training_that_fails_is_still_drawn(tmp_path):
    model = change(make(), "scores", kernel=with_first(np.nan))
    model.compile("sgd", "sparse_categorical_crossentropy")
    callback = GradCAMCallback(PICTURE, [0], tmp_path, conv_layer="last", alpha=1.0)
    with pytest.warns(UserWarning, match="kernel of layer first"):
        model.fit(PICTURE, np.array([0]), callbacks=[callback], verbose=0)
    drawn = np.asarray(Image.open(tmp_path / "epoch-001_picture-0.png"))
    assert np.unique(drawn.reshape(-1, 3), axis=0).tolist() == [[0, 0, 127]]


@pytest.mark.parametrize("size", [(1, 1), (300, 200)])
def test_a_plain_white_picture_is_never_answered_in_silence(builtin, explainer, size):
    white = Image.new("RGB", size, (255, 255, 255))
    inputs = builtin.input_for().prepare(white).inputs[None]
    explanation = explainer.explain(inputs, np.array([[-1]]))
    (heat,) = explanation.maps[0]
    blanks = explainer.find_blanks(inputs, explanation).blanks
    shows_nothing = heat.max() - heat.min() <= 1e-4 * heat.max()
    assert bool(blanks) == shows_nothing
