"""The network alone, as fast as the machine lets it run: what gradcam is measured against."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.models.classifier import Classifier

BATCH = 32
# So many stay in the cache of a core.
STREAM_BATCH = 4
Run = Callable[[np.ndarray], np.ndarray]


def plain_network(classifier: Classifier) -> Run:
    """Gives the Keras model as one `tf.function`, from inputs to its outputs."""
    model, preprocess = classifier.network.model, classifier.preprocess
    return _traced(classifier, lambda inputs: model(preprocess(inputs), training=False))


def bare_network(classifier: Classifier) -> Run:
    """Gives the network as gradcam has it, from inputs to probabilities."""
    return _traced(classifier, lambda inputs: classifier.trace(inputs).probabilities)


def batches_of(inputs: Sequence[np.ndarray], batch_size: int) -> list[np.ndarray]:
    """Stacks inputs of the same shape."""
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for one in inputs:
        by_shape.setdefault(one.shape, []).append(one)
    return [
        np.stack(group[start : start + batch_size])
        for group in by_shape.values()
        for start in range(0, len(group), batch_size)
    ]


def warm_up(run: Run, batches: Sequence[np.ndarray]) -> None:
    """Does what is done once for each shape, and isn't the network's speed."""
    for batch in {batch.shape: batch for batch in batches}.values():
        run(batch)


def time_all(function: Callable[[Any], Any], items: Sequence[Any], threads: int) -> float:
    """Gives the seconds for all items in so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        for _ in pool.map(function, items):
            pass
        return time.perf_counter() - started


def _traced(classifier: Classifier, function: Callable[[tf.Tensor], tf.Tensor]) -> Run:
    signature = tf.TensorSpec((None, *classifier.input_shape), tf.float32)
    traced = tf.function(function, input_signature=[signature], autograph=False)
    return lambda batch: traced(tf.cast(batch, tf.float32)).numpy()
