"""What a model is for, read off real saved files: the loss in them, else the final activation."""

import json
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

from gradcam_cli import explain_image
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import LabelsError, UsageError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

SIZE = 8
PICTURES = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.float32)


def build(library=keras, units=1, activation=None, outputs=("scores",)):
    keras.utils.set_random_seed(3)
    inputs = library.Input((SIZE, SIZE, 3))
    x = library.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = library.layers.GlobalAveragePooling2D()(x)
    heads = [library.layers.Dense(units, activation=activation, name=name)(x) for name in outputs]
    return library.Model(inputs, heads if len(heads) > 1 else heads[0])


@pytest.fixture
def loaded(tmp_path):
    """Saves a model to a real file and loads it as a user would."""

    def save_and_load(model, name="model.keras", **options):
        path = tmp_path / name
        model.save(path)
        options = {"preprocess": "0-1"} | options
        return load_classifier(ModelOptions(str(path), **options))

    return save_and_load


def numbers_of(classifier):
    """What the command would print for the pictures: (N, classes)."""
    return Explainer(classifier).classify(PICTURES)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values):
    powers = np.exp(values)
    return powers / powers.sum(-1, keepdims=True)


def pair(positive):
    return np.hstack([1 - positive, positive])


def itself(values):
    return values


LOGITS = {"from_logits": True}
# The loss, the number of units, and the task with what it makes of the linear outputs.
LOSSES = {
    "mse": ("mse", 1, "regression", itself),
    "mean squared error": ("mean_squared_error", 2, "regression", itself),
    "mae as a class": (("MeanAbsoluteError", {}), 1, "regression", itself),
    "huber": (("Huber", {"delta": 2.0}), 3, "regression", itself),
    "log cosh": (("LogCosh", {}), 1, "regression", itself),
    "msle": ("msle", 1, "regression", itself),
    "mape as a class": (("MeanAbsolutePercentageError", {}), 1, "regression", itself),
    "binary": (("BinaryCrossentropy", LOGITS), 1, "binary", lambda x: pair(sigmoid(x))),
    "several labels": (("BinaryCrossentropy", LOGITS), 3, "multilabel", sigmoid),
    "focal": (("BinaryFocalCrossentropy", LOGITS), 1, "binary", lambda x: pair(sigmoid(x))),
    "categorical": (("CategoricalCrossentropy", LOGITS), 3, "classification", softmax),
    "sparse": (("SparseCategoricalCrossentropy", LOGITS), 3, "classification", softmax),
    "hinge": ("hinge", 1, "binary", lambda x: pair(sigmoid(x))),
}
WRITTEN_IN_EACH_WAY = ("mse", "mae as a class", "huber", "several labels", "sparse")


@pytest.mark.parametrize(
    ("library", "ending"),
    [(keras, ".keras"), (keras, ".h5"), (tf_keras, ".keras"), (tf_keras, ".h5")],
    ids=["keras 3 .keras", "keras 3 .h5", "keras 2 .keras", "keras 2 .h5"],
)
def test_the_loss_in_a_file_decides(loaded, library, ending):
    # What a loss means doesn't depend on the file, only how it is written there.
    names = LOSSES if (library, ending) == (keras, ".keras") else WRITTEN_IN_EACH_WAY
    for name in names:
        loss, units, task, meaning = LOSSES[name]
        model = build(library, units)
        if isinstance(loss, tuple):
            loss = getattr(library.losses, loss[0])(**loss[1])
        model.compile(loss=loss, metrics=["mae"])
        classifier = loaded(model, f"{name}{ending}")
        assert classifier.task == task, name
        assert "compiled with" in classifier.task_reason, name
        assert classifier.warning == "", name
        if name in ("mse", "binary", "several labels", "categorical"):
            expected = meaning(model(PICTURES / 255).numpy())
            np.testing.assert_allclose(numbers_of(classifier), expected, atol=1e-5)


def test_a_function_as_loss(loaded):
    model = build()
    model.compile(loss=keras.losses.mean_squared_error)
    assert loaded(model).task == "regression"


