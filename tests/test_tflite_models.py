"""TensorFlow Lite files: what they take, what they return, and files that can't be used."""

import json
import random
import sys
import threading
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from red_squares import red_model, save_squares

from gradcam_cli.errors import GradcamError, ModelFileError, UsageError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

SIDE = 32


@pytest.fixture(scope="module")
def model():
    """A network whose scores differ from picture to picture."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.8, one.shape) for one in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(1)
    tints = rng.uniform(0, 1, (5, 1, 1, 3))
    return (tints * rng.uniform(0, 255, (5, SIDE, SIDE, 3))).astype(np.float32)


def save_tflite(path, model, pictures=None, kind=None):
    """Converts a network; with `pictures`, to whole numbers of a kind."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if pictures is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([one[None]] for one in pictures)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = kind
    path.write_bytes(converter.convert())
    return path


def load(path, **options):
    return load_classifier(ModelOptions(str(path), **options))


def predicted(classifier, pictures):
    run = tf.function(lambda inputs: classifier.trace(inputs).probabilities, autograph=False)
    return run(tf.constant(pictures)).numpy()


def test_it_predicts_what_the_same_network_in_keras_predicts(tmp_path, model, pictures):
    classifier = load(save_tflite(tmp_path / "net.tflite", model), preprocess="0-1")
    assert classifier.task == "classification"
    assert classifier.describe_score() == "the input of the final softmax"
    assert classifier.network.parameters == model.count_params()
    expected = model.predict(pictures / 255, verbose=0)
    assert expected.std(0).max() > 0.01
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-4


@pytest.mark.parametrize("kind", [tf.int8, tf.uint8])
def test_whole_numbers_are_converted_both_ways(tmp_path, model, pictures, kind):
    path = save_tflite(tmp_path / "net.tflite", model, pictures / 255, kind)
    classifier = load(path)
    # The range of the numbers says what the network was made for.
    assert classifier.preprocess.mode == "0-1"
    assert not classifier.preprocess.is_guess
    expected = model.predict(pictures / 255, verbose=0)
    found = predicted(classifier, pictures)
    assert np.abs(found - expected).max() < 0.05
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.8


def test_a_network_that_rescales_its_input_itself_gets_pixels(tmp_path, model, pictures):
    inputs = keras.Input((SIDE, SIDE, 3))
    whole = keras.Model(inputs, model(keras.layers.Rescaling(1 / 127.5, -1)(inputs)))
    classifier = load(save_tflite(tmp_path / "net.tflite", whole))
    assert classifier.preprocess.mode == "none"
    assert not classifier.preprocess.is_guess
    expected = whole.predict(pictures, verbose=0)
    assert np.abs(predicted(classifier, pictures) - expected).max() < 1e-4


def test_threads_do_not_disturb_each_other(tmp_path, model, pictures):
    classifier = load(save_tflite(tmp_path / "net.tflite", model), preprocess="0-1")
    network = classifier.network
    (name,) = [one.name for one in network.runtime.outputs]
    alone = [network.runtime.run([one[None]], [name])[0] for one in pictures]
    found = {}

    def run(number):
        return network.runtime.run([pictures[number][None]], [name])[0]

    def work(number):
        found[number] = [run(number) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, one in enumerate(alone):
        assert all(np.array_equal(one, other) for other in found[number])


def test_the_command_explains_tflite_files(tmp_path, run_gradcam):
    save_squares(tmp_path, 1)
    save_tflite(tmp_path / "red.tflite", red_model())
    arguments = ["photos", "--model", "red.tflite", "--preprocess", "none", "--class", "1"]
    run = run_gradcam(*arguments, "--mask", "--out", "maps", "--json")
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    (record,) = [json.loads(line) for line in run.stdout.splitlines()]
    assert record["method"] == "rise"


def refused(path):
    """Returns the one line with which a file is refused."""
    with pytest.raises(GradcamError) as caught:
        load(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_operations_of_tensorflow_itself_are_named(tmp_path):
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Lambda(lambda x: tf.image.rgb_to_hsv(x))(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, x))
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    path = tmp_path / "net.tflite"
    path.write_bytes(converter.convert())
    assert "RGBToHSV" in refused(path)


def test_broken_files_get_one_line(tmp_path, model):
    content = bytearray(save_tflite(tmp_path / "net.tflite", model).read_bytes())
    rng = random.Random(0)
    broken = tmp_path / "broken.tflite"
    messages = []
    for number in range(60):
        changed = bytearray(content)
        if number % 3:
            for _ in range(number % 7 + 1):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        else:
            changed = changed[: rng.randrange(len(changed))]
        broken.write_bytes(changed)
        try:
            load(broken)
        except GradcamError as error:
            messages.append(error.message)
    # A changed weight breaks nothing.
    assert len(messages) >= 20
    assert not any("\n" in message for message in messages)


def test_impossible_sizes_are_refused(tmp_path, model):
    path = save_tflite(tmp_path / "net.tflite", model)
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    content = bytearray(path.read_bytes())
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    graph.Tensors(graph.Inputs(0)).ShapeAsNumpy()[1] = 2**30
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="values"):
        load(path)


