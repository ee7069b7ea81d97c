"""ONNX files: what they take, what they return, and files that can't be used."""

import json
import os
import random
import sys

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import TensorProto, helper
from onnx_files import save_onnx
from PIL import Image
from red_squares import red_model, save_squares

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import GradcamError, ModelFileError, UnsafeModelError, UsageError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

CLASSES = 5


def small_model(channels=3, classes=CLASSES):
    """Makes a network whose scores differ from picture to picture."""
    inputs = keras.Input((32, 32, channels))
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        values = [rng.normal(0, 0.6, one.shape) for one in layer.get_weights()]
        if isinstance(layer, keras.layers.BatchNormalization):
            values = [np.abs(one) + 0.2 for one in values]
        layer.set_weights(values)
    return model


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def pictures():
    return np.random.default_rng(1).uniform(0, 255, (5, 32, 32, 3)).astype(np.float32)


def load(path, **options):
    return load_classifier(ModelOptions(str(path), **options))


def predicted(classifier, pictures):
    run = tf.function(lambda inputs: classifier.trace(inputs).probabilities, autograph=False)
    return run(tf.constant(pictures)).numpy()


@pytest.mark.parametrize("batch", ["batch", 1, 3])
@pytest.mark.parametrize("softmax", ["Softmax", "LogSoftmax", None])
def test_it_predicts_what_the_same_network_in_keras_predicts(
    tmp_path, model, pictures, batch, softmax
):
    path = save_onnx(tmp_path / "net.onnx", model, batch=batch, softmax=softmax)
    classifier = load(path, preprocess="0-1", task="classification")
    assert classifier.input_shape == (32, 32, 3)
    expected = model.predict(pictures / 255, verbose=0)
    assert expected.std(0).max() > 0.01
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-4


def test_a_batch_of_a_file_that_mixes_its_pictures_is_run_one_by_one(tmp_path, model, pictures):
    # As exported with a batch of one: the shape says that any number goes, a constant inside not.
    nodes = [helper.make_node("Reshape", ["scores", "flat"], ["output"])]
    flat = helper.make_node(
        "Constant",
        [],
        ["flat"],
        value=helper.make_tensor("shape", TensorProto.INT64, [2], [1, CLASSES]),
    )
    path = save_onnx(tmp_path / "net.onnx", model, after=[flat, *nodes])
    classifier = load(path, preprocess="0-1", task="classification")
    expected = model.predict(pictures / 255, verbose=0)
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-4


def test_a_softmax_of_several_operations_is_found_by_its_numbers(tmp_path, model, pictures):
    after = [
        helper.make_node("Exp", ["scores"], ["powers"]),
        helper.make_node("ReduceL1", ["powers"], ["sum"], axes=[1], keepdims=1),
        helper.make_node("Div", ["powers", "sum"], ["output"]),
    ]
    classifier = load(save_onnx(tmp_path / "net.onnx", model, after=after), preprocess="0-1")
    assert classifier.task == "classification"
    assert not classifier.is_task_guess
    assert "logarithm of the probability" in classifier.describe_score()
    expected = model.predict(pictures / 255, verbose=0)
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({}, "torch"),
        ({"metadata": {"author": "Ultralytics", "names": "{0: 'a', 1: 'b'}"}}, "0-1"),
        ({"metadata": {"Image.NominalPixelRange": "NominalRange_0_255"}}, "none"),
        ({"scale": [1 / 255], "shift": [0]}, "none"),
        ({"scale": [1 / 58.4, 1 / 57.1, 1 / 57.4], "shift": [123.7, 116.3, 103.5]}, "none"),
        ({"scale": [1 / 0.229, 1 / 0.224, 1 / 0.225], "shift": [0.485, 0.456, 0.406]}, "0-1"),
        ({"dtype": TensorProto.UINT8}, "none"),
    ],
)
def test_the_preprocessing_is_read_off_the_file(tmp_path, model, options, mode):
    if "scale" in options:
        scale, shift = (
            np.float32(options.pop(name))[None, :, None, None] for name in ("scale", "shift")
        )
        options["before"] = [
            helper.make_node("Sub", ["picture", "shift"], ["centred"]),
            helper.make_node("Mul", ["centred", "scale"], ["input"]),
        ]
        options["before_weights"] = [(scale, "scale"), (shift, "shift")]
    if "dtype" in options:
        options["before"] = [helper.make_node("Cast", ["picture"], ["input"], to=TensorProto.FLOAT)]
    classifier = load(save_onnx(tmp_path / "net.onnx", model, **options))
    assert classifier.preprocess.mode == mode
    assert classifier.preprocess.is_guess == (mode == "torch")


