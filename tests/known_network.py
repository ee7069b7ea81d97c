"""A network whose scores and maps are known by hand, and a picture for it."""

import keras
import numpy as np

from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

SIDE = 16
NAMES = ("red", "green", "dark")
# How much each class counts each of the two feature maps, red and green.
WEIGHTS = np.array([[3.0, 1.0, -1.0], [1.0, 2.0, 0.5]], np.float32)


def save_known(folder):
    """Saves a network whose feature maps are the picture's red and green, and its labels.

    The score of a class is the mean of the maps, weighted by its column of `WEIGHTS`. So the
    gradient of a score with respect to a map is its weight over the number of cells everywhere.
    """
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="maps")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(3, use_bias=False, activation="softmax")(pooled)
    model = keras.Model(inputs, outputs)
    model.get_layer("maps").set_weights([np.eye(3)[:, :2].reshape(1, 1, 3, 2)])
    model.layers[-1].set_weights([WEIGHTS])
    model.save(folder / "known.keras")
    (folder / "labels.txt").write_text("\n".join(NAMES))
    return folder / "known.keras"


def load_known(path):
    return load_classifier(
        ModelOptions(str(path), labels=path.with_name("labels.txt"), preprocess="0-1")
    )


def known_picture():
    """Red on the left, green on the right, some of both in the last row; (SIDE, SIDE, 3) uint8."""
    values = np.zeros((SIDE, SIDE, 3), np.uint8)
    values[:, : SIDE // 2, 0] = 200
    values[:, SIDE // 2 :, 1] = 250
    values[-1] = (120, 60, 0)
    return values


def map_by_hand(picture, weights, method="gradcam", signed=False):
    """The map of the score that these weights of classes make, scaled to 1."""
    of_maps = WEIGHTS @ np.asarray(weights, np.float32)
    if method == "ablationcam":
        # Without a map, the score loses that map's mean.
        of_maps = of_maps * picture[..., :2].mean((0, 1))
    heat = picture[..., :2].astype(np.float32) @ of_maps
    if not signed:
        heat = np.maximum(heat, 0)
    return heat / np.abs(heat).max()
