"""Checks whether another preprocessing than the guessed one suits the network better.

A network that gets far smaller numbers than in its training hardly tells pictures apart: its
predictions are nearly the same for all of them, often with nearly the same probability for all
classes. That is visible without knowing the true classes. A network that was never trained does the
same, but no other preprocessing makes it tell pictures apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import GradcamError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.preprocessing import OF_RGB, PREPROCESSINGS, Preprocessing
from gradcam_cli.networks.forward import trace_forward
from gradcam_cli.networks.tasks import BINARY, CLASSIFICATION
from gradcam_cli.pictures.preparing import InputShape
from gradcam_cli.pictures.reading import IfSeveral

_LEAST, _MOST = 3, 6
# Measured with small networks trained for each preprocessing and with networks of users: logits
# vary by less than 0.06 from picture to picture if the numbers are too small, and by more than 0.3
# for pictures of a single class if they are right.
_ALIKE = 0.1
_SMALLEST = 1e-30
# Rounding makes probabilities of such networks equal that aren't.
_CERTAIN = 0.99
# Untrained networks of many classes reach 0.6. Those of two classes may reach 1 by chance.
_TOLD_APART = 0.7


@dataclass(frozen=True)
class _Decision:
    """How decided a network is about several pictures.

    Attributes:
        mean: The mean probability of the most probable class.
        spread: How much the logits vary from picture to picture, as a standard deviation.
        difference: How much the probabilities differ from picture to picture, from 0 (not at
            all) to 1 (each picture, or each class, is on its own).
    """

    mean: float
    spread: float
    difference: float


def describe_indecision(
    explainer: Explainer,
    pictures: Sequence[InputPicture],
    shape: InputShape,
    downloads: Downloads | None = None,
) -> str | None:
    """Compares the predictions for some pictures with those under other preprocessings.

    Args:
        explainer: The explainer with the network.
        pictures: All pictures. Up to six of them, from all parts of the list, are classified.
        shape: How pictures become inputs.
        downloads: Fetches pictures from URLs.

    Returns:
        A warning if the preprocessing is a guess under which the network hardly tells the
        pictures apart, and there is another one under which it does; otherwise None.
    """
    classifier = explainer.classifier
    if (
        # Beside other values, pictures alone say little.
        classifier.others
        or classifier.takes_stacks
        or not classifier.preprocess.is_guess
        or classifier.task not in (CLASSIFICATION, BINARY)
        or len(pictures) < _LEAST
    ):
        return None
    inputs = _read(pictures, shape, downloads)
    if len(inputs) < _LEAST:
        return None
    now = _measure([explainer.classify(one[None])[0] for one in inputs])
    if now.spread > _ALIKE or now.mean > _CERTAIN:
        return None

    def classify(batch: tf.Tensor) -> tf.Tensor:
        return trace_forward(classifier.network, batch, classifier.input_size).probabilities

    run = tf.function(classify, autograph=False, reduce_retracing=True)
    better = []
    for mode in PREPROCESSINGS:
        if mode in OF_RGB and classifier.channels != 3:
            continue
        other = Preprocessing(mode, "")
        found = _measure([run(other(tf.constant(one[None])))[0].numpy() for one in inputs])
        if found.difference >= _TOLD_APART:
            better.append((found.mean, mode))
    if not better:
        return None
    better.sort(key=lambda one: -round(100 * one[0]))
    others = " or ".join(f"--preprocess {mode} ({_percent(mean)})" for mean, mode in better)
    return (
        f"{classifier.name}: with the guessed preprocessing {classifier.preprocess.mode}, the "
        f"predictions for {len(inputs)} pictures are nearly the same (the most probable class has "
        f"{_percent(now.mean)} on average); it tells them apart with {others}; choose the one that "
        f"it was trained with"
    )


def _read(
    pictures: Sequence[InputPicture], shape: InputShape, downloads: Downloads | None
) -> list[np.ndarray]:
    """Reads pictures from all parts of the list, whose beginning may show a single class."""
    number = min(len(pictures), _MOST)
    chosen = [pictures[place * len(pictures) // number] for place in range(number)]
    inputs = []
    for picture in chosen:
        try:
            read = shape.read(picture.path, downloads, several=IfSeveral.TAKE_FIRST)
            inputs.append(read.inputs.astype(np.float32))
        # The run reports the error.
        except GradcamError:
            continue
    return inputs


def _measure(rows: Sequence[np.ndarray]) -> _Decision:
    """Measures probabilities, (classes,) for each picture."""
    probabilities = np.stack(rows).astype(np.float64)
    pictures, classes = probabilities.shape
    logits = np.log(np.maximum(probabilities, _SMALLEST))
    logits -= logits.mean(1, keepdims=True)
    difference = np.abs(probabilities - probabilities.mean(0)).sum(1).mean() / 2
    largest = 1 - 1 / min(pictures, classes)
    return _Decision(probabilities.max(1).mean(), logits.std(0).mean(), difference / largest)


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"