@pytest.mark.parametrize("loss", ["binary_crossentropy", "sparse_categorical_crossentropy"])
def test_a_loss_of_probabilities_on_a_linear_output_is_doubted(loaded, loss):
    """Keras then takes the outputs for probabilities, which they needn't be."""
    model = build(units=1 if loss.startswith("binary") else 3)
    model.compile(loss=loss)
    classifier = loaded(model)
    assert classifier.task == ("binary" if loss.startswith("binary") else "classification")
    assert "from_logits=True" in classifier.warning
    model = build(units=1, activation="sigmoid")
    model.compile(loss="binary_crossentropy")
    assert loaded(model).warning == ""


# Units, activation and loss; the task, a word of the reason, a word of the warning.
GUESSES = {
    "softmax": (3, "softmax", None, "classification", "", ""),
    "softmax, with mse": (3, "softmax", "mse", "classification", "", ""),
    "sigmoids": (3, "sigmoid", None, "multilabel", "each class has its own sigmoid", ""),
    "sigmoid": (1, "sigmoid", None, "binary", "sigmoid", ""),
    "sigmoid, with mse": (1, "sigmoid", "mse", "regression", "mean_squared_error", ""),
    "relu": (1, "relu", None, "regression", "a guess", ""),
    "softplus": (1, "softplus", None, "regression", "a guess", ""),
    "tanh": (1, "tanh", None, "regression", "a guess", ""),
    "several linear units": (3, None, None, "classification", "a guess", "--task regression"),
    "a linear unit": (1, None, None, "regression", "a guess", "--task binary"),
    "one softmax unit": (1, "softmax", None, "binary", "softmax", "tells nothing apart"),
}


@pytest.mark.parametrize("name", GUESSES)
def test_without_a_telling_loss_the_activation_decides(loaded, name):
    units, activation, loss, task, reason, warning = GUESSES[name]
    model = build(units=units, activation=activation)
    if loss is not None:
        model.compile(loss=loss)
    classifier = loaded(model)
    assert classifier.task == task
    assert reason in classifier.task_reason
    assert bool(reason) == bool(classifier.task_reason)
    assert warning in classifier.warning
    assert bool(warning) == bool(classifier.warning)


def test_a_guessed_value_isnt_taken_for_two_classes(loaded):
    model = build()
    classifier = loaded(model)
    np.testing.assert_allclose(numbers_of(classifier), model(PICTURES / 255), atol=1e-5)
    assert len(classifier.labels) == 1
    assert classifier.labels.name(0) == "value"


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("as_dict", [True, False])
def test_each_of_several_outputs_has_its_loss(loaded, ending, as_dict):
    model = build(outputs=("age", "smiles"))
    logits = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(loss={"age": "mse", "smiles": logits} if as_dict else ["mse", logits])
    name = f"heads{ending}"
    assert loaded(model, name, output="age").task == "regression"
    assert loaded(model, name, output="smiles").task == "binary"


