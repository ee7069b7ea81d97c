"""What the machine allows: gradcam's parts, each alone with every core busy.

Each function takes the paths of pictures and gives the seconds for all of them.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.loading import load_architecture, load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.rendering.encoding import encode_picture
from gradcam_cli.rendering.overlay import draw_overlay
from gradcam_cli.runtime.cores import divide_cores, usable_cores

_BATCH = 32
# So many stay in the cache of a core.
_STREAM_BATCH = 4
# What goes through the network again and again; more would only fill the memory.
_DISTINCT = 256
_REPEATS = 5


def decode(pictures: Sequence[Path]) -> dict[str, Any]:
    """Reads the files as gradcam does."""
    read_picture(pictures[0])
    return _timed(read_picture, pictures)


def forward(pictures: Sequence[Path]) -> dict[str, Any]:
    """Runs the bare network, one `tf.function` of the Keras model, as TensorFlow has it."""
    classifier = load_classifier()
    return _time_network(classifier, _plain_network(classifier), pictures, _BATCH, streams=1)


def forward_folded(pictures: Sequence[Path]) -> dict[str, Any]:
    """Runs the bare network as gradcam does: faster weights, small batches side by side."""
    parallelism = divide_cores(len(pictures))
    parallelism.limit(tf.config.threading)
    classifier = load_classifier().folded()
    run = _bare_network(classifier)
    return _time_network(classifier, run, pictures, _STREAM_BATCH, parallelism.streams)


def encode(pictures: Sequence[Path]) -> dict[str, Any]:
    """Encodes overlays as gradcam does, into memory."""
    overlays = draw_overlays(pictures[:_DISTINCT])
    encode_picture(overlays[0])
    return _timed(
        encode_picture, [overlays[number % len(overlays)] for number in range(len(pictures))]
    )


def explain_builtin(pictures: Sequence[Path]) -> dict[str, Any]:
    """Grad-CAM beside the network alone: the built-in one, a batch of 32."""
    classifier = load_classifier().folded()
    return _beside_bare_network(classifier, _inputs(classifier, pictures[:_BATCH], "squash"))


def explain_vgg19(pictures: Sequence[Path]) -> dict[str, Any]:
    """Grad-CAM beside the network alone: VGG19 with random weights, a batch of 32."""
    classifier = load_architecture(ModelOptions("vgg19")).folded()
    return _beside_bare_network(classifier, _inputs(classifier, pictures[:_BATCH], "squash"))


PARTS: dict[str, Callable[[Sequence[Path]], dict[str, Any]]] = {
    "decode": decode,
    "forward": forward,
    "forward_folded": forward_folded,
    "encode": encode,
    "explain_builtin": explain_builtin,
    "explain_vgg19": explain_vgg19,
}


def draw_overlays(pictures: Sequence[Path]) -> list[Image.Image]:
    """Draws the overlays that gradcam would write."""
    explainer = Explainer(load_classifier().folded())
    classifier = explainer.classifier
    overlays = []
    shape = classifier.input_for()
    for path in pictures:
        prepared = shape.read(path)
        heatmap = explainer.explain(prepared.inputs[np.newaxis], np.array([[TOP_CLASS]])).maps[0, 0]
        heat = prepared.fit.upsample(heatmap, explainer.pitch)
        overlays.append(draw_overlay(prepared.image, heat, prepared.fit.seen[:2]))
    return overlays


def _inputs(
    classifier: Classifier, pictures: Sequence[Path], fit: str | None = None
) -> list[np.ndarray]:
    shape = classifier.input_for(fit)
    return [shape.read(path).inputs for path in pictures]


def _time_network(
    classifier: Classifier,
    run: Callable[[np.ndarray], np.ndarray],
    pictures: Sequence[Path],
    batch_size: int,
    streams: int,
) -> dict[str, Any]:
    inputs = _inputs(classifier, pictures[:_DISTINCT])
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for number in range(len(pictures)):
        one = inputs[number % len(inputs)]
        by_shape.setdefault(one.shape, []).append(one)
    batches = [
        np.stack(group[start : start + batch_size])
        for group in by_shape.values()
        for start in range(0, len(group), batch_size)
    ]
    # What is done once for each shape isn't the network's speed.
    for batch in {batch.shape: batch for batch in batches}.values():
        run(batch)
    return {**_timed(run, batches, streams), "pictures": len(pictures)}


def _plain_network(classifier: Classifier) -> Callable[[np.ndarray], np.ndarray]:
    model, preprocess = classifier.network.model, classifier.preprocess
    return _traced(classifier, lambda inputs: model(preprocess(inputs), training=False))


def _bare_network(classifier: Classifier) -> Callable[[np.ndarray], np.ndarray]:
    return _traced(classifier, lambda inputs: classifier.trace(inputs).probabilities)


def _traced(
    classifier: Classifier, function: Callable[[tf.Tensor], tf.Tensor]
) -> Callable[[np.ndarray], np.ndarray]:
    signature = tf.TensorSpec((None, *classifier.input_shape), tf.float32)
    traced = tf.function(function, input_signature=[signature], autograph=False)
    return lambda batch: traced(tf.cast(batch, tf.float32)).numpy()


def _beside_bare_network(classifier: Classifier, inputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Times both in turn, so that a machine that slows down slows both."""
    run = _bare_network(classifier)
    explainer = Explainer(classifier)
    batches = [np.stack(inputs)]

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


def _timed(
    function: Callable[[Any], Any], items: Sequence[Any], threads: int | None = None
) -> dict[str, Any]:
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        started = time.perf_counter()
        for _ in pool.map(function, items):
            pass
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "pictures": len(items)}