def test_channels_last_are_found_by_the_transposition(tmp_path, model, pictures):
    turn = helper.make_node("Transpose", ["picture"], ["input"], perm=[0, 3, 1, 2])
    path = save_onnx(
        tmp_path / "net.onnx", model, before=[turn], shape=["batch", "rows", "columns", 3]
    )
    classifier = load(path, size=(32, 32))
    assert classifier.any_size
    assert classifier.channels == 3
    assert classifier.preprocess.mode == "0-1"
    expected = model.predict(pictures / 255, verbose=0)
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-4


def test_blue_comes_first_where_the_metadata_says_so(tmp_path, model, pictures):
    metadata = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "Normalized_0_1"}
    classifier = load(save_onnx(tmp_path / "net.onnx", model, metadata=metadata))
    expected = model.predict(pictures[..., ::-1] / 255, verbose=0)
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-4


def test_the_preprocessor_of_transformers_beside_the_file_is_used(tmp_path, model, pictures):
    size = {"height": 32, "width": 32}
    processor = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": size}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    names = {str(index): f"name {index}" for index in range(CLASSES)}
    (tmp_path / "config.json").write_text(json.dumps({"id2label": names}))
    classifier = load(save_onnx(tmp_path / "net.onnx", model))
    assert not classifier.preprocess.is_guess
    assert classifier.labels.name(4) == "name 4"
    expected = model.predict((pictures / 255 - 0.5) / 0.25, verbose=0)
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-4


def test_grey_pictures_without_a_batch_and_a_single_score_of_two_classes(tmp_path):
    model = small_model(channels=1, classes=1)
    add = helper.make_node("Unsqueeze", ["picture", "axes"], ["input"])
    path = save_onnx(
        tmp_path / "net.onnx",
        model,
        softmax="Sigmoid",
        before=[add],
        before_weights=[(np.int64([0]), "axes")],
        shape=[1, 32, 32],
    )
    classifier = load(path, preprocess="0-1")
    assert (classifier.channels, classifier.task) == (1, "binary")
    grey = np.random.default_rng(2).uniform(0, 255, (3, 32, 32, 1)).astype(np.float32)
    model.layers[-1].activation = keras.activations.sigmoid
    expected = model(grey / 255).numpy()
    assert np.abs(predicted(classifier, grey)[:, 1:] - expected).max() < 1e-4


