"""Does the heat lie on the object? Trained networks, pictures whose truth is known."""

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw
from tasks import make_task

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.run.pipeline import explain_pictures

UNSEEN = 100


class Shapes:
    """Shapes of any colour on noise."""

    classes = ("disc", "cross", "ring", "stripes")
    side = 96
    size = 30

    def paint(self, picture, rng, kind, left, top):
        draw = ImageDraw.Draw(picture)
        right, bottom = left + self.size, top + self.size
        low, high = ((170, 256), (0, 90))[int(rng.integers(2))]
        color = tuple(int(value) for value in rng.integers(low, high, 3))
        third = self.size // 3
        if self.classes[kind] == "disc":
            draw.ellipse((left, top, right, bottom), fill=color)
        elif self.classes[kind] == "cross":
            draw.rectangle((left + third, top, right - third, bottom), fill=color)
            draw.rectangle((left, top + third, right, bottom - third), fill=color)
        elif self.classes[kind] == "ring":
            draw.ellipse((left, top, right, bottom), outline=color, width=self.size // 6)
        else:
            for y in range(top, bottom, self.size // 4):
                draw.rectangle((left, y, right, y + self.size // 8), fill=color)


class Photographs:
    """Small photographs of things, on noise."""

    classes = ("cat.jpg", "coffee.jpg", "crab.jpg", "macaw.jpg")
    side = 224
    size = 90

    def __init__(self, folder):
        self.photographs = [
            Image.open(folder / name).convert("RGB").resize((self.size, self.size))
            for name in self.classes
        ]

    def paint(self, picture, rng, kind, left, top):
        photograph = self.photographs[kind]
        if rng.integers(2):
            photograph = photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture.paste(photograph, (left, top))


def make_picture(world, rng, kinds):
    """Noise with one object, or with two that lie apart; returns it and their boxes."""
    noise = rng.normal(128, 25, (world.side, world.side, 3)).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(noise)
    part = world.side // len(kinds)
    boxes = []
    for number, kind in enumerate(kinds):
        left = int(rng.integers(number * part, (number + 1) * part - world.size))
        top = int(rng.integers(0, world.side - world.size))
        world.paint(picture, rng, kind, left, top)
        boxes.append((left, top, left + world.size, top + world.size))
    return picture, boxes


def make_set(world, rng, number):
    kinds = rng.integers(0, len(world.classes), number)
    pictures = [np.asarray(make_picture(world, rng, [kind])[0]) for kind in kinds]
    return np.stack(pictures).astype(np.float32), kinds


def peaks(tmp_path, classifier, pictures, targets):
    """Runs the whole pipeline on picture files; returns the peaks of the maps and classes."""
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number:03}.png")
    task = make_task(
        classes=targets,
        fit=classifier.default_fit,
        size=classifier.input_size[::-1],
        out=tmp_path / "maps",
        heatmap="npy",
    )
    found = []
    for result in explain_pictures(find_pictures([tmp_path]), [Explainer(classifier)], task):
        assert result.error is None
        maps = [np.load(target.heatmap) for target in result.targets]
        assert {heat.shape for heat in maps} == {classifier.input_size}
        found.append(
            [
                (target.prediction.index, np.unravel_index(heat.argmax(), heat.shape)[::-1])
                for target, heat in zip(result.targets, maps, strict=True)
            ]
        )
    return found


def lies_in(point, box):
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


@pytest.fixture(scope="module")
def small_network(tmp_path_factory):
    """A small CNN, trained here in seconds and saved to a real file, and its world."""
    keras.utils.set_random_seed(0)
    world = Shapes()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((world.side, world.side, 3)),
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
    model.fit(*make_set(world, np.random.default_rng(1), 1500), epochs=8, verbose=0)
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
    wrapped = keras.Input((world.side, world.side, 3))
    features = keras.Model(wrapped, backbone(wrapped), name="features")
    inputs = keras.Input((world.side, world.side, 3))
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
    found = peaks(
        tmp_path, load_classifier(ModelOptions(str(path))), [picture for picture, _ in scenes], [-1]
    )
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
    found = peaks(
        tmp_path,
        load_classifier(ModelOptions(str(path))),
        [picture for picture, _ in scenes],
        [-1, -2],
    )
    hits = [
        lies_in(peak, boxes[pair.index(index)])
        for (_, (index, peak)), pair, (_, boxes) in zip(found, pairs, scenes, strict=True)
        if index in pair
    ]
    # What a peak at a random place would reach.
    chance = (world.size / world.side) ** 2
    assert len(hits) > UNSEEN / 2
    assert np.mean(hits) > 4 * chance
