"""Pictures with a red square, and a network that looks at nothing else."""

import keras
import numpy as np
from PIL import Image

SIDE = 64


def red_model():
    """Makes a model whose class 1 is red somewhere, by its weights."""
    inputs = keras.Input((SIDE, SIDE, 3))
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    # The first feature map is 0.8 on red and 0 on grey and on the reddish mean colour; the
    # second is always 0.
    kernel[0, 0, :, 0] = np.array([1, -0.5, -0.5]) / 180
    x = keras.layers.Conv2D(2, 1, activation="relu", name="red")(inputs)
    x = keras.layers.AveragePooling2D(4, name="pool")(x)
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="last")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(2, activation="softmax", name="scores")(x)
    model = keras.Model(inputs, outputs, name="red")
    model.get_layer("red").set_weights([kernel, np.float32([-0.2, 0])])
    model.get_layer("last").set_weights([np.eye(2, dtype=np.float32)[None, None]])
    weights = np.array([[-60, 60], [0, 0]], np.float32)
    model.get_layer("scores").set_weights([weights, np.array([1.5, -1.5], np.float32)])
    return model


def save_squares(folder, number):
    """Writes grey pictures with a red square off their middle to "photos", and "masks"."""
    rng = np.random.default_rng(0)
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for index in range(number):
        pixels = np.full((SIDE, SIDE, 3), rng.integers(90, 160), np.uint8)
        left, top = rng.choice([0, 44]) + rng.integers(0, 4, 2)
        pixels[top : top + 16, left : left + 16] = (220, 40, 40)
        Image.fromarray(pixels).save(folder / "photos" / f"{index:02}.png")
        mask = (pixels[..., 0] == 220) & (pixels[..., 1] == 40)
        Image.fromarray((mask * 255).astype(np.uint8)).save(folder / "masks" / f"{index:02}.png")
    return folder
