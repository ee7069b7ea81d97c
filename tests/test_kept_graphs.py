import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from same_results import assert_same_files

import gradcam_cli
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods import gradients
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.networks.deferred import DeferredNetwork
from gradcam_cli.networks.kept_graphs import KeptGraph, KeptGraphs
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.networks.pure_operations import impure_operations
from gradcam_cli.networks.traced_function import ConstantGraph, TracedFunction

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), np.uint8)
DIGEST_LENGTH = hashlib.sha256().digest_size
TARGETS = np.int32([[-1], [2], [-2]])


@pytest.fixture
def graphs(tmp_path):
    return KeptGraphs(tmp_path / "graphs")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((24, 32, 3)),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="first"),
            keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="second"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )


@pytest.fixture
def start(classify, model, graphs):
    """Makes an explainer, as a run of the command does, and counts the networks built."""

    def make(
        layer=None,
        method="gradcam",
        identity="a model",
        targets=TARGETS,
        graphs=graphs,
        **options,
    ):
        built = []

        def build():
            built.append(identity)
            return KerasNetwork(model)

        deferred = DeferredNetwork(build, identity)
        classifier = replace(classify(model, preprocessing="0-1"), network=deferred).folded(())
        made = Explainer(classifier, layer, method, graphs=graphs, **options)
        return made, None if targets is None else made.explain(PICTURES, targets), len(built)

    return make


def files(folder):
    return sorted((folder / "graphs").glob("*"))


def test_what_was_traced_once_needs_no_network(start, tmp_path):
    first, explained, built = start()
    assert built == 1
    (path,) = files(tmp_path)
    second, again, built = start()
    assert built == 0
    assert files(tmp_path) == [path]
    np.testing.assert_array_equal(again.maps, explained.maps)
    np.testing.assert_array_equal(again.probabilities, explained.probabilities)
    np.testing.assert_array_equal(again.targets, explained.targets)
    assert second.facts == first.facts
    assert second.pitch == first.pitch == (4, 4)
    assert second.layers == first.layers == ["second"]


def test_a_graph_is_of_one_question_only(start, tmp_path):
    start()
    questions = [
        {"layer": "first"},
        {"layer": ["first", "second"]},
        {"layer": ["first", "second"], "fusion": "max"},
        {"method": "layercam"},
        {"identity": "another model"},
    ]
    for number, question in enumerate(questions, 2):
        assert start(**question)[2] == 1
        assert len(files(tmp_path)) == number
    # The function for one class is there, the one for two isn't.
    _, _, built = start(targets=np.tile(TARGETS, 2))
    assert built == 1


@pytest.mark.parametrize("layer", ["first", ["first", "second"]])
def test_kept_maps_are_of_the_layer_that_was_asked_for(start, classify, model, layer):
    start("second")
    start(layer)
    kept, explained, built = start(layer)
    assert built == 0
    plain = Explainer(classify(model, preprocessing="0-1"), layer)
    np.testing.assert_allclose(explained.maps, plain.explain(PICTURES, TARGETS).maps, atol=1e-5)
    assert kept.pitch == plain.pitch


def test_methods_that_run_the_network_build_it_for_that(start):
    first = start(method="scorecam")
    second = start(method="scorecam")
    assert [first[2], second[2]] == [1, 1]
    np.testing.assert_array_equal(first[1].maps, second[1].maps)


def test_a_graph_is_of_the_formula_that_the_method_stands_for(start, tmp_path, monkeypatch):
    grad_cam, layer_cam = start()[1], start(method="layercam")[1]
    assert np.abs(grad_cam.maps - layer_cam.maps).max() > 0.01
    monkeypatch.setitem(METHODS, "gradcam", METHODS["layercam"])
    np.testing.assert_allclose(start()[1].maps, layer_cam.maps, atol=1e-6)
    monkeypatch.undo()
    # The row is the old one, but what it names isn't.
    monkeypatch.setattr(gradients, "grad_cam", gradients.layer_cam)
    _, of_other_formula, built = start()
    assert built == 1
    np.testing.assert_allclose(of_other_formula.maps, layer_cam.maps, atol=1e-6)
    monkeypatch.undo()
    _, again, built = start()
    assert built == 0
    np.testing.assert_array_equal(again.maps, grad_cam.maps)
    assert len(files(tmp_path)) == 3