def test_an_unknown_loss_is_said(loaded):
    @keras.saving.register_keras_serializable("tests")
    class Mine(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred

    model = build()
    model.compile(loss=Mine())
    assert "the loss mine isn't known" in loaded(model).task_reason


TRAININGS = [
    [],
    "mse",
    {"loss": 3},
    {"loss": {"class_name": 7, "config": []}},
    {"loss": {"class_name": "function", "config": {"a": 1}}},
    {"loss": [[[["mse", {}], 1]], []]},
    {"loss": []},
    {"loss": {}},
    {"loss": "x" * 100_000},
    {"loss": {"class_name": "MeanSquaredError", "config": "no map"}},
]


@pytest.mark.parametrize("training", TRAININGS, ids=range(len(TRAININGS)))
def test_strange_training_configurations_do_no_harm(tmp_path, training):
    """They come from files of strangers, and nothing in them is deserialized."""
    whole, odd = tmp_path / "whole.keras", tmp_path / "odd.keras"
    build().save(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(odd, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                content = json.dumps(json.loads(content) | {"compile_config": training})
            copy.writestr(name, content)
    classifier = load_classifier(ModelOptions(str(odd), preprocess="0-1"))
    assert classifier.task == "regression"
    assert len(classifier.task_reason) < 200


@pytest.mark.parametrize("content", ["{", "[" * 5000, b"\xff\xfe", 5])
def test_a_damaged_training_configuration_does_no_harm(tmp_path, content):
    path = tmp_path / "model.h5"
    build(units=3, activation="softmax").save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["training_config"] = content
    assert load_classifier(ModelOptions(str(path), preprocess="0-1")).task == "classification"


def test_the_task_can_be_chosen(loaded):
    one = build()
    outputs = one(PICTURES / 255).numpy()
    as_binary = loaded(one, task="binary")
    assert len(as_binary.labels) == 2
    np.testing.assert_allclose(numbers_of(as_binary), pair(sigmoid(outputs)), atol=1e-5)
    assert as_binary.warning == ""
    # Two classes are a classification too.
    assert loaded(one, task="classification").task == "binary"
    np.testing.assert_allclose(numbers_of(loaded(one, task="regression")), outputs, atol=1e-5)
    three = build(units=3)
    outputs = three(PICTURES / 255).numpy()
    for task, meaning in {
        "multilabel": sigmoid,
        "classification": softmax,
        "regression": itself,
    }.items():
        found = numbers_of(loaded(three, task=task))
        np.testing.assert_allclose(found, meaning(outputs), atol=1e-5)


REFUSED = [
    (3, None, "binary", "the model has 3; choose --task classification"),
    (1, None, "multilabel", "the model has one; choose --task binary"),
    (3, "softmax", "multilabel", "softmax"),
    (3, "softmax", "regression", "its outputs are probabilities"),
    (3, "softmax", "segmentation", "rows and columns"),
]


@pytest.mark.parametrize(("units", "activation", "task", "message"), REFUSED)
def test_a_task_that_cant_be_is_refused(loaded, units, activation, task, message):
    with pytest.raises(UsageError, match=rf"--task {task}: .*{message}"):
        loaded(build(units=units, activation=activation), task=task)


def test_named_models_are_classifiers():
    with pytest.raises(UsageError, match=r"--task regression: efficientnet.* your own models"):
        load_classifier(ModelOptions("efficientnet-lite0", task="regression"))


def test_two_names_for_one_value_name_the_way_on(loaded, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    with pytest.raises(LabelsError, match=r"2 names, but the model has 1 output.*--task binary"):
        loaded(build(), labels=labels)
    assert loaded(build(), labels=labels, task="binary").labels.name(1) == "dog"


def test_names_settle_what_several_linear_outputs_are(loaded, tmp_path):
    labels = tmp_path / "names.txt"
    labels.write_text("ant\nbee\ncat\n")
    model = build(units=3)
    assert loaded(model, labels=labels).warning == ""
    assert "a guess" in loaded(model, labels=labels).task_reason
    picture = Image.new("RGB", (SIZE, SIZE))
    names = ["ant", "bee", "cat"]
    with warnings.catch_warnings(record=True) as given:
        assert explain_image(picture, model=model, labels=names).target.name in names
    assert not [warning for warning in given if "guess" in str(warning.message)]
    with pytest.raises(LabelsError, match=r"2 labels, but functional.* has 1 output; .*binary"):
        explain_image(picture, model=build(), labels=["cat", "dog"])


def test_a_saved_model_has_no_loss(tmp_path):
    path = tmp_path / "exported"
    model = build(activation="softplus")
    model.compile(loss="mse")
    model.export(path)
    classifier = load_classifier(ModelOptions(str(path), preprocess="0-1"))
    assert classifier.task == "regression"
    expected = model(tf.constant(PICTURES / 255)).numpy()
    np.testing.assert_allclose(numbers_of(classifier), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("units", "last", "method"),
    [
        (1, "sigmoid", "gradcam"),
        # Its score is a probability.
        (1, "sigmoid", "reciprocam"),
        (3, "sigmoid", "reciprocam"),
        (3, "softmax", "reciprocam"),
        (3, "softmax", "shapleycam"),
    ],
)
def test_logits_are_explained_like_the_probabilities_that_they_mean(loaded, units, last, method):
    linear, complete = build(units=units), build(units=units, activation=last)
    complete.set_weights(linear.get_weights())
    kind = "BinaryCrossentropy" if last == "sigmoid" else "CategoricalCrossentropy"
    for model, from_logits in (linear, True), (complete, False):
        model.compile(loss=getattr(keras.losses, kind)(from_logits=from_logits))
    found, expected = (
        Explainer(loaded(model, f"{model.name}.keras"), None, method).explain(
            PICTURES, np.array([[0, 1]] * 2)
        )
        for model in (linear, complete)
    )
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.maps, expected.maps, atol=1e-3)
    assert found.maps.any()
