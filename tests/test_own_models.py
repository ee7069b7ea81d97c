"""Users' own models, of every shape, as real saved files."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import (
    GradcamError,
    ModelFileError,
    UnknownLayerError,
    UnsafeModelError,
    UnsupportedModelError,
    UsageError,
)
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.models.preprocessing import family_preprocessing
from gradcam_cli.networks.keras_network import KerasNetwork

CLASSES = 3
SIZE = 16
L = keras.layers


def body(x, layers=L, prefix=""):
    """Two convolutions with a pooling between them, by Keras 3 or Keras 2."""
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"{prefix}conv1")(x)
    x = layers.MaxPooling2D(name=f"{prefix}pool")(x)
    return layers.Conv2D(5, 3, padding="same", activation="relu", name=f"{prefix}conv2")(x)


def head(x, layers=L, activation="softmax", units=CLASSES):
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return layers.Dense(units, activation=activation, name="scores")(x)


def functional(activation="softmax", channels=3, units=CLASSES):
    inputs = keras.Input((SIZE, SIZE, channels), name="picture")
    return keras.Model(inputs, head(body(inputs), activation=activation, units=units))


def sequential(with_input=True):
    layers = [
        *([keras.Input((SIZE, SIZE, 3))] if with_input else []),
        L.Conv2D(4, 3, padding="same", activation="relu", name="conv1"),
        L.MaxPooling2D(name="pool"),
        L.Conv2D(5, 3, padding="same", activation="relu", name="conv2"),
        L.GlobalAveragePooling2D(name="gap"),
        L.Dense(CLASSES, activation="softmax", name="scores"),
    ]
    model = keras.Sequential(layers)
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    return model


def nested(levels=1):
    """A backbone inside a model, ``levels`` deep, as transfer learning makes it."""
    inner = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inner, body(inner), name="backbone")
    for level in range(1, levels):
        outer = keras.Input((SIZE, SIZE, 3))
        model = keras.Model(outer, model(outer), name=f"level{level}")
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.Rescaling(1 / 255.0)(inputs)
    return keras.Model(inputs, head(model(x)), name="transfer")


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture
def saved(tmp_path):
    """Saves a model to a real file and loads it as a user would."""

    def save_and_load(model, name="model.keras", **options):
        path = tmp_path / name
        model.save(path)
        return load_classifier(ModelOptions(str(path), **options))

    return save_and_load


def grad_cam_by_hand(activations, kernel, target):
    """Grad-CAM of global average pooling and one Dense: the gradient is known.

    The score of class c is the mean over places of A times the kernel's column c, so each
    weight is that column's entry divided by the number of places.
    """
    places = activations.shape[1] * activations.shape[2]
    maps = np.maximum((activations * kernel[:, target] / places).sum(-1), 0)
    return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)


def check_against_hand(classifier, model, pictures, inputs, layer="conv2", targets=range(CLASSES)):
    """Compares the maps of every class with those worked out from the model's own numbers."""
    activations = keras.Model(model.inputs, model.get_layer(layer).output)(
        inputs, training=False
    ).numpy()
    kernel = model.get_layer("scores").kernel.numpy()
    explainer = Explainer(classifier, layer)
    for target in targets:
        explanation = explainer.explain(pictures, np.full((len(pictures), 1), target))
        expected = grad_cam_by_hand(activations, kernel, target)
        np.testing.assert_allclose(explanation.maps[:, 0], expected, atol=1e-4)
    return explainer


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("model.keras", "softmax"),
        ("model.keras", "sigmoid"),
        ("model.keras", None),
        ("model.h5", "softmax"),
    ],
)
def test_the_score_is_the_logit(saved, pictures, name, activation):
    keras.utils.set_random_seed(1)
    model = functional(activation)
    classifier = saved(model, name, preprocess="0-1")
    check_against_hand(classifier, model, pictures, pictures / 255)
    probabilities = Explainer(classifier).explain(pictures, [[0], [0]]).probabilities
    outputs = model(pictures / 255).numpy()
    expected = outputs if activation else keras.ops.softmax(outputs)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("last", [L.Softmax, lambda: L.Activation("sigmoid")])
