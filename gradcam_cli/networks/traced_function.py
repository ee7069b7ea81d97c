"""A TensorFlow function that is traced once and run for batch after batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.networks.internals import allow_threads, make_capturing_graph
from gradcam_cli.networks.raised_inside import errors_for_users
from gradcam_cli.runtime.stderr import without_library_messages

Trace = Callable[..., Sequence[tf.Tensor]]
Run = Callable[..., Sequence[np.ndarray]]


@dataclass(frozen=True)
class ConstantGraph:
    """A graph that depends only on its inputs.

    Attributes:
        graph: The operations.
        inputs: The names of its input tensors, in order.
        outputs: The names of its output tensors.
    """

    graph: tf.Graph
    inputs: Sequence[str]
    outputs: Sequence[str]


class TracedFunction:
    """Runs a graph, also from several threads at once.

    On a CPU, a graph that depends only on its inputs runs in a session. A `tf.function` keeps a
    dozen copies of the constants in it and is also optimized for GPUs. With it, the built-in
    network, whose weights are constants, would take twice as long to get ready, and 80 MB more.

    Attributes:
        graph: The graph that runs in a session; None if there is none.
    """

    def __init__(
        self,
        trace: Trace,
        signature: Sequence[tf.TensorSpec],
        *,
        is_constant: bool = False,
        graph: ConstantGraph | None = None,
    ) -> None:
        """Traces the function.

        Args:
            trace: A function from symbolic tensors to symbolic tensors.
            signature: The shapes and dtypes of its arguments.
            is_constant: Whether it uses no variables.
            graph: The result of an earlier, equal tracing for a session.
        """
        self._lock = Lock()
        self._is_optimized = False
        self.graph: ConstantGraph | None = None
        if not tf.config.list_logical_devices("GPU"):
            self.graph = graph or (_trace_constant(trace, signature) if is_constant else None)
        run = None if self.graph is None else _in_session(self.graph)
        if run is None:
            self.graph = None
            run = _in_function(trace, signature)
        self._run = run

    def __call__(self, *inputs: np.ndarray) -> Sequence[np.ndarray]:
        """Computes the outputs.

        Args:
            inputs: Arrays as in the signature.

        Returns:
            The outputs, in order.

        Raises:
            tensorflow.errors.ResourceExhaustedError: There isn't enough memory.
            UnsupportedModelError: The outputs of a network are other than they were said to be.
        """
        with self._alone_at_first(), errors_for_users():
            return self._run(*inputs)

    @contextmanager
    def _alone_at_first(self) -> Iterator[None]:
        """Makes other threads wait while TensorFlow optimizes the graph in its first run.

        Otherwise each of them would do the same, and take the memory for it.
        """
        if self._is_optimized:
            yield
            return
        # TensorFlow 2.18 to 2.20 remark on an optimization then, whatever the log level.
        quiet = nullcontext() if self.graph is None else without_library_messages()
        with self._lock, quiet:
            yield
            self._is_optimized = True


def _trace_constant(trace: Trace, signature: Sequence[tf.TensorSpec]) -> ConstantGraph | None:
    """Traces a function into its own graph; None if it depends on more than its inputs."""
    graph = make_capturing_graph("trace")
    if graph is None:
        return None
    with graph.as_default():
        inputs = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in signature]
        outputs = trace(*inputs)
    if graph.captures:
        return None
    allow_threads(graph)
    # Store names, because tensors can't be looked up: == compares their values.
    return ConstantGraph(
        graph, [tensor.name for tensor in inputs], [tensor.name for tensor in outputs]
    )


def _in_session(graph: ConstantGraph) -> Run | None:
    """Opens a session; None if TensorFlow has no sessions any more for such a graph."""
    try:
        session = tf.compat.v1.Session(graph=graph.graph, config=_session_config())
        run: Run = session.make_callable(list(graph.outputs), list(graph.inputs))
    except (AttributeError, TypeError):
        return None
    return run


def _session_config() -> Any:
    config = tf.compat.v1.ConfigProto()
    config.intra_op_parallelism_threads = tf.config.threading.get_intra_op_parallelism_threads()
    # A negative number runs the operations one after the other, in the caller's thread.
    config.inter_op_parallelism_threads = -1
    rewriting = config.graph_options.rewrite_options
    # The optimizers that help networks for images. Each of the other default ones copies all
    # weights once more, for benefits only on GPUs or for none.
    rewriting.optimizers.extend(["function", "constfold", "arithmetic", "dependency", "remap"])
    rewriting.meta_optimizer_iterations = rewriting.ONE
    return config


def _in_function(trace: Trace, signature: Sequence[tf.TensorSpec]) -> Run:
    function = tf.function(trace, autograph=False).get_concrete_function(*signature)

    def run(*inputs: np.ndarray) -> Sequence[np.ndarray]:
        return [tensor.numpy() for tensor in function(*map(tf.constant, inputs))]

    return run
