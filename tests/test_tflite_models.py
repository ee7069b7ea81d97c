"""TensorFlow Lite files: what they take, what they return, and files that can't be used."""

import json
import random
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from red_squares import red_model, save_squares

from gradcam_cli.errors import GradcamError, ModelFileError
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
