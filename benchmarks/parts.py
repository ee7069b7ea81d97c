"""What the machine allows: gradcam's parts, each alone with every core busy.

Each function takes the paths of pictures and gives the seconds for all of them.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.bare_network import (
    BATCH,
    STREAM_BATCH,
    Run,
    bare_network,
    batches_of,
    plain_network,
    time_all,
    warm_up,
)
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.loading import load_architecture, load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.rendering.encoding import encode_picture
from gradcam_cli.rendering.overlay import draw_overlay
from gradcam_cli.runtime.cores import divide_cores, usable_cores

# What is used again and again; more would only fill the memory. In the mixed folder one picture of
# each hundred has 12 megapixels, in a part of it too.
_DISTINCT_INPUTS, _DISTINCT_OVERLAYS = 1000, 200
_REPEATS = 5


def decode(pictures: Sequence[Path]) -> dict[str, Any]:
    """Reads the files as gradcam does."""
    read_picture(pictures[0])
    return _timed(read_picture, pictures)


def forward(pictures: Sequence[Path]) -> dict[str, Any]:
    """Runs the bare network, one `tf.function` of the Keras model, as TensorFlow has it."""
    classifier = load_classifier()
    return _time_network(classifier, plain_network(classifier), pictures, BATCH, streams=1)


def forward_folded(pictures: Sequence[Path]) -> dict[str, Any]:
    """Runs the bare network as gradcam does: faster weights, small batches side by side.

    TensorFlow has as many threads as the command gives it; see `benchmarks.worker.part`.
    """
    streams = divide_cores(len(pictures)).streams
    classifier = load_classifier().folded()
    run = bare_network(classifier)
    return _time_network(classifier, run, pictures, STREAM_BATCH, streams)


def encode(pictures: Sequence[Path]) -> dict[str, Any]:
    """Encodes overlays as gradcam does, into memory."""
    overlays = draw_overlays(pictures[:_DISTINCT_OVERLAYS])
    encode_picture(overlays[0])
    return _timed(
        encode_picture, [overlays[number % len(overlays)] for number in range(len(pictures))]
    )


def explain_builtin(pictures: Sequence[Path]) -> dict[str, Any]:
    """Grad-CAM beside the network alone: the built-in one, a batch of 32."""
    classifier = load_classifier().folded()
    return _beside_bare_network(classifier, _inputs(classifier, pictures[:BATCH], "squash"))


def explain_vgg19(pictures: Sequence[Path]) -> dict[str, Any]:
    """Grad-CAM beside the network alone: VGG19 with random weights, a batch of 32."""
    classifier = load_architecture(ModelOptions("vgg19")).folded()
    return _beside_bare_network(classifier, _inputs(classifier, pictures[:BATCH], "squash"))


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
    classifier: Classifier, run: Run, pictures: Sequence[Path], batch_size: int, streams: int
) -> dict[str, Any]:
    inputs = _inputs(classifier, pictures[:_DISTINCT_INPUTS])
    repeated = [inputs[number % len(inputs)] for number in range(len(pictures))]
    batches = batches_of(repeated, batch_size)
    warm_up(run, batches)
    return {"seconds": time_all(run, batches, streams), "pictures": len(pictures)}


def _beside_bare_network(classifier: Classifier, inputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Times both in turn, so that a machine that slows down slows both."""
    run = bare_network(classifier)
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
        "pictures": len(inputs),
    }


def _timed(function: Callable[[Any], Any], items: Sequence[Any]) -> dict[str, Any]:
    return {"seconds": time_all(function, items, usable_cores()), "pictures": len(items)}
