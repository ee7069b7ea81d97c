"""Every model of the catalogue is built here, once."""

import gc
import inspect
import re
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.errors import UnknownLayerError, UnknownModelError
from gradcam_cli.models.catalogue import (
    CATALOGUE,
    DEFAULT_MODEL,
    MODELS_BY_LAYER,
    find_model,
    model_for_layer,
)
from gradcam_cli.models.loading import load_architecture
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.models.preprocessing import Preprocessing
from gradcam_cli.pictures.fitting import choose_input_size

KERAS_MODELS = {name: model for name, model in CATALOGUE.items() if model.package is None}
# One model of each builder's code, and those whose code looks at the size of its input.
NATIVE = (
    "nasnetmobile",
    "mobilenet",
    "mobilenetv2",
    "mobilenetv3small",
    "efficientnetb1",
    "efficientnetb3",
    "efficientnetv2b0",
    "densenet121",
    "inceptionv3",
    "xception",
    "resnet50v2",
    "convnexttiny",
)


@dataclass(frozen=True)
class Facts:
    parameters: int
    input_shape: tuple
    output_shape: tuple
    layers: frozenset
    # Of a model in NATIVE.
    weights: list | None
    last_map: tuple | None


def build(name):
    # Weights that are never drawn make building twice as fast.
    with keras.StatelessScope(initialize_variables=False):
        return load_architecture(ModelOptions(name)).network.model


def shown_shape(entry):
    width, height = choose_input_size((entry.input_size,) * 2, entry.any_size, "squash")
    return (height, width, 3)


def weight_shapes(model):
    return [tuple(weight.shape) for weight in model.weights]


def last_map(model):
    """Finds the last layer with feature maps: its place among the layers, and its output."""
    maps = [
        (place, layer.output)
        for place, layer in enumerate(model.layers)
        if len(layer.output.shape) == 4 and layer.output.shape[1] != 1
    ]
    return maps[-1]


@pytest.fixture(scope="module")
def facts():
    """What is to be known of every model; each is freed before the next is built."""
    found = {}
    # Keras collects garbage whenever a session is cleared, and would go through all of TensorFlow.
    gc.freeze()
    for name, entry in CATALOGUE.items():
        model = build(name)
        weights = shown = None
        if name in NATIVE:
            weights = weight_shapes(model)
            place, output = last_map(model)
            part = keras.Model(model.inputs, output)
            shown = (place, part.compute_output_shape((None, *shown_shape(entry))))
        found[name] = Facts(
            model.count_params(),
            model.input_shape,
            model.output_shape,
            frozenset(layer.name for layer in model.layers),
            weights,
            shown,
        )
        model = part = None
        keras.backend.clear_session()
    gc.unfreeze()
    return found


def keras_builder(entry):
    return getattr(keras.applications, entry.builder.removeprefix("keras.applications:"))


def exported_builders():
    return {
        name
        for name, builder in vars(keras.applications).items()
        if inspect.isfunction(builder) and "classes" in inspect.signature(builder).parameters
    }


def test_covers_every_builder_that_keras_exports():
    builders = exported_builders()
    assert {"VGG19", "ResNet50", "ConvNeXtTiny"} <= builders
    assert {model.builder for model in KERAS_MODELS.values()} == {
        f"keras.applications:{name}" for name in builders
    }


def test_each_model_goes_by_one_name():
    assert DEFAULT_MODEL in CATALOGUE
    for name, model in CATALOGUE.items():
        assert model.name == name
        assert find_model(name) is model
        assert find_model(name.upper().replace("-", "_")) is model
    assert find_model("ResNet50").name == "resnet50"
    assert find_model("EfficientNetLite0").name == "efficientnet-lite0"


def test_a_wrong_name_gets_close_ones():
    with pytest.raises(UnknownModelError, match="resnet50"):
        find_model("resnet5O")
    with pytest.raises(UnknownModelError, match="gradcam models"):
        find_model("")


@pytest.mark.parametrize("name", KERAS_MODELS)
def test_input_size_is_the_one_of_the_pretrained_weights(name):
    builder = keras_builder(KERAS_MODELS[name])
    if name.startswith("mobilenetv3"):
        # Keras lets them take any size; their published files are called "..._224_...".
        height = width = 224
    else:
        # Keras says which shape the weights want before it would download them.
        with pytest.raises(ValueError, match="input_shape") as error:
            builder(weights="imagenet", input_shape=(40, 40, 3))
        height, width = re.search(r"should be \((\d+), (\d+), 3\)", str(error.value)).groups()
    assert (int(height), int(width)) == (KERAS_MODELS[name].input_size,) * 2


@pytest.mark.parametrize("name", KERAS_MODELS)
def test_preprocessing_is_that_of_the_models_own_module(name):
    builder = keras_builder(KERAS_MODELS[name])
    own = inspect.getmodule(builder).preprocess_input
    inputs = np.random.default_rng(2).uniform(0, 255, (2, 9, 11, 3)).astype(np.float32)
    expected = np.asarray(own(inputs.copy(), data_format="channels_last"))
    preprocess = Preprocessing(KERAS_MODELS[name].preprocessing, "")
    np.testing.assert_allclose(preprocess(tf.constant(inputs)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CATALOGUE)
def test_builds_a_classifier_as_the_catalogue_says(facts, name):
    entry = CATALOGUE[name]
    assert facts[name].output_shape == (None, 1000)
    side = None if entry.any_size else entry.input_size
    assert facts[name].input_shape == (None, side, side, 3)
    assert facts[name].parameters == entry.parameters


@pytest.mark.parametrize("name", NATIVE)
def test_is_the_network_that_the_pretrained_weights_belong_to(facts, name):
    entry = CATALOGUE[name]
    inputs = keras.Input(shown_shape(entry))
    with keras.StatelessScope(initialize_variables=False):
        native = keras_builder(entry)(weights=None, input_tensor=inputs)
    assert facts[name].weights == weight_shapes(native)
    # At the size that it is shown it must also pad as one that was built for that size.
    place, output = last_map(native)
    assert facts[name].last_map == (place, tuple(output.shape))


@pytest.mark.parametrize("layer", MODELS_BY_LAYER)
def test_the_table_of_layers_names_exactly_the_models_that_have_it(facts, layer):
    having = {name for name, known in facts.items() if layer in known.layers}
    assert set(MODELS_BY_LAYER[layer]) == having


def test_a_layer_of_one_model_alone_chooses_that_model():
    assert model_for_layer("block5_conv4") == "vgg19"
    assert model_for_layer("mixed10") == "inceptionv3"
    assert model_for_layer("top_activation") == DEFAULT_MODEL
    assert model_for_layer("-3") == DEFAULT_MODEL
    assert model_for_layer("no_such_layer") == DEFAULT_MODEL


def test_a_layer_of_several_models_asks_which():
    with pytest.raises(UnknownLayerError, match=r"vgg16, vgg19.*--model"):
        model_for_layer("block5_conv3")


def test_names_in_the_table_are_not_the_default_models_own(facts):
    assert not facts[DEFAULT_MODEL].layers & set(MODELS_BY_LAYER)