def test_one_of_several_outputs_is_chosen(tmp_path, model):
    named = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES]),
        helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", CLASSES]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
    ]
    after = [
        helper.make_node("Softmax", ["scores"], ["output"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    path = save_onnx(tmp_path / "net.onnx", model, after=after, outputs=named)
    with pytest.raises(UsageError, match=r"net.onnx: .*--head: scores \(5\), output \(5\), label"):
        load(path)
    assert load(path, output="output").network.output.name == "output"
    with pytest.raises(UsageError, match="whole numbers"):
        load(path, output="label")
    # Only one has real numbers.
    path = save_onnx(tmp_path / "two.onnx", model, after=after, outputs=named[1:])
    assert load(path).network.output.name == "output"


def test_quantized_weights_change_little(tmp_path, model, pictures):
    quantize = [
        helper.make_node("QuantizeLinear", ["picture", "scale", "zero"], ["whole"]),
        helper.make_node("DequantizeLinear", ["whole", "scale", "zero"], ["input"]),
    ]
    step = np.float32(1 / 255)
    path = save_onnx(
        tmp_path / "net.onnx",
        model,
        before=quantize,
        before_weights=[(step, "scale"), (np.uint8(0), "zero")],
    )
    classifier = load(path)
    assert classifier.preprocess.mode == "0-1"
    assert "quantized" in classifier.preprocess.reason
    expected = model.predict(np.round(pictures) / 255, verbose=0)
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-3


def test_maps_are_those_of_the_same_network_in_keras(tmp_path):
    model = red_model()
    model.save(tmp_path / "red.keras")
    path = save_onnx(tmp_path / "red.onnx", model)
    save_squares(tmp_path, 2)
    picture = np.asarray(Image.open(tmp_path / "photos" / "00.png"), np.float32)
    mask = np.asarray(Image.open(tmp_path / "masks" / "00.png")) > 0
    maps = [
        Explainer(load(one, preprocess="none"), None, "rise")
        .explain(picture[None], np.array([[1]]))
        .maps[0, 0]
        for one in (tmp_path / "red.keras", path)
    ]
    assert np.abs(maps[0] - maps[1]).max() < 1e-2
    assert mask[np.unravel_index(maps[1].argmax(), mask.shape)]


def test_the_command_explains_onnx_files(tmp_path, run_gradcam, invoke):
    save_squares(tmp_path, 2)
    path = save_onnx(tmp_path / "red.onnx", red_model())
    arguments = [tmp_path / "photos", "--model", path, "--preprocess", "none", "--class", "1"]
    run = run_gradcam(*arguments, "--out", tmp_path / "maps", "--json")
    assert run.returncode == 0
    records = [json.loads(line) for line in run.stdout.splitlines()]
    assert [record["method"] for record in records] == ["rise", "rise"]
    assert all(os.path.isfile(record["targets"][0]["output"]) for record in records)
    for wrong in ("--method", "gradcam"), ("--layer", "3"):
        run = invoke(*arguments, *wrong, "--out", tmp_path / "maps")
        assert run.exit_code == 2
        assert len(run.stderr.splitlines()) == 1
        assert "rise" in run.stderr


def refused(path):
    """Returns the one line with which a file is refused."""
    with pytest.raises(GradcamError) as caught:
        load(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_unknown_operators_are_named(tmp_path, model):
    after = [helper.make_node("Wobble", ["scores"], ["output"], domain="my.own")]
    message = refused(save_onnx(tmp_path / "net.onnx", model, after=after))
    assert "Wobble" in message
    assert "my.own" in message
    path = save_onnx(tmp_path / "net.onnx", model)
    made = onnx.load(path)
    made.graph.node[-1].op_type = "Wobble"
    onnx.save(made, path)
    assert "Wobble" in refused(path)


def test_a_constant_that_would_fill_the_memory_is_refused(tmp_path, model):
    after = [
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["scores", "sum"], ["output"]),
    ]
    huge = helper.make_node(
        "Constant",
        [],
        ["huge"],
        value=helper.make_tensor("shape", TensorProto.INT64, [2], [100_000, 100_000]),
    )
    message = refused(save_onnx(tmp_path / "net.onnx", model, after=[huge, *after]))
    assert "10,000,000,000 values" in message


@pytest.mark.parametrize("place", ["../weights.bin", "/etc/passwd", "link.bin", "gone.bin"])
def test_weights_elsewhere_are_refused(tmp_path, model, place):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(10_000))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    path = save_onnx(folder / "net.onnx", model)
    made = onnx.load(path)
    tensor = made.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value=place)
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelFileError if place == "gone.bin" else UnsafeModelError):
        load(path)


def test_weights_beside_the_file_are_read(tmp_path, model, pictures):
    path = save_onnx(tmp_path / "net.onnx", model)
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="net.data", size_threshold=0
    )
    expected = model.predict(pictures / 255, verbose=0)
    found = predicted(load(path, preprocess="0-1"), pictures)
    assert np.abs(found - expected).max() < 1e-4


