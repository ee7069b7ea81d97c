"""A small network whose ADCC and ARCC are known from pytorch-grad-cam.

`arcc_agreement.py` computes the numbers anew, and tests/test_newer_metrics.py compares ours.
"""

import numpy as np
import tensorflow as tf

SIDE = 24
TARGETS = np.array([1, 1, 1])
# Of pytorch-grad-cam 1.5.7, with ROAD's noise set to 0.
EXPECTED = {
    "adcc": (0.728428, 0.700827, 0.826474),
    "coherency": (0.969575, 0.971017, 0.973502),
    "road": (0.310309, 0.262784, 0.267743),
    "arcc": (0.792897, 0.731770, 0.730842),
}

_ROWS, _COLUMNS = np.indices((SIDE, SIDE)) / SIDE


def _bump(row: float, column: float, width: float) -> np.ndarray:
    return np.exp(-((_ROWS - row) ** 2 + (_COLUMNS - column) ** 2) / width)


# What the network looks at.
_WEIGHTS = _bump(0.4, 0.6, 0.02).astype(np.float32)


def make_inputs() -> np.ndarray:
    """Makes three inputs (3, SIDE, SIDE, 1) float32, with a bright spot in different places."""
    waves = 0.3 + 0.1 * np.sin(9 * _ROWS) * np.cos(7 * _COLUMNS)
    spots = [(0.4, 0.6, 0.03), (0.5, 0.5, 0.05), (0.35, 0.7, 0.1)]
    return np.stack([waves + 0.6 * _bump(*spot) for spot in spots]).astype(np.float32)[..., None]


def network(inputs: tf.Tensor) -> tf.Tensor:
    """Computes the probabilities of two classes, (N, 2)."""
    seen = tf.reduce_sum(inputs[..., 0] * _WEIGHTS, axis=(1, 2)) / _WEIGHTS.sum()
    second = tf.sigmoid(8 * (seen - 0.5))
    return tf.stack([1 - second, second], axis=1)


def explain(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Makes maps (N, SIDE, SIDE) float32, each from 0 to 1: what each pixel gives to the score."""
    given = np.asarray(inputs)[..., 0] * _bump(0.4, 0.6, 0.08)
    low = given.min(axis=(1, 2), keepdims=True)
    return ((given - low) / (given - low).max(axis=(1, 2), keepdims=True)).astype(np.float32)
