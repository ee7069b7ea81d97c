"""A function of TensorFlow that is traced once and run for batch after batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.networks.internals import make_capturing_graph
from gradcam_cli.runtime.stderr import without_library_messages

Trace = Callable[..., Sequence[tf.Tensor]]
Run = Callable[..., Sequence[np.ndarray]]


@dataclass(frozen=True)
class ConstantGraph:
    """A graph that needs nothing but its inputs.

    Attributes:
        graph: The operations.
        inputs: The names of the tensors that it is given, in their order.
        outputs: The names of those that it computes.
    """

    graph: tf.Graph
    inputs: Sequence[str]
    outputs: Sequence[str]


class TracedFunction:
    """Runs a graph, from several threads if need be.

    On the processor, a graph that needs nothing but its inputs runs in a session. A
    `tf.function` keeps a dozen copies of the constants in it, and is optimized for GPUs
    besides: the built-in network, whose weights are constants, takes twice as long to get
    ready so, and 80 MB more.

    Attributes:
        graph: What runs in a session; None where nothing does.
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
            trace: From symbolic tensors to symbolic tensors.
            signature: The shapes and types of what it is given.
            is_constant: It uses no variables.
            graph: What tracing it for a session gave before, and would give again.
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
            inputs: As in the signature.

        Returns:
            The outputs, in their order.

        Raises:
            tensorflow.errors.ResourceExhaustedError: There isn't enough memory.
        """
        with self._alone_at_first():
            return self._run(*inputs)

    @contextmanager
    def _alone_at_first(self) -> Iterator[None]:
        """Keeps other threads waiting while TensorFlow optimizes the graph at its first run.

        They would all do the same, each with the memory that it takes.
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
    """Traces a function into a graph of its own; None if that needs more than its inputs."""
    graph = make_capturing_graph("trace")
    if graph is None:
        return None
    with graph.as_default():
        inputs = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in signature]
        outputs = trace(*inputs)
    if graph.captures:
        return None
    # Tensors themselves can't be looked up any more, since == compares their values.
    return ConstantGraph(
        graph, [tensor.name for tensor in inputs], [tensor.name for tensor in outputs]
    )


def _in_session(graph: ConstantGraph) -> Run | None:
    """Opens a session; None if TensorFlow has none any more that takes a graph of today."""
    try:
        session = tf.compat.v1.Session(graph=graph.graph, config=_session_config())
        run: Run = session.make_callable(list(graph.outputs), list(graph.inputs))
    except (AttributeError, TypeError):
        return None
    return run


def _session_config() -> Any:
    config = tf.compat.v1.ConfigProto()
    config.intra_op_parallelism_threads = tf.config.threading.get_intra_op_parallelism_threads()
    # Less than none: the operations of a batch run one after the other, in the caller's thread.
    config.inter_op_parallelism_threads = -1
    rewriting = config.graph_options.rewrite_options
    # What networks of images gain by. Each that is usual besides copies all weights once more,
    # for what is of use on GPUs, or finds nothing.
    rewriting.optimizers.extend(["function", "constfold", "arithmetic", "dependency", "remap"])
    rewriting.meta_optimizer_iterations = rewriting.ONE
    return config


def _in_function(trace: Trace, signature: Sequence[tf.TensorSpec]) -> Run:
    function = tf.function(trace, autograph=False).get_concrete_function(*signature)

    def run(*inputs: np.ndarray) -> Sequence[np.ndarray]:
        return [tensor.numpy() for tensor in function(*map(tf.constant, inputs))]

    return run