def test_broken_files_get_one_line(tmp_path, model):
    content = bytearray(save_onnx(tmp_path / "net.onnx", model).read_bytes())
    rng = random.Random(0)
    broken = tmp_path / "broken.onnx"
    outcomes = []
    for number in range(60):
        changed = bytearray(content)
        if number % 3:
            for _ in range(number % 7 + 1):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        else:
            changed = changed[: rng.randrange(len(changed))]
        broken.write_bytes(changed)
        message = None
        try:
            load(broken)
        except GradcamError as error:
            message = error.message
        outcomes.append(message)
    # A changed weight breaks nothing.
    messages = [message for message in outcomes if message is not None]
    assert len(messages) >= 20
    assert not any("\n" in message for message in messages)


def test_the_missing_extra_is_named(tmp_path, model, monkeypatch):
    path = save_onnx(tmp_path / "net.onnx", model)
    # As if it weren't installed.
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'gradcam-cli[onnx]'" in refused(path)


def save_means(path, axes):
    """Saves a network that scores the mean of each colour of a stack of pictures."""
    lengths = {"N": 1, "T": 4, "C": 3, "H": 16, "W": 24}
    others = [number for number, axis in enumerate(axes) if axis in "THW"]
    nodes = [
        helper.make_node("ReduceMean", ["clip"], ["means"], axes=others, keepdims=0),
        helper.make_node("Softmax", ["means"], ["output"], axis=1),
    ]
    taken = helper.make_tensor_value_info(
        "clip", TensorProto.FLOAT, [lengths[axis] for axis in axes]
    )
    given = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "main_graph", [taken], [given])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


@pytest.mark.parametrize("axes", ["NCTHW", "NTCHW", "NTHWC"])
def test_clips_with_the_channels_anywhere(tmp_path, axes):
    classifier = load(save_means(tmp_path / "net.onnx", axes), preprocess="0-1")
    assert classifier.takes_stacks
    assert classifier.input_shape == (4, 16, 24, 3)
    clip = np.zeros((1, 4, 16, 24, 3), np.float32)
    # Each frame is red on another part, so that mixed axes would show.
    clip[..., 0] = np.linspace(0, 255, 24)
    clip[:, 1, :, :, 1] = 102
    powers = np.exp(clip.mean((1, 2, 3)) / 255)
    assert predicted(classifier, clip) == pytest.approx(powers / powers.sum(), abs=1e-5)


def test_networks_of_sound_are_refused(tmp_path):
    nodes = [
        helper.make_node("ReduceMean", ["sound"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["output"], axis=1),
    ]
    taken = helper.make_tensor_value_info("sound", TensorProto.FLOAT, [1, 1, 16000])
    given = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph(nodes, "main_graph", [taken], [given])
    path = tmp_path / "sound.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    message = refused(path)
    assert "sound" in message
    assert "only networks of pictures" in message


def test_networks_of_bands_take_the_values_of_the_file(tmp_path):
    classifier = load(save_onnx(tmp_path / "net.onnx", small_model(channels=6)))
    assert classifier.input_shape == (32, 32, 6)
    assert classifier.preprocess.mode == "none"


def test_weights_in_nodes_are_counted(tmp_path, model):
    path = save_onnx(tmp_path / "net.onnx", model)
    stored = onnx.load(path)
    constants = [
        helper.make_node("Constant", [], [one.name], value=one) for one in stored.graph.initializer
    ]
    nodes = [*constants, *stored.graph.node]
    del stored.graph.initializer[:], stored.graph.node[:]
    stored.graph.node.extend(nodes)
    onnx.save(stored, path)
    assert load(path).network.parameters == model.count_params()


def test_vectors_that_compare_pictures_are_not_taken_for_scores(tmp_path):
    model = small_model(classes=24)
    after = [helper.make_node("LpNormalization", ["scores"], ["output"], axis=1, p=2)]
    path = save_onnx(tmp_path / "net.onnx", model, after=after)
    assert "--task regression" in refused(path)
    assert load(path, task="regression").task == "regression"
