import keras
import numpy as np
import pytest
from attention_networks import OTHER_METHODS

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.table import DEFAULT_METHOD
from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.networks.folding import fold
from gradcam_cli.networks.keras_network import KerasNetwork

FEW_RUNS = {"rise": {"samples": 200}, "sobol": {"samples": 4}}


@pytest.fixture(scope="module")
def depthwise(classify):
    """Has what folding merges, with normalization that does something."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((24, 32, 3)),
            keras.layers.Conv2D(4, 3, padding="same", name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="depthwise"),
            keras.layers.BatchNormalization(name="depthwise_bn"),
            keras.layers.ReLU(6, name="relu"),
            keras.layers.DepthwiseConv2D(3, strides=2, use_bias=False, name="strided"),
            keras.layers.BatchNormalization(scale=False, name="no_scale"),
            keras.layers.ReLU(name="last"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )
    draw = np.random.default_rng(4)
    model.set_weights([draw.uniform(0.2, 1.5, weight.shape) for weight in model.get_weights()])
    return classify(model, preprocessing="0-1")


def explained(classifier, layer, pictures, method=DEFAULT_METHOD, **parameters):
    targets = np.full((len(pictures), 1), -1)
    return Explainer(classifier, layer, method, **parameters).explain(pictures, targets)


def difference(one, other):
    np.testing.assert_array_equal(one.targets, other.targets)
    return max(
        np.abs(one.maps - other.maps).max(), np.abs(one.probabilities - other.probabilities).max()
    )


@pytest.mark.parametrize("method", OTHER_METHODS)
def test_every_method_sees_the_same_in_a_folded_network(depthwise, method):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)
    parameters = FEW_RUNS.get(method, {})
    one, other = (
        explained(classifier, None, pictures, method, **parameters)
        for classifier in (depthwise, depthwise.folded([]))
    )
    assert difference(one, other) < 1e-5


@pytest.mark.parametrize("layer", [None, "conv", "depthwise", "depthwise_bn", "strided"])
def test_folded_networks_compute_the_same(depthwise, layer):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), np.uint8)
    expected = explained(depthwise, layer, pictures)
    for taps in (None, [layer] if layer else []):
        assert difference(expected, explained(depthwise.folded(taps), layer, pictures)) < 1e-5


def test_the_built_in_network_computes_the_same_when_folded(builtin, samples):
    picture = keras.utils.img_to_array(
        keras.utils.load_img(samples / "dog.jpg", target_size=(224, 288))
    )
    pictures = np.stack([picture, picture[::-1]])
    one, other = (explained(found, None, pictures) for found in (builtin, builtin.folded(())))
    assert difference(one, other) < 1e-4


def test_folding_merges_what_is_not_explained(depthwise):
    with pytest.raises(UnusableLayerError, match="depthwise"):
        Explainer(depthwise.folded(["last"]), "depthwise")


def test_a_folded_model_is_left_as_it_was(depthwise):
    model = depthwise.network.model
    before = [weight.copy() for weight in model.get_weights()]
    Explainer(depthwise.folded(()))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not [layer.name for layer in model.layers if "call" in layer.__dict__]


def test_folded_weights_stay_as_they_were_when_it_was_traced(small_model, classify):
    classifier = classify(small_model())
    folded = Explainer(classifier.folded())
    live = Explainer(classifier)
    picture = np.random.default_rng(1).random((1, *classifier.input_shape), np.float32)
    before = folded.explain(picture, np.array([[0]])).probabilities
    model = classifier.network.model
    model.set_weights([-2 * weight for weight in model.get_weights()])
    np.testing.assert_array_equal(folded.explain(picture, [[0]]).probabilities, before)
    assert np.abs(live.explain(picture, [[0]]).probabilities - before).max() > 1e-3


def test_large_networks_are_not_folded(builtin):
    assert fold(builtin.network) is not builtin.network
    model = keras.Sequential([keras.Input((4000,)), keras.layers.Dense(4000)])
    network = KerasNetwork(model)
    assert not fold(network).is_constant
