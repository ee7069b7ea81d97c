"""Does the heat lie on the object? Trained networks, pictures whose truth is known."""

import keras
import numpy as np
import pytest
from scenes import Photographs, Shapes, lies_in, make_picture, make_set, peaks

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

UNSEEN = 100


@pytest.fixture(scope="module")
def small_network(tmp_path_factory):
    """A small CNN, trained here in seconds and saved to a real file, and its world."""
    keras.utils.set_random_seed(0)
    world = Shapes()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((world.height, world.width, 3)),
            layers.RandomFlip(),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(world.classes), activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(*make_set(world, np.random.default_rng(1), 1500), epochs=2, verbose=0)
    _, accuracy = model.evaluate(*make_set(world, np.random.default_rng(2), 100), verbose=0)
    assert accuracy > 0.9
    path = tmp_path_factory.mktemp("model") / "shapes.keras"
    model.save(path)
    return world, path


@pytest.fixture(scope="module")
def nested_network(tmp_path_factory, samples, builtin):
    """The built-in network two levels deep in a new one, fine-tuned; and its world."""
    keras.utils.set_random_seed(0)
    world = Photographs(samples)
    layers = keras.layers
    lite = builtin.network.model
    backbone = keras.Model(lite.input, lite.get_layer("top_activation").output, name="lite")
    wrapped = keras.Input((world.height, world.width, 3))
    features = keras.Model(wrapped, backbone(wrapped), name="features")
    inputs = keras.Input((world.height, world.width, 3))
    x = layers.GlobalAveragePooling2D()(features(inputs))
    outputs = layers.Dense(len(world.classes), activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    # Only the head is trained, so the features are computed once.
    pictures, kinds = make_set(world, np.random.default_rng(1), 160)
    head = keras.Sequential([layers.GlobalAveragePooling2D(), model.layers[-1]])
    head.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    head.fit(features.predict(pictures, verbose=0), kinds, epochs=15, verbose=0)
    path = tmp_path_factory.mktemp("model") / "nested.keras"
    model.save(path)
    return world, path


@pytest.mark.parametrize("network", ["small_network", "nested_network"])
def test_the_peak_lies_on_the_object_for_every_class(request, tmp_path, network):
    world, path = request.getfixturevalue(network)
    rng = np.random.default_rng(3)
    kinds = [number % len(world.classes) for number in range(UNSEEN)]
    scenes = [make_picture(world, rng, [kind]) for kind in kinds]
    explainer = Explainer(load_classifier(ModelOptions(str(path))))
    found = peaks(tmp_path, explainer, [picture for picture, _ in scenes], [-1])
    hits = [lies_in(peak, boxes[0]) for ((_, peak),), (_, boxes) in zip(found, scenes, strict=True)]
    assert sum(hits) >= 95
    for kind in range(len(world.classes)):
        of_kind = [hit for hit, other in zip(hits, kinds, strict=True) if other == kind]
        assert sum(of_kind) >= 0.9 * len(of_kind)


@pytest.mark.parametrize("network", ["small_network", "nested_network"])
def test_the_second_class_is_found_on_the_second_object(request, tmp_path, network):
    world, path = request.getfixturevalue(network)
    rng = np.random.default_rng(4)
    pairs = [list(rng.permutation(len(world.classes))[:2]) for _ in range(UNSEEN)]
    scenes = [make_picture(world, rng, pair) for pair in pairs]
    explainer = Explainer(load_classifier(ModelOptions(str(path))))
    found = peaks(tmp_path, explainer, [picture for picture, _ in scenes], [-1, -2])
    hits = [
        lies_in(peak, boxes[pair.index(index)])
        for (_, (index, peak)), pair, (_, boxes) in zip(found, pairs, scenes, strict=True)
        if index in pair
    ]
    # What a peak at a random place would reach.
    chance = world.size**2 / (world.width * world.height)
    assert len(hits) > UNSEEN / 2
    assert np.mean(hits) > 4 * chance