def test_the_missing_extra_is_named(tmp_path, model, monkeypatch):
    path = save_tflite(tmp_path / "net.tflite", model)
    # As if it weren't installed.
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert "pip install 'gradcam-cli[tflite]'" in refused(path)


def test_an_input_of_any_size_is_prepared_for_a_usual_one(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    classifier = load(save_tflite(tmp_path / "net.tflite", model), preprocess="0-1")
    assert classifier.input_shape == (None, None, 3)
    picture = np.random.default_rng(0).uniform(0, 255, (1, 40, 56, 3)).astype(np.float32)
    expected = model.predict(picture / 255, verbose=0)
    assert np.abs(predicted(classifier, picture) - expected).max() < 1e-4


def test_a_division_that_the_converter_merged_into_the_weights_is_noticed(tmp_path):
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    found = load(save_tflite(tmp_path / "pixels.tflite", model)).preprocess
    assert (found.mode, found.is_guess) == ("none", True)
    without = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *model.layers[2:]])
    for kinds in ([], [tf.float16]):
        converter = tf.lite.TFLiteConverter.from_keras_model(without)
        if kinds:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = kinds
        (tmp_path / "fractions.tflite").write_bytes(converter.convert())
        assert load(tmp_path / "fractions.tflite").preprocess.mode == "0-1"


def test_a_quantization_at_the_beginning_tells_the_range(tmp_path, model, pictures):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([one[None] / 127.5 - 1] for one in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    path = tmp_path / "net.tflite"
    path.write_bytes(converter.convert())
    # Inputs and outputs are real numbers, and the first operation quantizes them.
    assert load(path).preprocess.mode == "-1-1"
    assert not load(path).preprocess.is_guess


def test_the_family_is_known_though_normalizations_were_merged(tmp_path):
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=3)
    assert load(save_tflite(tmp_path / "net.tflite", model)).preprocess.mode == "-1-1"


def append_labels(path, names):
    """Appends names as the library of TensorFlow Lite's metadata does."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels-fr.txt", "un\ndeux\ntrois\nquatre\n")
        archive.writestr("labels.txt", "\n".join(names))


def test_names_inside_the_file_are_used(tmp_path, model):
    path = save_tflite(tmp_path / "net.tflite", model)
    append_labels(path, ["cat", "dog", "fox", "owl"])
    labels = load(path).labels
    assert [labels.name(index) for index in range(4)] == ["cat", "dog", "fox", "owl"]


def test_names_inside_the_file_that_do_not_fit_or_are_damaged_are_left_out(tmp_path, model):
    path = save_tflite(tmp_path / "net.tflite", model)
    intact = path.read_bytes()
    append_labels(path, ["cat", "dog"])
    assert load(path).labels.name(0) == "class 0"
    content = bytearray(path.read_bytes())
    content[len(intact) + 40 :] = bytes(len(content) - len(intact) - 40)
    path.write_bytes(content)
    assert load(path).labels.name(0) == "class 0"


def faces_model():
    """Makes a network like MediaPipe's: for each place a score, and offsets that need anchors."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(4, 4, strides=4)(inputs)
    boxes = keras.layers.Reshape((64, 16), name="regressors")(keras.layers.Conv2D(16, 1)(x))
    scores = keras.layers.Reshape((64, 1), name="classificators")(keras.layers.Conv2D(1, 1)(x))
    return keras.Model(inputs, [boxes, scores])


def test_scores_of_places_are_not_taken_for_classes(tmp_path):
    path = save_tflite(tmp_path / "faces.tflite", faces_model())
    with pytest.raises(UsageError, match=r"--head: .*64×16") as caught:
        load(path)
    names = caught.value.message.rpartition("--head: ")[2].split(", ")
    (head,) = (name.partition(" ")[0] for name in names if "64×1)" in name)
    with pytest.raises(GradcamError, match="64 places"):
        load(path, output=head)
