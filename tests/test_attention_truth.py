"""Does the heat lie on the object? Trained networks with attention, every way it is built in."""

import attention_models
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scenes import Fabrics, lies_in, make_picture, maps_of, peak_of, peaks
from test_images import STORED

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.pictures.fitting import fit_picture

UNSEEN = 100
# The most probable class, and each.
TARGETS = [-1, *range(len(Fabrics.classes))]
EPOCH = 640
SQUARE, WIDE = (64, 64), (48, 80)
# Epochs, batch size and learning rate. Dropout makes learning slow.
SOON, WITH_DROPOUT = (4, 32, 3e-3), (5, 16, 2e-3)
# Rows and columns that are confused show in an oblong, and guesses of a square in one.
NETWORKS = [
    ("class_token_vit", WIDE, SOON),
    ("pooled_vit", SQUARE, SOON),
    ("shifted_windows", WIDE, SOON),
    ("attention_on_top", WIDE, SOON),
    ("flattened_vit", WIDE, WITH_DROPOUT),
]


def make_training_set(world, rng, number):
    """Pictures of one object, of two or of none, and which classes each shows."""
    pictures, shown = [], np.zeros((number, len(world.classes)), np.float32)
    for labels in shown:
        kinds = rng.permutation(len(world.classes))[: rng.choice(3, p=(0.2, 0.4, 0.4))]
        labels[kinds] = 1
        pictures.append(np.asarray(make_picture(world, rng, kinds)[0]))
    return np.stack(pictures).astype(np.float32), shown


def train(name, size, schedule):
    """Trains a network from scratch, by a plain loop: `fit` takes longer to start than to train."""
    keras.utils.set_random_seed(0)
    world = Fabrics(*size)
    model = getattr(attention_models, name)(*size, len(world.classes))
    epochs, batch_size, learning_rate = schedule
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(pictures, shown):
        with tf.GradientTape() as tape:
            probabilities = model(pictures, training=True)
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(shown, probabilities))
        optimizer.apply_gradients(
            zip(
                tape.gradient(loss, model.trainable_variables),
                model.trainable_variables,
                strict=True,
            )
        )

    rng = np.random.default_rng(1)
    pictures, shown = make_training_set(world, rng, EPOCH)
    for _ in range(epochs):
        for batch in rng.permutation(EPOCH).reshape(-1, batch_size):
            step(pictures[batch], shown[batch])
    return world, model


@pytest.fixture(
    scope="module", params=NETWORKS, ids=lambda network: "{}-{}x{}".format(network[0], *network[1])
)
def network(request, classify):
    """A small network with attention, trained here in seconds, and its world."""
    world, model = train(*request.param)
    return world, Explainer(classify(model))


# One stands for all where it doesn't matter which.
vision_transformer = pytest.mark.parametrize("network", [NETWORKS[0]], indirect=True, ids=["vit"])


def test_the_peak_lies_on_the_object(network, tmp_path):
    world, explainer = network
    rng = np.random.default_rng(3)
    kinds = [number % len(world.classes) for number in range(UNSEEN)]
    scenes = [make_picture(world, rng, [kind]) for kind in kinds]
    found = peaks(tmp_path, explainer, [picture for picture, _ in scenes], TARGETS)
    tops = [of_picture[0] for of_picture in found]
    assert np.mean([index == kind for (index, _), kind in zip(tops, kinds, strict=True)]) > 0.95
    hits = [lies_in(peak, box) for (_, peak), (_, (box,)) in zip(tops, scenes, strict=True)]
    assert sum(hits) >= 0.9 * UNSEEN


def test_of_two_objects_each_class_finds_its_own(network, tmp_path):
    world, explainer = network
    rng = np.random.default_rng(4)
    pairs = [rng.permutation(len(world.classes))[:2] for _ in range(UNSEEN)]
    scenes = [make_picture(world, rng, pair) for pair in pairs]
    found = peaks(tmp_path, explainer, [picture for picture, _ in scenes], TARGETS)
    for place in (0, 1):
        hits = [
            lies_in(dict(of_picture)[pair[place]], boxes[place])
            for of_picture, pair, (_, boxes) in zip(found, pairs, scenes, strict=True)
        ]
        assert sum(hits) >= 0.9 * UNSEEN


@vision_transformer
def test_a_turned_picture_is_explained_upright(network, tmp_path):
    world, explainer = network
    picture, (box,) = make_picture(world, np.random.default_rng(5), [1])
    for orientation, transposition in STORED.items():
        exif = Image.Exif()
        exif[274] = orientation
        stored = picture if transposition is None else picture.transpose(transposition)
        stored.save(tmp_path / f"{orientation}.png", exif=exif)
    maps = [heat for ((_, heat),) in maps_of(tmp_path, explainer, [1])]
    assert lies_in(peak_of(maps[0]), box)
    for heat in maps[1:]:
        np.testing.assert_allclose(heat, maps[0], atol=1e-3)


@vision_transformer
@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(160, 160), (200, 80)], ids="{0[0]}x{0[1]}".format)
def test_the_heat_of_a_fitted_picture_lies_on_the_object(network, tmp_path, fit, size):
    _, explainer = network
    fitted = fit_picture(size, fit, explainer.classifier.input_size[::-1])
    scale = (fitted.target[2] - fitted.target[0]) / (fitted.source[2] - fitted.source[0])
    # What is seen of the picture, as large as the network gets it.
    world = Fabrics(*(round(scale * side) for side in (size[1], size[0])))
    left, top, right, bottom = fitted.seen
    rng = np.random.default_rng(6)
    boxes = []
    while len(boxes) < 20:
        picture, (box,) = make_picture(world, rng, [2])
        box = [side / scale for side in box]
        if left <= box[0] and top <= box[1] and box[2] <= right and box[3] <= bottom:
            picture.resize(size).save(tmp_path / f"{len(boxes):02}.png")
            boxes.append(box)
    found = maps_of(tmp_path, explainer, [2], fit)
    assert {heat.shape for ((_, heat),) in found} == {size[::-1]}
    hits = [lies_in(peak_of(heat), box) for ((_, heat),), box in zip(found, boxes, strict=True)]
    assert sum(hits) >= 0.9 * len(boxes)
