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
    "nasnetlarge",
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


def build(name):
    # Weights that are never drawn make building twice as fast.
    with keras.StatelessScope(initialize_variables=False):
        return load_architecture(ModelOptions(name)).network.model


@pytest.fixture(scope="session")
def facts():
    """What is to be known of every model; each is freed before the next is built."""
    found = {}
    for name in CATALOGUE:
        model = build(name)
        found[name] = Facts(
            model.count_params(),
            model.input_shape,
            model.output_shape,
            frozenset(layer.name for layer in model.layers),
        )
        del model
        keras.backend.clear_session()
        gc.collect()
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
def test_is_the_network_that_the_pretrained_weights_belong_to(name):
    entry = CATALOGUE[name]
    keras.backend.clear_session()
    with keras.StatelessScope(initialize_variables=False):
        native = keras_builder(entry)(weights=None)
        keras.backend.clear_session()  # Layers without a name of their own are numbered.
        ours = load_architecture(ModelOptions(name)).network.model
    assert [w.shape for w in ours.weights] == [w.shape for w in native.weights]
    # At the size that it is shown it must also pad as one that was built for that size.
    size, _ = choose_input_size((entry.input_size,) * 2, entry.any_size, "squash")
    with keras.StatelessScope(initialize_variables=False):
        fixed = keras_builder(entry)(weights=None, input_tensor=keras.Input((size, size, 3)))
    last = [layer for layer in fixed.layers if len(layer.output.shape) == 4][-1].name
    keras.backend.clear_session()
    part = keras.Model(ours.inputs, ours.layers[fixed.layers.index(fixed.get_layer(last))].output)
    expected = fixed.get_layer(last).output.shape
    assert part.compute_output_shape((None, size, size, 3)) == tuple(expected)
    del native, ours, part, fixed
    keras.backend.clear_session()
    gc.collect()


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
