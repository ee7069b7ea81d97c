"""Clips with a bright square at a known time and place, and networks that look at nothing else."""

import keras
import numpy as np
from keras import layers
from PIL import Image

STEPS, SIDE, CELL = 8, 32, 4
# Of the clip: the number of frames, the bright one, the size and the square in it.
FRAMES, BRIGHT, SIZE, SQUARE = 20, 11, (80, 64), (8, 40, 20, 52)
_THRESHOLD = 0.6


def frames_of(count=FRAMES, bright=(BRIGHT,), size=SIZE, square=SQUARE):
    """Makes dark frames of noise, some with the square: (count, height, width, 3) uint8."""
    rng = np.random.default_rng(5)
    frames = rng.integers(0, 100, (count, size[1], size[0], 3), np.uint8)
    left, top, right, bottom = square
    for number in bright:
        frames[number, top:bottom, left:right] = 255
    return frames


def save_clip(path, frames=None):
    """Saves frames as an animation."""
    pictures = [Image.fromarray(frame) for frame in frames_of() if frames is None]
    pictures = pictures or [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, loop=0)


def _set_bright(model, of_last):
    """Makes the first channel of the first convolution the brightness above a threshold."""
    first, last = (inner_layer(model.get_layer(name)) for name in ("bright", "last"))
    kernel = np.zeros(first.kernel.shape, np.float32)
    kernel[..., 0] = 1 / kernel.shape[-2]
    first.set_weights([kernel, np.float32([-_THRESHOLD, 0])])
    last.set_weights([np.eye(2, dtype=np.float32).reshape(last.kernel.shape)])
    model.get_layer("scores").set_weights([np.float32(of_last), np.float32([0.5, -0.5])])


def inner_layer(layer):
    """Returns the layer inside a layer that goes through time steps."""
    return getattr(layer, "layer", layer)


def volume_network(steps=STEPS, channels=3):
    """A network of 3-D convolutions whose class 1 is a bright place somewhere."""
    inputs = keras.Input((steps, SIDE, SIDE, channels))
    x = layers.Conv3D(2, 1, activation="relu", name="bright")(inputs)
    x = layers.AveragePooling3D((1, CELL, CELL), name="pool")(x)
    x = layers.Conv3D(2, 1, use_bias=False, name="last")(x)
    x = layers.GlobalAveragePooling3D()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="scores")(x))
    _set_bright(model, [[-900, 900], [0, 0]])
    return model


def clip_network(steps=STEPS, unroll=False, side=SIDE):
    """A CNN-LSTM whose class 1 is a bright place at some time."""
    inputs = keras.Input((steps, side, side, 3))
    x = layers.TimeDistributed(layers.Conv2D(2, 1, activation="relu"), name="bright")(inputs)
    x = layers.TimeDistributed(layers.AveragePooling2D(CELL), name="pool")(x)
    x = layers.TimeDistributed(layers.Conv2D(2, 1, use_bias=False), name="last")(x)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    x = layers.LSTM(1, unroll=unroll, name="memory")(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="scores")(x))
    _set_bright(model, [[-9, 9]])
    # Of the gates: what is new is added, nothing is forgotten, and all is given out.
    kernel = np.float32([[0, 0, 40, 0], [0, 0, 0, 0]])
    model.get_layer("memory").set_weights(
        [kernel, np.zeros((1, 4), np.float32), np.float32([9, 9, 0, 9])]
    )
    return model


def hottest(pages):
    """Returns the number of the hottest frame and the middle of its heat, from grey heat maps.

    Args:
        pages: The path of an animation or a TIFF file of pages.
    """
    with Image.open(pages) as image:
        heat = []
        for number in range(image.n_frames):
            image.seek(number)
            heat.append(np.asarray(image.convert("L"), np.float64))
    number = int(np.argmax([one.sum() for one in heat]))
    rows, columns = np.indices(heat[number].shape) + 0.5
    weights = heat[number] ** 2
    middle = [float((weights * places).sum() / weights.sum()) for places in (columns, rows)]
    return number, middle, len(heat)