def half_of_hires_cam(feature_maps, gradients):
    """What a user may add to the table."""
    return tf.reduce_sum(feature_maps * gradients, axis=-1) / 2


def test_graphs_of_code_from_elsewhere_are_not_kept(start, tmp_path, monkeypatch):
    row = replace(METHODS["gradcam"], implementation=f"{__name__}:half_of_hires_cam")
    monkeypatch.setitem(METHODS, "half", row)
    assert [start(method="half")[2], start(method="half")[2]] == [1, 1]
    assert not files(tmp_path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def to_folder(path):
    path.unlink()
    path.mkdir()


def to_pipe(path):
    path.unlink()
    os.mkfifo(path)


def to_link(path):
    shutil.move(path, path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def replace_content(path, content):
    path.write_bytes(hashlib.sha256(content).digest() + content)


def to_garbage_with_its_digest(path):
    replace_content(path, b"garbage")


def to_another_message_with_its_digest(path):
    replace_content(path, tf.compat.v1.MetaGraphDef().SerializeToString())


@pytest.mark.parametrize(
    "damage",
    [
        *(cut_short, alter, empty, to_folder, to_pipe, to_link),
        *(to_garbage_with_its_digest, to_another_message_with_its_digest),
    ],
)
def test_damaged_files_count_as_not_there(start, tmp_path, damage):
    _, explained, _ = start()
    (path,) = files(tmp_path)
    damage(path)
    _, again, built = start()
    assert built == 1
    np.testing.assert_array_equal(again.maps, explained.maps)
    if damage is not to_folder:
        assert start()[2] == 0


@pytest.mark.parametrize("mode", [0o620, 0o602])
@pytest.mark.parametrize("of_folder", [False, True])
def test_what_others_may_have_written_counts_as_not_there(start, tmp_path, mode, of_folder):
    start()
    (path,) = files(tmp_path)
    if of_folder:
        path.parent.chmod(mode | 0o111)
    else:
        path.chmod(mode)
    assert start()[2] == 1
    # It was kept anew, for the user alone.
    assert start()[2] == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give")
def test_what_belongs_to_somebody_else_counts_as_not_there(start, tmp_path):
    start()
    (path,) = files(tmp_path)
    os.chown(path, 12345, 12345)
    assert start()[2] == 1


@pytest.mark.parametrize("place", ["in the graph", "in a function"])
def test_a_graph_that_does_more_than_compute_is_not_run(start, tmp_path, place):
    _, explained, _ = start()
    (path,) = files(tmp_path)
    spied = tmp_path / "spied"
    meta_graph = tf.compat.v1.MetaGraphDef.FromString(path.read_bytes()[DIGEST_LENGTH:])

    @tf.function(input_signature=[])
    def spy():
        tf.io.write_file(str(spied), "spied")

    written = spy.get_concrete_function().graph.as_graph_def()
    if place == "in the graph":
        meta_graph.graph_def.node.extend(written.node)
    else:
        outer = tf.function(lambda: spy()).get_concrete_function().graph.as_graph_def()
        meta_graph.graph_def.library.CopyFrom(outer.library)
    replace_content(path, meta_graph.SerializeToString())
    _, again, built = start()
    assert built == 1
    np.testing.assert_array_equal(again.maps, explained.maps)
    assert not spied.exists()


OF_CONVOLUTIONS = [
    name
    for name, row in METHODS.items()
    if not row.implementation.startswith(".attention:") and not row.only_for_detection
]


@pytest.mark.parametrize("method", OF_CONVOLUTIONS)
def test_graphs_of_all_methods_are_admitted(start, tmp_path, method):
    start(method=method, targets=None)
    for path in files(tmp_path):
        content = path.read_bytes()[DIGEST_LENGTH:]
        meta_graph = tf.compat.v1.MetaGraphDef.FromString(content)
        assert not impure_operations(meta_graph.graph_def)


def test_without_a_folder_nothing_is_kept(start, tmp_path):
    (tmp_path / "graphs").write_text("a file in the way")
    assert [start()[2], start()[2]] == [1, 1]
    assert (tmp_path / "graphs").read_text() == "a file in the way"


def test_who_has_no_home_gets_no_folder_in_its_place(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    homeless = KeptGraphs(Path("~/.cache/gradcam/graphs"))
    assert [start(graphs=homeless)[2] for _ in range(2)] == [1, 1]
    assert not list(tmp_path.iterdir())


def test_weights_that_may_change_are_not_kept(classify, model, graphs, tmp_path):
    network = DeferredNetwork(lambda: KerasNetwork(model), "a model")
    classifier = replace(classify(model), network=network)
    Explainer(classifier, graphs=graphs).explain(PICTURES, TARGETS)
    assert not files(tmp_path)


def test_graphs_that_were_used_last_stay(graphs, tmp_path):
    graph = tf.Graph()
    with graph.as_default():
        inputs = tf.compat.v1.placeholder(tf.float32, (None,))
        outputs = inputs * 2
    constant = ConstantGraph(graph, [inputs.name], [outputs.name])

    def keep(number):
        graphs.keep(f"graph {number}", KeptGraph(constant, {"number": number}))

    for number in range(8):
        keep(number)
        (newest,) = set(files(tmp_path)) - {path for path in files(tmp_path) if is_old(path)}
        make_old(newest, number)
    assert graphs.find("graph 0").facts == {"number": 0}
    keep(8)
    assert len(files(tmp_path)) == 8
    assert graphs.find("graph 1") is None
    kept = graphs.find("graph 0")
    signature = (tf.TensorSpec((None,), tf.float32),)
    function = TracedFunction(lambda values: [values * 2], signature, graph=kept.graph)
    (doubled,) = function(np.float32([1, 2]))
    np.testing.assert_array_equal(doubled, [2, 4])


def is_old(path):
    return path.stat().st_mtime < 1e9


def make_old(path, number):
    os.utime(path, (number, number))


def test_networks_are_known_by_the_content_of_their_weights(tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    model = keras.applications.MobileNet(weights=None)
    for number in (1, 2):
        model.save_weights(tmp_path / f"{number}.weights.h5")
        model.set_weights([weights + 1 for weights in model.get_weights()])

    def identity(number):
        shutil.copyfile(tmp_path / f"{number}.weights.h5", path)
        return load_classifier(
            ModelOptions("mobilenet", weights=path), deferred=True
        ).network.identity

    assert identity(1) == identity(1) != identity(2)


def test_large_networks_are_built_at_once(tmp_path):
    path = tmp_path / "resnet50.weights.h5"
    keras.applications.ResNet50(weights=None).save_weights(path)
    network = load_classifier(ModelOptions("resnet50", weights=path), deferred=True).network
    assert isinstance(network, KerasNetwork)


def test_the_command_keeps_graphs_in_the_cache_folder(run_gradcam, samples, tmp_path):
    cache = tmp_path / "cache"
    elsewhere = {"XDG_CACHE_HOME": str(cache)}
    results = []
    for folder in ("first", "second"):
        out = tmp_path / folder
        done = run_gradcam(str(samples / "dog.jpg"), "--out", str(out), **elsewhere)
        assert done.returncode == 0, done.stderr
        results.append({"dog": (out / "dog_gradcam.png").read_bytes()})
        (path,) = (cache / "gradcam" / "graphs").iterdir()
    assert_same_files(*results)
    assert path.stat().st_size < 20e6

    # Other code may compute something else.
    package = tmp_path / "altered" / "gradcam_cli"
    shutil.copytree(os.path.dirname(gradcam_cli.__file__), package)
    with open(package / "cam" / "scaling.py", "a") as file:
        file.write("# changed\n")
    altered = {**elsewhere, "PYTHONPATH": str(package.parent)}
    done = run_gradcam(str(samples / "dog.jpg"), "--out", str(tmp_path / "third"), **altered)
    assert done.returncode == 0, done.stderr
    assert len(list(path.parent.iterdir())) == 2
