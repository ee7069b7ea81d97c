"""`explain` of inputs in memory, warm, with the classes given."""

import importlib
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

_BATCH = 32
_REPEATS = 3


def measure_explain(name: str, inputs: np.ndarray) -> dict[str, Any]:
    """Measures gradcam's or Xplique's; beside gradcam's the network alone, in turn with it.

    Args:
        name: A peer with `load_explainer`.
        inputs: (N, height, width, 3) uint8 RGB.
    """
    explainer = importlib.import_module(f"benchmarks.peers.{name}").load_explainer()
    inputs = inputs.astype(np.float32)
    scores = explainer.model.predict(inputs, batch_size=_BATCH, verbose=0)
    targets = np.eye(scores.shape[-1], dtype=np.float32)[scores.argmax(-1)]
    runs = [lambda: explainer.explain(inputs, targets).numpy()]
    if name == "gradcam_api":
        runs.append(_network_alone(inputs))
    medians = _time_in_turn(runs)
    keys = ("seconds", "bare_seconds")
    return {**dict(zip(keys, medians, strict=False)), "pictures": len(inputs)}


def _network_alone(inputs: np.ndarray) -> Callable[[], object]:
    # It imports TensorFlow, which the peer does first.
    from benchmarks.bare_network import STREAM_BATCH, bare_network, batches_of, time_all
    from gradcam_cli.models.loading import load_classifier
    from gradcam_cli.runtime.cores import divide_cores

    run = bare_network(load_classifier().folded())
    batches = batches_of(inputs, STREAM_BATCH)
    streams = divide_cores(len(inputs)).streams
    return lambda: time_all(run, batches, streams)


def _time_in_turn(runs: Sequence[Callable[[], object]]) -> list[float]:
    """Gives the medians; a machine that slows down slows all."""
    seconds: list[list[float]] = [[] for _ in runs]
    for repeat in range(_REPEATS + 1):
        for run, of_run in zip(runs, seconds, strict=True):
            started = time.perf_counter()
            run()
            if repeat:  # not the first, which traces
                of_run.append(time.perf_counter() - started)
    return [median(of_run) for of_run in seconds]
