"""A small random network, once in Keras and once, independently, in NumPy.

input (12, 10, 3) → conv1 3×3, 4, ReLU → average pooling 2×2 → conv2 3×3, 5, ReLU (A)
→ conv3 3×3, 6, ReLU → global average pooling → Dense 4 (y) → softmax
"""

from functools import cached_property

import numpy as np

HEIGHT, WIDTH, CHANNELS, CLASSES, K = 12, 10, 3, 4, 5
CELLS = (HEIGHT // 2, WIDTH // 2)


def build(seed=7):
    import keras
    from keras import layers

    inputs = keras.Input((HEIGHT, WIDTH, CHANNELS))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1")(inputs)
    x = layers.AveragePooling2D(2, name="pool")(x)
    x = layers.Conv2D(K, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv3")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    outputs = layers.Dense(CLASSES, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs, outputs)
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
    return model


def random_inputs(number, seed=3):
    return np.random.default_rng(seed).normal(0, 1, (number, HEIGHT, WIDTH, CHANNELS))


def conv(x, kernel):
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    rows, columns = x.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    assert windows.shape[:2] == (rows, columns)
    return np.einsum("hwcab,abck->hwk", windows, kernel)


def conv_transposed(gradient, kernel):
    """Takes a gradient back through `conv`."""
    return conv(gradient, kernel[::-1, ::-1].transpose(0, 1, 3, 2))


class NumpyNetwork:
    """One input's pass, in float64."""

    def __init__(self, model, x, a=None):
        weights = [np.asarray(weight, np.float64) for weight in model.get_weights()]
        self.k1, self.b1, self.k2, self.b2, self.k3, self.b3, self.w, self.b = weights
        self.x = np.asarray(x, np.float64)
        if a is None:
            self.z1 = conv(self.x, self.k1) + self.b1
            r1 = np.maximum(self.z1, 0)
            p1 = r1.reshape(CELLS[0], 2, CELLS[1], 2, 4).mean((1, 3))
            self.z2 = conv(p1, self.k2) + self.b2
            a = np.maximum(self.z2, 0)
        self.a = a
        self.z3 = conv(self.a, self.k3) + self.b3
        self.y = np.maximum(self.z3, 0).mean((0, 1)) @ self.w + self.b

    def gradient(self, weights, guided=False):
        """Differentiates the sum of the scores times weights by A."""
        at_r3 = np.broadcast_to(self.w @ weights / np.prod(CELLS), self.z3.shape)
        self.at_z3 = self._through_relu(at_r3, self.z3, guided)
        return conv_transposed(self.at_z3, self.k3)

    def gradient_by_input(self, weights, guided=False):
        self.at_z2 = self._through_relu(self.gradient(weights, guided), self.z2, guided)
        at_p1 = conv_transposed(self.at_z2, self.k2)
        at_r1 = np.repeat(np.repeat(at_p1, 2, 0), 2, 1) / 4
        self.at_z1 = self._through_relu(at_r1, self.z1, guided)
        return conv_transposed(self.at_z1, self.k1)

    @cached_property
    def probabilities(self):
        exponentials = np.exp(self.y - self.y.max())
        return exponentials / exponentials.sum()

    @staticmethod
    def _through_relu(gradient, before, guided):
        if guided:
            gradient = np.maximum(gradient, 0)
        return gradient * (before > 0)


def bilinear(image, size):
    """Upsamples (rows, columns) with the middles of pixels at one half."""
    for axis, length in enumerate(size):
        cells = image.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, cells - 1)
        part = np.expand_dims(at - low, 1 - axis)
        image = np.take(image, low, axis) * (1 - part) + np.take(image, high, axis) * part
    return image
