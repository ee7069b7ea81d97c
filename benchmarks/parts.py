"""What the machine allows: gradcam's parts, each alone with every core busy.

Each function takes the paths of pictures and gives the seconds for all of them.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.fitting import choose_input_size, fit_picture, usual_stride
from gradcam_cli.images import read_picture
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.loading import load_architecture, load_classifier
from gradcam_cli.records import TOP_CLASS
from gradcam_cli.rendering.encoding import encode_picture
from gradcam_cli.rendering.overlay import draw_overlay

_BATCH = 32
# What goes through the network again and again; more would only fill the memory.
_DISTINCT = 256
_REPEATS = 5


def decode(pictures: Sequence[Path]) -> dict[str, Any]:
    """Reads the files as gradcam does."""
    read_picture(pictures[0])
    return _timed(read_picture, pictures)


def forward(pictures: Sequence[Path]) -> dict[str, Any]:
    """Runs the bare network, one `tf.function`, on what gradcam gives it."""
    classifier = load_classifier()
    run = _bare_network(classifier)
    batches = _batches(_inputs(classifier, pictures[:_DISTINCT]), len(pictures))
    for size in {len(batch): batch for batch in batches}.values():
        run(size)
    started = time.perf_counter()
    for batch in batches:
        run(batch)
    return {"seconds": time.perf_counter() - started, "pictures": len(pictures)}


def encode(pictures: Sequence[Path]) -> dict[str, Any]:
    """Encodes overlays as gradcam does, into memory."""
    overlays = draw_overlays(pictures[:_DISTINCT])
    encode_picture(overlays[0])
    return _timed(
        encode_picture, [overlays[number % len(overlays)] for number in range(len(pictures))]
    )


def explain_builtin(pictures: Sequence[Path]) -> dict[str, Any]:
    """Grad-CAM beside the bare network: the built-in one, a batch of 32."""
    classifier = load_classifier()
    return _beside_bare_network(classifier, _inputs(classifier, pictures[:_BATCH]))


def explain_vgg19(pictures: Sequence[Path]) -> dict[str, Any]:
    """Grad-CAM beside the bare network: VGG19 with random weights, a batch of 32."""
    classifier = load_architecture("vgg19")
    return _beside_bare_network(classifier, _inputs(classifier, pictures[:_BATCH]))


PARTS: dict[str, Callable[[Sequence[Path]], dict[str, Any]]] = {
    "decode": decode,
    "forward": forward,
    "encode": encode,
    "explain_builtin": explain_builtin,
    "explain_vgg19": explain_vgg19,
}


def draw_overlays(pictures: Sequence[Path]) -> list[Image.Image]:
    """Draws the overlays that gradcam would write."""
    explainer = Explainer(load_classifier())
    classifier = explainer.classifier
    overlays = []
    for start in range(0, len(pictures), _BATCH):
        images = [read_picture(path) for path in pictures[start : start + _BATCH]]
        fits = [_fit(classifier, image) for image in images]
        for image, fit in zip(images, fits, strict=True):
            inputs = fit.apply(image)[np.newaxis]
            heatmap = explainer.explain(inputs, np.array([[TOP_CLASS]])).maps[0, 0]
            heat = fit.upsample(heatmap, explainer.pitch)
            overlays.append(draw_overlay(image, heat, fit.seen[:2]))
    return overlays


def _fit(classifier: Classifier, image: Image.Image):
    fit = classifier.default_fit
    size = choose_input_size(classifier.input_size, classifier.any_size, fit)
    return fit_picture(image.size, fit, size, usual_stride(classifier.input_size))


def _inputs(classifier: Classifier, pictures: Sequence[Path]) -> list[np.ndarray]:
    images = [read_picture(path) for path in pictures]
    return [_fit(classifier, image).apply(image) for image in images]


def _batches(inputs: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Stacks inputs of one shape, as gradcam does, over and over up to a count."""
    numbered = [inputs[number % len(inputs)] for number in range(count)]
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for one in numbered:
        by_shape.setdefault(one.shape, []).append(one)
    return [
        np.stack(group[start : start + _BATCH])
        for group in by_shape.values()
        for start in range(0, len(group), _BATCH)
    ]


def _bare_network(classifier: Classifier) -> Callable[[np.ndarray], np.ndarray]:
    network = classifier.network.model
    preprocess = classifier.preprocess

    @tf.function(
        input_signature=[tf.TensorSpec((None, *classifier.input_shape), tf.float32)],
        autograph=False,
    )
    def run(inputs):
        return network(preprocess(inputs), training=False)

    return lambda batch: run(tf.cast(batch, tf.float32)).numpy()


def _beside_bare_network(classifier: Classifier, inputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Times both in turn, so that a machine that slows down slows both."""
    run = _bare_network(classifier)
    explainer = Explainer(classifier)
    batches = _batches(inputs, _BATCH)

    def explain(batch):
        return explainer.explain(batch, np.full((len(batch), 1), TOP_CLASS))

    bare, explained = [], []
    for repeat in range(_REPEATS + 1):
        for function, seconds in ((run, bare), (explain, explained)):
            started = time.perf_counter()
            for batch in batches:
                function(batch)
            if repeat:  # not the first, which traces
                seconds.append(time.perf_counter() - started)
    return {
        "seconds": median(explained),
        "bare_seconds": median(bare),
        "pictures": _BATCH,
    }


def _timed(function: Callable[[Any], Any], items: Iterable[Any]) -> dict[str, Any]:
    items = list(items)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        for _ in pool.map(function, items):
            pass
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "pictures": len(items)}
