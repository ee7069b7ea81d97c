"""Several threads explain one model, and none of them leaves a trace in it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from gradcam_cli import GradCAM, LayerCAM
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers

CLASSES = 4
THREADS = 4
ROUNDS = 2
INPUTS = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[[1, 3]]
LIBRARIES = pytest.mark.parametrize("library", [keras, tf_keras])


def many_layers(library, middle=None, depth=8):
    """Nested, with a layer in two places, and deep enough that threads meet in it."""
    library.utils.set_random_seed(1)
    make = library.layers
    shared = make.ReLU(name="shared")
    inner = library.Sequential([make.Conv2D(4, 3, padding="same", name="conv"), shared])
    inputs = library.Input((16, 16, 3))
    x = inner(inputs)
    for number in range(depth):
        x = make.Conv2D(4, 3, padding="same", name=f"conv{number}")(x)
        x = make.BatchNormalization(name=f"bn{number}")(x)
        x = shared(x)
    if middle is not None:
        x = middle(x)
    x = make.Conv2D(6, 3, name="last")(x)
    x = make.GlobalAveragePooling2D()(x)
    model = library.Model(inputs, make.Dense(CLASSES, activation="softmax")(x))
    model(INPUTS)
    return model


def state(model):
    """All that the model, its layers and their classes consist of, by identity."""
    objects = [model, *(layer for _, layer in walk_layers(model))]
    classes = {kind for layer in objects for kind in type(layer).__mro__}
    return (
        [{name: id(value) for name, value in vars(found).items()} for found in objects],
        {
            (kind, name): id(vars(kind)[name])
            for kind in classes
            for name in ("__call__", "call")
            if name in vars(kind)
        },
    )


@LIBRARIES
def test_threads_explain_one_model(library):
    model = many_layers(library)
    kinds = [GradCAM, LayerCAM] * (THREADS // 2)
    alone = [kind(model)(INPUTS, ONE_HOT).numpy() for kind in kinds[:2]] * (THREADS // 2)
    before = state(model)
    barrier = Barrier(THREADS)

    def explain(kind):
        barrier.wait()
        return kind(model)(INPUTS, ONE_HOT).numpy()

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(ROUNDS):
            for maps, expected in zip(pool.map(explain, kinds), alone, strict=True):
                np.testing.assert_allclose(maps, expected, atol=1e-5)
    assert alone[0].any()
    assert state(model) == before


@keras.saving.register_keras_serializable("test_threads")
class Stumbling(keras.layers.Layer):
    """Raises what it is told to, when it is told to."""

    def build(self, shape):
        self.error = None
        super().build(shape)

    def call(self, x):
        if self.error is not None:
            raise self.error
        return x


@pytest.mark.parametrize("error", [RuntimeError("stumbled"), KeyboardInterrupt()])
@pytest.mark.parametrize("folded", [False, True])
def test_a_model_is_left_as_it_was_after(error, folded, classify):
    layer = Stumbling()
    model = many_layers(keras, layer, depth=2)
    classifier = classify(model)
    classifier = classifier.folded(()) if folded else classifier
    Explainer(classifier)
    before = state(model)
    layer.error = error
    after_error = state(model)
    with pytest.raises(type(error)):
        Explainer(classifier)
    assert state(model) == after_error
    layer.error = None
    assert state(model) == before
    assert Explainer(classifier).layer == "last"


def test_other_threads_find_the_model_as_it_is():
    is_waiting, reached, may_go_on = Event(), Event(), Event()

    class Waiting(keras.layers.Layer):
        def call(self, x):
            if is_waiting.is_set() and not tf.executing_eagerly():
                reached.set()
                assert may_go_on.wait(60)
            return x

    model = many_layers(keras, Waiting(), depth=2)
    expected = model(INPUTS).numpy()
    is_waiting.set()
    names = [set(vars(layer)) for _, layer in walk_layers(model)]
    with ThreadPoolExecutor(1) as pool:
        maps = pool.submit(lambda: GradCAM(model)(INPUTS, ONE_HOT))
        try:
            assert reached.wait(60)
            assert [set(vars(layer)) for _, layer in walk_layers(model)] == names
            np.testing.assert_array_equal(model(INPUTS), expected)
        finally:
            may_go_on.set()
        assert maps.result().numpy().any()


def recorded_paths(model):
    network = KerasNetwork(model, classes_only=False)
    paths = []

    @tf.function(autograph=False)
    def trace(inputs):
        recording = network.record(inputs)
        paths.extend(recording.layer_outputs)
        return list(recording.layer_outputs.values())

    outputs = trace(tf.constant(INPUTS))
    return dict(zip(paths, outputs, strict=True))


@LIBRARIES
def test_layers_are_recorded_however_they_are_called(library):
    make = library.layers

    class Direct(make.Layer):
        """Goes around what Keras does before and after the call of a layer."""

        def __init__(self, **options):
            super().__init__(**options)
            self.conv = make.Conv2D(4, 3, padding="same", name="conv")

        def build(self, shape):
            self.conv.build(shape)
            super().build(shape)

        def call(self, x):
            return self.conv.call(x)

    class Twice(make.ReLU):
        """Calls its parent's method, which isn't another call."""

        def __call__(self, x, **options):
            return super().__call__(x, **options)

        def call(self, x):
            return super().call(x) + 1

    inputs = library.Input((16, 16, 3))
    x = Direct(name="direct")(inputs)
    x = Twice(name="twice")(x)
    shared = make.Conv2D(4, 3, padding="same", name="shared")
    x = shared(shared(x))
    x = library.Sequential([shared], name="inner")(x)
    model = library.Model(inputs, x)
    found = recorded_paths(model)
    assert {"direct", "direct/conv", "twice", "shared", "inner", "inner/shared"} <= set(found)
    # In the order in which the calls ended, of the last call of each.
    order = [path for path in found if path.partition("/")[0] in ("direct", "twice", "shared")]
    assert order == ["direct/conv", "direct", "twice", "shared"]
    np.testing.assert_allclose(found["shared"], model(INPUTS), atol=1e-5)
    np.testing.assert_allclose(found["inner/shared"], found["shared"])
    np.testing.assert_allclose(found["twice"], np.maximum(found["direct/conv"], 0) + 1, atol=1e-5)


@LIBRARIES
def test_layers_whose_class_cannot_be_changed_are_recorded(library):
    class Unchangeable(type(library.layers.Layer)):
        """What the type of a class is that was made in C."""

        def __setattr__(cls, name, value):
            if name in ("call", "__call__"):
                raise TypeError(f"cannot set {name!r} attribute of immutable type")
            super().__setattr__(name, value)

    class Doubling(library.layers.Layer, metaclass=Unchangeable):
        def __call__(self, x, **options):
            return super().__call__(x, **options)

        def call(self, x):
            return x * 2

    model = many_layers(library, Doubling(name="doubling"), depth=1)
    before = state(model)
    found = recorded_paths(model)
    np.testing.assert_allclose(found["doubling"], found["shared"] * 2, atol=1e-6)
    assert state(model) == before
