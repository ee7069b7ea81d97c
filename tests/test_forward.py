import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gradcam_cli.cam.explainer import Explainer


def traced(classifier, pictures):
    """Runs a pass and gives its logits and probabilities as arrays."""

    @tf.function(autograph=False)
    def run(inputs):
        forward = classifier.trace(inputs)
        return forward.logits, forward.probabilities

    return [tensor.numpy() for tensor in run(tf.constant(pictures))]


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(8).uniform(0, 1, (4, 16, 16, 3)).astype(np.float32)


HEADS = {
    "softmax in the dense layer": ("softmax", None),
    "softmax layer": (None, layers.Softmax),
    "activation layer": (None, lambda: layers.Activation("softmax")),
    "activation layer in float32": (None, lambda: layers.Activation("softmax", dtype="float32")),
    "softmax, then reshape": ("softmax", lambda: layers.Reshape((3,))),
    "softmax, then identity": ("softmax", layers.Identity),
    "softmax, then dropout": ("softmax", lambda: layers.Dropout(0.5)),
    "sigmoid": ("sigmoid", None),
    "linear": (None, None),
}


@pytest.mark.parametrize("head", HEADS)
def test_finds_the_logits(small_model, classify, pictures, head):
    activation, make = HEADS[head]
    model = small_model(activation, head=make and make())
    scores = small_model(None)
    scores.set_weights(model.get_weights())
    logits, probabilities = traced(classify(model), pictures)
    np.testing.assert_allclose(logits, scores(pictures), atol=1e-5)
    expected = model(pictures) if head != "linear" else tf.nn.softmax(scores(pictures))
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_gives_the_same_maps(small_model, classify, pictures, head):
    activation, make = HEADS[head]
    model = small_model(activation, head=make and make())
    scores = small_model(None)
    scores.set_weights(model.get_weights())
    targets = [[0], [1], [2], [0]]
    found = Explainer(classify(model), "last").explain(pictures, targets)
    expected = Explainer(classify(scores), "last").explain(pictures, targets)
    np.testing.assert_allclose(found.maps, expected.maps, atol=1e-4)
    assert found.maps.any()


def test_a_softmax_inside_the_network_is_not_its_end(classify, pictures):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="last")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Softmax()(x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    logits, _ = traced(classify(model), pictures)
    np.testing.assert_allclose(logits, model(pictures), atol=1e-5)


def snapshot(model):
    return (
        model.to_json(),
        [weights.copy() for weights in model.get_weights()],
        [layer.activation for layer in model.layers if hasattr(layer, "activation")],
        [sorted(layer.__dict__) for layer in model.layers],
        [layer.trainable for layer in model.layers],
    )


def test_the_model_is_left_as_it_was(small_model, classify, pictures):
    model = small_model()
    model.compile("sgd", "categorical_crossentropy")
    before, outputs = snapshot(model), np.asarray(model(pictures))
    explainer = Explainer(classify(model))
    explainer.explain(pictures, [[-1]] * 4)
    after = snapshot(model)
    assert after[0] == before[0]
    for old, new in zip(before[1], after[1], strict=True):
        np.testing.assert_array_equal(old, new)
    assert after[2:] == before[2:]
    np.testing.assert_array_equal(model(pictures), outputs)
    # It can still be trained and explained again.
    model.fit(pictures, np.eye(3)[[0, 1, 2, 0]], verbose=0)
    Explainer(classify(model)).explain(pictures, [[-1]] * 4)


def test_the_model_is_left_as_it_was_after_a_failure(small_model, classify):
    model = small_model()
    before = snapshot(model)
    with pytest.raises(Exception, match="no layer 'nothing'"):
        Explainer(classify(model), "nothing")
    assert snapshot(model)[3] == before[3]


def test_dropout_and_batch_statistics_are_off(classify, pictures):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((16, 16, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, name="last")(inputs))
    x = layers.Dropout(0.9)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(x))
    explainer = Explainer(classify(model), "last")
    first = explainer.explain(pictures, [[0]] * 4)
    second = explainer.explain(pictures, [[0]] * 4)
    np.testing.assert_array_equal(first.maps, second.maps)
    np.testing.assert_allclose(first.probabilities, model.predict(pictures, verbose=0), atol=1e-5)


def test_sequential_nested_and_subclassed_models(classify, pictures):
    keras.utils.set_random_seed(3)
    features = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(4, 3, activation="relu", name="inner")],
        name="backbone",
    )
    sequential = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            features,
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    kernel, bias = features.get_layer("inner").get_weights()
    flat_inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="inner")(flat_inputs)
    dense = layers.Dense(3, activation="softmax")
    flat = keras.Model(flat_inputs, dense(layers.GlobalAveragePooling2D()(x)))
    flat.get_layer("inner").set_weights([kernel, bias])
    dense.set_weights(sequential.layers[-1].get_weights())

    nested = Explainer(classify(sequential))
    assert nested.layer == "backbone/inner"
    targets = [[0, 1, 2]] * 4
    np.testing.assert_allclose(
        nested.explain(pictures, targets).maps,
        Explainer(classify(flat)).explain(pictures, targets).maps,
        atol=1e-5,
    )


def test_half_precision(classify, pictures):
    keras.utils.set_random_seed(4)
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="last", dtype="mixed_float16")(inputs)
    x = layers.GlobalAveragePooling2D(dtype="mixed_float16")(x)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", dtype="mixed_float16")(x))
    explanation = Explainer(classify(model)).explain(pictures, [[0, 1, 2]] * 4)
    assert explanation.maps.dtype == np.float32
    assert explanation.probabilities.dtype == np.float32
    assert np.isfinite(explanation.maps).all()
    assert explanation.maps.max() == 1