def test_a_final_activation_can_be_a_layer(saved, pictures, last):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, last()(head(body(inputs), activation=None)))
    check_against_hand(saved(model, preprocess="0-1"), model, pictures, pictures / 255)


@pytest.mark.parametrize("with_input", [True, False])
def test_a_sequential_model_works(saved, pictures, with_input):
    keras.utils.set_random_seed(3)
    model = sequential(with_input)
    classifier = saved(model, preprocess="0-1")
    explainer = Explainer(classifier)
    assert explainer.layer == "conv2"
    activations = pictures / 255
    for layer in model.layers[:-2]:
        activations = layer(activations)
    expected = grad_cam_by_hand(activations.numpy(), model.get_layer("scores").kernel.numpy(), 1)
    found = explainer.explain(pictures, [[1], [1]]).maps[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


SUBCLASSED = """
import keras

@keras.saving.register_keras_serializable("tests")
class Block(keras.layers.Layer):
    def __init__(self, filters, **options):
        super().__init__(**options)
        self.filters = filters
        self.conv = keras.layers.Conv2D(filters, 3, padding="same", name="conv")
        self.shortcut = keras.layers.Conv2D(filters, 1, name="shortcut")

    def build(self, shape):
        self.conv.build(shape)
        self.shortcut.build(shape)

    def call(self, x):
        return keras.ops.relu(self.conv(x) + self.shortcut(x))

    def get_config(self):
        return super().get_config() | {"filters": self.filters}


@keras.saving.register_keras_serializable("tests")
class Net(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.blocks = [Block(4, name="block1"), Block(5, name="block2")]
        self.scores = keras.layers.Dense(3, name="scores")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return keras.ops.softmax(self.scores(keras.ops.mean(x, axis=(1, 2))))
"""


def test_a_subclassed_model_works_with_its_code(tmp_path, pictures):
    code = tmp_path / "net.py"
    code.write_text(SUBCLASSED)
    namespace = {"__name__": "net"}
    exec(compile(SUBCLASSED, "net", "exec"), namespace)
    model = namespace["Net"]()
    model(pictures)
    path = tmp_path / "net.keras"
    model.save(path)
    # The class is registered in this process; another one doesn't know it. Others stay.
    registered = keras.saving.get_custom_objects()
    for name in [name for name, value in registered.items() if value is namespace["Net"]]:
        del registered[name]
    with pytest.raises(UnsafeModelError, match=r"Net.*--custom-objects FILE --unsafe"):
        load_classifier(ModelOptions(str(path)))
    with pytest.raises(UsageError, match="--unsafe"):
        load_classifier(ModelOptions(str(path), custom_objects=code))
    classifier = load_classifier(
        ModelOptions(str(path), custom_objects=code, unsafe=True, preprocess="none")
    )
    explainer = Explainer(classifier)
    assert explainer.layer == "block2"
    x = model.blocks[1](model.blocks[0](pictures)).numpy()
    expected = grad_cam_by_hand(x, model.scores.kernel.numpy(), 2)
    found = explainer.explain(pictures, [[2], [2]]).maps[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("levels", [1, 2])
def test_a_nested_backbone_works(saved, pictures, levels):
    keras.utils.set_random_seed(4)
    model = nested(levels)
    classifier = saved(model)
    assert classifier.preprocess.mode == "none"
    backbone = model.layers[2]
    activations = backbone(pictures / 255).numpy()
    expected = grad_cam_by_hand(activations, model.get_layer("scores").kernel.numpy(), 0)
    whole_path = "/".join([*(f"level{level}" for level in range(levels - 1, 0, -1)), "backbone"])
    for layer in (None, "conv2" if levels == 1 else f"{whole_path}/conv2"):
        explainer = Explainer(classifier, layer)
        assert explainer.layer == f"{whole_path}/conv2"
        found = explainer.explain(pictures, [[0], [0]]).maps[:, 0]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_name_in_two_backbones_must_be_told_apart(saved):
    inputs = keras.Input((SIZE, SIZE, 3))
    inner = keras.Input((SIZE, SIZE, 3))
    left = keras.Model(inner, body(inner), name="left")
    inner = keras.Input((SIZE, SIZE, 3))
    right = keras.Model(inner, body(inner), name="right")
    classifier = saved(keras.Model(inputs, head(L.Add()([left(inputs), right(inputs)]))))
    with pytest.raises(UnknownLayerError, match="left/conv1, right/conv1"):
        Explainer(classifier, "conv1")
    assert Explainer(classifier, "right/conv1").layer == "right/conv1"


def test_a_layer_that_is_used_twice_means_its_last_use(saved, pictures):
    keras.utils.set_random_seed(5)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.Conv2D(5, 1, activation="relu", name="first")(inputs)
    shared = L.Conv2D(5, 3, padding="same", activation="relu", name="shared")
    once = keras.Model(inputs, shared(x))
    model = keras.Model(inputs, head(shared(shared(x))))
    classifier = saved(model, preprocess="none")
    expected = grad_cam_by_hand(
        shared(once(pictures)).numpy(), model.get_layer("scores").kernel.numpy(), 1
    )
    found = Explainer(classifier, "shared").explain(pictures, [[1], [1]]).maps[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_one_sigmoid_unit_is_two_classes(saved, pictures):
    keras.utils.set_random_seed(6)
    model = functional("sigmoid", units=1)
    classifier = saved(model, preprocess="0-1")
    assert len(classifier.labels) == 2
    activations = keras.Model(model.inputs, model.get_layer("conv2").output)(pictures / 255)
    kernel = model.get_layer("scores").kernel.numpy()
    explanation = Explainer(classifier).explain(pictures, [[0, 1], [0, 1]])
    positive = model(pictures / 255).numpy()
    np.testing.assert_allclose(
        explanation.probabilities, np.hstack([1 - positive, positive]), atol=1e-5
    )
    # The map of the negative class comes from the negated logit.
    both = np.hstack([-kernel, kernel])
    for side in (0, 1):
        expected = grad_cam_by_hand(activations.numpy(), both, side)
        np.testing.assert_allclose(explanation.maps[:, side], expected, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_four_channels(saved, channels):
    keras.utils.set_random_seed(7)
    model = functional(channels=channels)
    classifier = saved(model, preprocess="0-1")
    pictures = np.random.default_rng(1).random((2, SIZE, SIZE, channels), np.float32) * 255
    check_against_hand(classifier, model, pictures, pictures / 255)


@pytest.mark.parametrize("channels", [2, 13])
def test_bands_are_taken_as_they_are(saved, channels):
    model = functional(channels=channels)
    classifier = saved(model)
    bands = np.random.default_rng(1).normal(size=(2, SIZE, SIZE, channels)).astype(np.float32)
    check_against_hand(classifier, model, bands, bands)


@pytest.mark.parametrize("as_dict", [True, False])
def test_one_of_several_outputs_is_named(saved, pictures, as_dict):
    keras.utils.set_random_seed(8)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = body(inputs)
    scores = head(x)
    other = L.Dense(7, name="other")(L.Flatten()(x))
    outputs = {"kind": scores, "place": other} if as_dict else [scores, other]
    names = ("kind", "place") if as_dict else ("scores", "other")
    model = keras.Model(inputs, outputs)
    with pytest.raises(UsageError, match=f"{names[0]}, {names[1]}"):
        saved(model)
    with pytest.raises(UsageError, match="no such output"):
        saved(model, output="nothing")
    classifier = saved(model, output=names[0], preprocess="0-1")
    check_against_hand(classifier, model, pictures, pictures / 255)
    assert len(saved(model, output=names[1]).labels) == 7


def test_what_is_no_classifier_is_refused(saved):
    inputs = keras.Input((SIZE, SIZE, 3))
    with pytest.raises(UnsupportedModelError, match="returns feature maps or pixels"):
        saved(keras.Model(inputs, body(inputs)))


def test_a_model_of_any_size_takes_the_size_that_is_said(saved):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, head(body(inputs)))
    assert saved(model).input_size == (224, 224)
    classifier = saved(model, size=(48, 64))
    assert classifier.any_size
    assert classifier.input_size == (48, 64)
    explanation = Explainer(classifier).explain(np.zeros((1, 48, 64, 3), np.float32), [[0]])
    assert explanation.maps.shape == (1, 1, 24, 32)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_gives_numbers(saved, pictures, policy):
    keras.utils.set_random_seed(10)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = functional()
    finally:
        keras.config.set_dtype_policy(previous)
    classifier = saved(model, preprocess="0-1")
    explanation = Explainer(classifier).explain(pictures, [[0, 1, 2]] * 2)
    assert np.isfinite(explanation.maps).all()
    assert np.isfinite(explanation.probabilities).all()
    full = functional()
    full.set_weights(model.get_weights())
    precise = Explainer(saved(full, "full.keras", preprocess="0-1")).explain(
        pictures, [[0, 1, 2]] * 2
    )
    np.testing.assert_allclose(explanation.maps, precise.maps, atol=0.05)


def test_augmentation_does_nothing_and_rescaling_is_seen(saved, pictures):
    keras.utils.set_random_seed(11)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.RandomFlip()(L.RandomRotation(0.5)(inputs))
    x = L.RandomZoom(0.5)(L.RandomContrast(0.9)(x))
    x = L.Rescaling(1 / 127.5, offset=-1)(x)
    model = keras.Model(inputs, head(body(x)))
    classifier = saved(model)
    assert classifier.preprocess.mode == "none"
    assert "itself" in classifier.preprocess.reason
    check_against_hand(classifier, model, pictures, pictures)


@pytest.mark.parametrize(
    ("builder", "mode"),
    [
        ("VGG16", "caffe"),
        ("ResNet50", "caffe"),
        ("ResNet50V2", "-1-1"),
        ("DenseNet121", "torch"),
        ("MobileNet", "-1-1"),
        ("MobileNetV2", "-1-1"),
        ("MobileNetV3Small", "none"),
        ("EfficientNetB0", "none"),
        ("Xception", "-1-1"),
        ("InceptionV3", "-1-1"),
        ("NASNetMobile", "-1-1"),
        ("ConvNeXtTiny", "none"),
    ],
)
def test_preprocessing_is_read_off_a_backbone(builder, mode):
    backbone = getattr(keras.applications, builder)(
        weights=None, include_top=False, input_shape=(96, 96, 3)
    )
    # No other layer looks like one of another family.
    of_names = family_preprocessing({layer.name for layer in backbone.layers})
    assert ("none" if of_names is None else of_names.mode) == mode
    # What happens to the input and what tells the family is at its beginning.
    last = backbone.layers[min(60, len(backbone.layers) - 1)]
    beginning = keras.Model(backbone.inputs, last.output)
    inputs = keras.Input((96, 96, 3))
    model = keras.Model(inputs, head(beginning(inputs)))
    classifier = inspect_network("model", KerasNetwork(model), None, None, None)
    assert classifier.preprocess.mode == mode


def test_preprocessing_inside_the_graph_is_seen(saved):
    inputs = keras.Input((SIZE, SIZE, 3))
    by_operations = keras.Model(inputs, head(body(inputs / 127.5 - 1)))
    assert saved(by_operations).preprocess.mode == "none"
    normalization = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])
    assert saved(keras.Model(inputs, head(body(normalization(inputs))))).preprocess.mode == "none"
    plain = saved(functional())
    assert plain.preprocess.mode == "0-1"
    assert "guess" in plain.preprocess.reason


def test_preprocessing_can_be_said(saved, pictures):
    classifier = saved(functional(), preprocess="vgg16")
    expected = keras.applications.vgg16.preprocess_input(pictures.copy())
    np.testing.assert_allclose(classifier.preprocess(tf.constant(pictures)), expected, rtol=1e-5)
    with pytest.raises(UsageError, match="neither one of none, 0-1, -1-1, caffe, torch"):
        saved(functional(), preprocess="mystery")
    with pytest.raises(UsageError, match="needs RGB"):
        saved(functional(channels=1), preprocess="caffe")


def keras2_model(layers=tf_keras.layers):
    """What many published files hold: layers that Keras 3 reads no more."""
    inputs = tf_keras.Input((SIZE, SIZE, 3), name="picture")
    x = tf_keras.applications.mobilenet_v2.preprocess_input(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = layers.BatchNormalization(name="bn")(x)
    return tf_keras.Model(inputs, head(body(x, layers), layers))


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_files_of_keras_2(saved, pictures, name):
    tf_keras.utils.set_random_seed(12)
    model = keras2_model()
    classifier = saved(model, name)
    assert classifier.preprocess.mode == "none"
    explainer = Explainer(classifier)
    assert explainer.layer == "conv2"
    activations = tf_keras.Model(model.inputs, model.get_layer("conv2").output)(pictures).numpy()
    expected = grad_cam_by_hand(activations, model.get_layer("scores").kernel.numpy(), 1)
    found = explainer.explain(pictures, [[1], [1]]).maps[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("which", ["keras 3 export", "keras 2 save", "keras 2 export"])
def test_a_saved_model_has_the_maps_of_its_model(tmp_path, pictures, which):
    tf_keras.utils.set_random_seed(13)
    folder = tmp_path / "exported"
    if which == "keras 3 export":
        model = nested(2)
        model.export(folder)
        activations = model.layers[2](pictures / 255).numpy()
    else:
        model = keras2_model()
        if which == "keras 2 save":
            model.save(folder, save_format="tf")
        else:
            model.export(str(folder))
        inner = tf_keras.Model(model.inputs, model.get_layer("conv2").output)
        activations = inner(pictures).numpy()
    classifier = load_classifier(ModelOptions(str(folder)))
    assert classifier.preprocess.mode == "none"
    expected = grad_cam_by_hand(activations, model.get_layer("scores").kernel.numpy(), 1)
    explainer = Explainer(classifier)
    assert explainer.layer.endswith("conv2")
    explanation = explainer.explain(pictures, [[1], [1]])
    np.testing.assert_allclose(explanation.maps[:, 0], expected, atol=1e-4)
    np.testing.assert_allclose(explanation.probabilities, model(pictures).numpy(), atol=1e-5)
    named = Explainer(classifier, "conv1").explain(pictures, [[1], [1]])
    assert named.maps.shape == (2, 1, SIZE, SIZE)


def test_a_saved_model_that_keeps_a_state_is_refused_with_a_way_on(tmp_path):
    # As the flowers tutorial of TensorFlow has it.
    layers = [keras.Input((16, 16, 3)), L.RandomFlip("horizontal"), L.Conv2D(2, 3), L.Flatten()]
    keras.Sequential([*layers, L.Dense(2)]).export(tmp_path / "flowers")
    with pytest.raises(UnsupportedModelError, match=r"flowers: .*RandomFlip.* as a \.keras file"):
        load_classifier(ModelOptions(str(tmp_path / "flowers")))


def test_a_saved_model_that_reaches_files_is_refused(tmp_path):
    class Spy(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(tf.ones((3, 3, 3, 2)))

        @tf.function(input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32)])
        def __call__(self, x):
            stolen = tf.strings.length(tf.io.read_file("/etc/hostname"))
            x = tf.nn.conv2d(x, self.kernel, 1, "SAME") + tf.cast(stolen, tf.float32)
            return {"scores": tf.nn.softmax(tf.reduce_mean(x, (1, 2)))}

    spy = Spy()
    tf.saved_model.save(spy, tmp_path / "spy", signatures={"serving_default": spy.__call__})
    with pytest.raises(UnsafeModelError, match="ReadFile"):
        load_classifier(ModelOptions(str(tmp_path / "spy")))
    assert len(load_classifier(ModelOptions(str(tmp_path / "spy"), unsafe=True)).labels) == 2


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("library", [keras, tf_keras])
def test_a_lambda_layer_is_refused_unless_it_is_trusted(saved, tmp_path, library, name):
    inputs = library.Input((SIZE, SIZE, 3))
    marker = tmp_path / "ran"
    x = library.layers.Lambda(lambda x: x / 255.0, output_shape=(SIZE, SIZE, 3))(inputs)
    model = library.Model(inputs, head(body(x, library.layers), library.layers))
    with pytest.raises(UnsafeModelError, match=r"Lambda layer.*--unsafe"):
        saved(model, name)
    assert not marker.exists()
    assert saved(model, name, unsafe=True).preprocess.mode == "none"


def test_what_is_no_model_gets_one_clear_line(tmp_path):
    model = functional()
    model.save_weights(tmp_path / "only.weights.h5")
    model.save(tmp_path / "whole.keras")
    model.save(tmp_path / "whole.h5")
    (tmp_path / "text.keras").write_text("not a model")
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "model.json").write_text(model.to_json())
    (tmp_path / "folder").mkdir()
    for name in ("whole.keras", "whole.h5"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / f"cut-{name}").write_bytes(content[: len(content) // 2])
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    expected = {
        "only.weights.h5": "weights without an architecture.*--weights",
        "text.keras": "not a Keras model",
        "empty.h5": "not a Keras model",
        "model.json": "architecture without weights",
        "folder": "neither a SavedModel",
        "cut-whole.keras": "not a Keras model",
        "cut-whole.h5": "damaged, or not a Keras model|not a Keras model",
        "other.keras": "damaged, or not a Keras model",
    }
    for name, message in expected.items():
        with pytest.raises(ModelFileError, match=message) as caught:
            load_classifier(ModelOptions(str(tmp_path / name)))
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("version", "told"), [("3.99.0", r"; Keras 3\.99 wrote it and .* keras$"), ("3.0.0", r"\)$")]
)
def test_a_newer_keras_is_named_when_it_wrote_what_cannot_be_read(tmp_path, version, told):
    path = tmp_path / "model.keras"
    functional().save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(
        b'"filters"', b'"novelty": 1, "filters"'
    )
    members["metadata.json"] = json.dumps({"keras_version": version}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFileError, match=told):
        load_classifier(ModelOptions(str(path)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("names.txt", "cat\ndog\n\nfox\n"),
        ("names.json", '["cat", "dog", "fox"]'),
        ("names.json", '{"0": "cat", "1": "dog", "2": "fox"}'),
        ("names.json", '{"fox": 2, "cat": 0, "dog": 1}'),
        ("names.json", '{"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "fox"]}'),
        ("names.csv", "cat\ndog\nfox\n"),
        ("names.csv", "index,name\n1,dog\n0,cat\n2,fox\n"),
        ("names.csv", "name,index\ndog,1\ncat,0\nfox,2\n"),
    ],
)
def test_labels_in_every_form(saved, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    labels = saved(functional(), labels=path).labels
    assert [labels.name(index) for index in range(CLASSES)] == ["cat", "dog", "fox"]
    assert labels.find("Fox") == 2


def test_labels_that_do_not_fit_are_refused(saved, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("cat\ndog\n")
    with pytest.raises(UsageError, match="2 names, but the model has 3 classes"):
        saved(functional(), labels=path)
    broken = tmp_path / "broken.json"
    broken.write_text('{"cat": 0, "dog": 5, "fox": 2}')
    with pytest.raises(UsageError, match="not a list of class names"):
        saved(functional(), labels=broken)
    with pytest.raises(UsageError, match=r"--labels .*missing\.txt: there is no such file"):
        saved(functional(), labels=tmp_path / "missing.txt")
    assert saved(functional()).labels.name(2) == "class 2"


def test_weights_do_not_go_with_a_file(saved, tmp_path):
    (tmp_path / "x.h5").touch()
    with pytest.raises(GradcamError, match=r"--weights needs a model's name"):
        saved(functional(), weights=tmp_path / "x.h5")
