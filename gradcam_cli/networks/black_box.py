"""Networks that another library runs: their outputs are all that is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import GradcamError, UnsupportedModelError, UsageError, reason
from gradcam_cli.networks.forward import USUAL_LENGTH, LayerNode, Recording, length_of
from gradcam_cli.networks.inputs import NetworkInput, find_explained

BATCH, CHANNELS = "N", "C"
# How probabilities are made of scores again, after the file's own last operation was left out.
_ACTIVATIONS: dict[str | None, Callable[[tf.Tensor], tf.Tensor]] = {
    "Softmax": tf.nn.softmax,
    "Sigmoid": tf.sigmoid,
    None: tf.identity,
}
# Rounding differs between batches of different sizes.
_TOLERANCE = 1e-2
# The sum of probabilities, also of those that are stored as whole numbers of 256ths.
_ROUNDING = 1e-2
# Detectors have so many candidates at least, each with a box of four sides or more.
_LEAST_PLACES, _SIDES = 64, 4
# Fewer numbers may have the length 1 by chance or for another reason.
_LEAST_EMBEDDING = 16
# An even picture.
_GREY = 0.5
_LEAST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Port:
    """An input or output of a model file.

    Attributes:
        name: Its name.
        shape: Its shape, with the batch; None for axes of any length.
        dtype: The name of the NumPy dtype that is stored, such as "uint8".
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def is_integer(self) -> bool:
        """Whether it holds whole numbers."""
        return np.issubdtype(np.dtype(self.dtype), np.integer)


class Runtime(Protocol):
    """A library that runs a model file.

    Attributes:
        inputs: The inputs of the model.
        outputs: Its outputs.
    """

    inputs: Sequence[Port]
    outputs: Sequence[Port]

    def run(self, values: Sequence[np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Runs the model; called from several threads at once.

        Args:
            values: The value of each input, float32, in the model's own layout. The runtime
                converts them to the dtypes of the inputs, and quantizes them.
            outputs: The names of the wanted outputs.

        Returns:
            These outputs, as real numbers where the model's are quantized.

        Raises:
            Exception: The library can't run the model on these values.
        """


@dataclass(frozen=True)
class BoxInput:
    """An input and the meaning of its axes.

    Attributes:
        port: The input.
        axes: A letter for each axis: "NCHW", "NHWC", "CHW" (one picture at a time, without a
            batch axis), "NHW" (grey), "NCTHW" (stacks of pictures); "" for values that aren't
            pictures, or if the meaning isn't known.
        channels: The number of channels, where the shape of the input doesn't say it.
        is_reversed: Whether the channels are blue, green, red.
    """

    port: Port
    axes: str = ""
    channels: int | None = None
    is_reversed: bool = False

    @property
    def has_channels_first(self) -> bool:
        """Whether the channels come before the rows and columns, as in PyTorch."""
        return -1 < self.axes.find(CHANNELS) < self.axes.find("H")

    @property
    def batch(self) -> int | None:
        """The number of pictures in a run; None if any will do."""
        if self.axes and BATCH not in self.axes:
            return 1
        return self.port.shape[0] if self.port.shape else 1

    def described(self) -> NetworkInput:
        """Describes it for the rest of the package, with the channels last."""
        shape = self.port.shape
        if not self.axes:
            return NetworkInput(self.port.name, tuple(shape[1:]), self.port.dtype)
        sides = tuple(
            length
            for axis, length in zip(self.axes, shape, strict=True)
            if axis not in (BATCH, CHANNELS)
        )
        channels = shape[self.axes.index(CHANNELS)] if CHANNELS in self.axes else 1
        return NetworkInput(self.port.name, (*sides, channels or self.channels), self.port.dtype)

    def arranged(self, pictures: np.ndarray) -> np.ndarray:
        """Moves the axes of (N, ..., channels) to where the model has them.

        Args:
            pictures: As many as go into one run.
        """
        if not self.axes:
            return pictures
        if CHANNELS not in self.axes:
            return pictures[..., 0]
        if self.is_reversed:
            pictures = pictures[..., ::-1]
        sides = self.axes.replace(BATCH, "").replace(CHANNELS, "")
        order = [f"{BATCH}{sides}{CHANNELS}".index(axis) for axis in self.axes]
        if BATCH not in self.axes:
            pictures, order = pictures[0], [number - 1 for number in order]
        return np.ascontiguousarray(np.transpose(pictures, order))


class BlackBoxNetwork:
    """A model file as a network without layers.

    Attributes:
        name: The name that the user gave.
        kind: The kind of file in words: "an ONNX file".
        inputs: Its inputs.
        explained_input: The input whose pictures are explained.
        input_shape: The (height, width, channels) of its explained input; None for axes of any
            length.
        parameters: The number of values in its weights.
        is_constant: Always true.
        nodes: Always empty: what happens inside isn't known.
        runtime: The library that runs it.
        metadata: What the file says about itself, by name.
    """

    is_constant = True
    nodes: Sequence[LayerNode] = ()

    def __init__(
        self,
        name: str,
        kind: str,
        runtime: Runtime,
        inputs: Sequence[BoxInput],
        *,
        output: str | None = None,
        activations: Mapping[str, str] | None = None,
        parameters: int = 0,
        weights: Callable[[], Iterator[tuple[str, str, np.ndarray]]] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Takes a model that a library has loaded.

        Args:
            name: The name that the user gave.
            kind: The kind of file in words.
            runtime: The library.
            inputs: The inputs of the model with their axes, in its own order.
            output: The name of the output with the class scores, if there are several.
            activations: The operations, "Softmax" or "Sigmoid", that were left out before outputs,
                by the names of the outputs.
            parameters: The number of values in its weights.
            weights: Yields them as `Network.weights` does; None if they can't be read.
            metadata: What the file says about itself, by name.
        """
        self.name = name
        self.kind = kind
        self.runtime = runtime
        self.parameters = parameters
        self.metadata = dict(metadata or {})
        self._probabilities: set[str] = set()
        self._embeddings: set[str] = set()
        self._output = output
        self._activations = dict(activations or {})
        self._weights = weights
        self._boxes = list(inputs)
        self.inputs = [one.described() for one in self._boxes]
        self._shapes: dict[str, tuple[int, ...]] = {}
        batches = {one.batch for one in self._boxes} - {None}
        # Inputs that want different numbers of rows get one picture at a time.
        self._batch = batches.pop() if len(batches) == 1 else 1 if batches else None
        self._is_detector = False
        self._lock = Lock()
        # TensorFlow only keeps weak references to these functions.
        self._functions: dict[tuple[str, ...], Callable[..., list[np.ndarray]]] = {}
        self._choose(None)

    def _choose(self, explained: str | None) -> None:
        self.explained_input = find_explained(self.name, self.inputs, explained)
        self.input_shape = self.explained_input.shape

    def explaining(self, name: str) -> BlackBoxNetwork:
        """Returns the same network with another explained input."""
        other = copy(self)
        other._choose(name)
        return other

    @property
    def has_known_axes(self) -> bool:
        """Whether the meaning of the axes of its explained input is known."""
        return bool(self._boxes[self.inputs.index(self.explained_input)].axes)

    @property
    def has_chosen_output(self) -> bool:
        """Whether the user chose the output with the class scores."""
        return self._output is not None

    def detecting(self, runtime: Runtime, size: tuple[int, int]) -> BlackBoxNetwork:
        """Returns the same network as a detector, of which all outputs are recorded.

        Args:
            runtime: Runs it, and gives boxes and scores.
            size: The (height, width) of its input.
        """
        other = copy(self)
        other.runtime = runtime
        other._is_detector = True
        other._lock, other._shapes, other._functions = Lock(), {}, {}
        other.input_shape = (*size, self.input_shape[-1])
        return other

    def try_out(self, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """Runs the network on one even grey picture.

        Args:
            size: The (height, width) of the picture.

        Returns:
            All outputs by name, as the runtime gives them, with activations that were left out.

        Raises:
            UnsupportedModelError: The library can't run the model.
        """
        names = [one.name for one in self.runtime.outputs]
        shapes = [
            (*size, one.shape[-1]) if one == self.explained_input else one.shape
            for one in self.inputs
        ]
        values = [
            np.full((1, *(length or USUAL_LENGTH for length in shape)), _GREY, np.float32)
            for shape in shapes
        ]
        rows = [_filled(value, self._batch or 1) for value in values]
        arranged = [box.arranged(row) for box, row in zip(self._boxes, rows, strict=True)]
        found = self._checked(values, lambda: self.runtime.run(arranged, names))
        return dict(zip(names, self.activated(names, found), strict=True))

    def activated(self, names: Sequence[str], outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Applies the activations that were left out before outputs.

        Args:
            names: The names of the outputs.
            outputs: Their values.
        """
        activations = [self._activations.get(name) for name in names]
        return [
            _probabilities(array, kind) if kind else array
            for kind, array in zip(activations, outputs, strict=True)
        ]

    def weights(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields its weights, floating-point ones only: the layer, the name, the values."""
        if self._weights is not None:
            yield from self._weights()

    @property
    def takes_logarithms(self) -> bool:
        """Whether its scores are logarithms of the probabilities that it returns.

        It is known once the network was recorded.
        """
        name = self._output or self._only_output()
        return name in self._probabilities and name not in self._activations

    @property
    def gives_embedding(self) -> bool:
        """Whether its output is a direction, a vector of length 1, and not scores of classes.

        It is known once the network was recorded.
        """
        return (self._output or self._only_output()) in self._embeddings

    @property
    def output(self) -> Port:
        """The output with the class scores.

        Raises:
            UsageError: There are several and none was named, or none has the name.
        """
        outputs = {one.name: one for one in self.runtime.outputs}
        name = self._output or self._only_output()
        if name is None:
            raise UsageError(
                f"{self.name}: has {len(outputs)} outputs; choose the one with the scores of the "
                f"classes with --head: {', '.join(map(_described, outputs.values()))}"
            )
        if name not in outputs:
            raise UsageError(
                f"--head {name}: {self.name} has no such output, only {', '.join(outputs)}"
            )
        return outputs[name]

    def _only_output(self) -> str | None:
        """Returns the only output, or the only one of real numbers: others are labels, counts."""
        names = [one.name for one in self.runtime.outputs]
        real = [one.name for one in self.runtime.outputs if not one.is_integer]
        return names[0] if len(names) == 1 else real[0] if len(real) == 1 else None

    def record(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor] | None = None) -> Recording:
        """Runs the network inside the graph that is being traced.

        Raises:
            UsageError: The model has several outputs and none was named, or none has the name,
                or an input is missing.
            UnsupportedModelError: The output isn't a score for each class, or the library can't
                run the model.
        """
        if self._is_detector:
            every = [one.name for one in self.runtime.outputs]
            tensors = self.record_outputs(inputs, every, others)
            return Recording(tensors[0], {}, dict(zip(every, tensors, strict=True)))
        port = self.output
        if port.is_integer and port.dtype not in ("uint8", "int8"):
            raise UnsupportedModelError(
                f"{self.name}: its output {port.name} holds whole numbers, {port.dtype}, not the "
                f"scores of classes"
            )
        (values,) = self.record_outputs(inputs, [port.name], others)
        self._refuse_candidates(port, values)
        lengths = [length for length in values.shape[1:] if length != 1]
        if values.shape.rank != 2 and len(lengths) > 1:
            raise UnsupportedModelError(
                f"{self.name}: its output {port.name} has the shape "
                f"{(None, *values.shape[1:])}, not a score for each class, (None, classes)"
            )
        classes = lengths[0] if lengths else 1
        scores = tf.reshape(values, [-1, classes])
        activation = self._activations.get(port.name)
        if activation is None and port.name in self._probabilities:
            # Its softmax consists of several operations, or a library hides it.
            scores, activation = tf.math.log(tf.maximum(scores, _LEAST)), "Softmax"
        return Recording(_ACTIVATIONS[activation](scores), {})

    def _refuse_candidates(self, port: Port, values: tf.Tensor) -> None:
        """Refuses one score for each of many boxes or places, as of a detector of one class."""
        count = length_of(values, 1) if values.shape.rank == 3 and values.shape[2] == 1 else 1
        if count < _LEAST_PLACES:
            return
        for other in self.runtime.outputs:
            is_beside = len(other.shape) == 3 and other.shape[1] == count
            if is_beside and (other.shape[2] or 1) >= _SIDES:
                raise UnsupportedModelError(
                    f"{self.name}: its output {port.name} has one score for each of {count} "
                    f"places, whose boxes are probably in {_described(other)}, not a score for "
                    f"each class; only detectors that return decoded boxes can be explained"
                )

    def record_outputs(
        self,
        inputs: tf.Tensor,
        outputs: Sequence[str],
        others: Mapping[str, tf.Tensor] | None = None,
    ) -> list[tf.Tensor]:
        """Runs the network inside the graph that is being traced, and returns raw outputs.

        Args:
            inputs: (N, height, width, channels) float32, as the network takes them.
            outputs: The names of the wanted outputs.
            others: Its other inputs by name.

        Returns:
            The outputs, (N, ...) float32 each, in the layout of the file and before a final
            softmax or sigmoid that was left out. All lengths but N are known.

        Raises:
            UsageError: An input is missing.
            UnsupportedModelError: The library can't run the model.
        """
        given = {**(others or {}), self.explained_input.name: inputs}
        missing = [one.name for one in self.inputs if one.name not in given]
        if missing:
            raise UsageError(
                f"{self.name} has {len(self.inputs)} inputs, and {missing[0]} has no value"
            )
        names = tuple(outputs)
        ordered = [tf.cast(given[one.name], tf.float32) for one in self.inputs]
        shapes = self._find_shapes([tuple(one.shape[1:]) for one in ordered], names)
        if names not in self._functions:

            def run(*arrays: np.ndarray) -> list[np.ndarray]:
                return self._run(arrays, names)

            self._functions[names] = run
        found = tf.numpy_function(
            self._functions[names], ordered, [tf.float32] * len(names), stateful=False
        )
        tensors = [found] if isinstance(found, tf.Tensor) else list(found)
        for tensor, name in zip(tensors, names, strict=True):
            tensor.set_shape((None, *shapes[name]))
        return tensors

    def _find_shapes(
        self, sizes: Sequence[tuple[int | None, ...]], names: tuple[str, ...]
    ) -> dict[str, tuple[int, ...]]:
        """Finds the shapes of outputs, without the batch, by running the network on noise."""
        with self._lock:
            if all(name in self._shapes for name in names):
                return self._shapes
            noise = np.random.default_rng(0)
            shapes = [(1, *(length or USUAL_LENGTH for length in size)) for size in sizes]
            first, second = (
                [noise.random(shape, np.float32) for shape in shapes] for _ in range(2)
            )
            alone = self._try(first, names)
            others = self._try(second, names)
            if self._batch is None and not self._takes_two(first, second, alone, names):
                self._batch = 1
            for name, one, other in zip(names, alone, others, strict=True):
                self._shapes[name] = one.shape[1:]
                if _are_probabilities(one) and _are_probabilities(other):
                    self._probabilities.add(name)
                if _is_embedding(one) and _is_embedding(other):
                    self._embeddings.add(name)
            return self._shapes

    def _takes_two(
        self,
        first: Sequence[np.ndarray],
        second: Sequence[np.ndarray],
        alone: Sequence[np.ndarray],
        names: tuple[str, ...],
    ) -> bool:
        """Returns whether the rows of a batch really are computed each on its own.

        A file may say that it takes any number of pictures and still mix them, because a shape
        inside was fixed when it was exported.
        """
        pair = [np.concatenate(both) for both in zip(first, second, strict=True)]
        try:
            both = self._run(pair, names)
        # Whatever goes wrong, one at a time does work.
        except Exception:
            return False
        return all(
            two.shape == (2, *one.shape[1:])
            and np.allclose(two[0], one[0], _TOLERANCE, _TOLERANCE, equal_nan=True)
            for one, two in zip(alone, both, strict=True)
        )

    def _try(self, values: Sequence[np.ndarray], names: tuple[str, ...]) -> list[np.ndarray]:
        return self._checked(values, lambda: self._run(values, names))

    def _checked(
        self, values: Sequence[np.ndarray], run: Callable[[], list[np.ndarray]]
    ) -> list[np.ndarray]:
        try:
            return run()
        except (MemoryError, GradcamError):
            raise
        # Each library has its own errors.
        except Exception as error:
            size = "×".join(map(str, values[0].shape[1:]))
            raise UnsupportedModelError(
                f"{self.name}: can't be run on inputs of {size} ({reason(error)})"
            ) from error

    def _run(self, arrays: Sequence[np.ndarray], names: Sequence[str]) -> list[np.ndarray]:
        """Runs as many batches as it takes.

        Args:
            arrays: The value of each input, (N, ...) float32.
            names: The names of the wanted outputs.

        Returns:
            The outputs, (N, ...) float32.
        """
        total = len(arrays[0])
        size = self._batch or total
        parts = []
        for start in range(0, total, size):
            rows = [_filled(array[start : start + size], size) for array in arrays]
            values = [box.arranged(row) for box, row in zip(self._boxes, rows, strict=True)]
            found = self.runtime.run(values, names)
            parts.append([_by_picture(array, size) for array in found])
        return [np.concatenate(column)[:total] for column in zip(*parts, strict=True)]


def _described(port: Port) -> str:
    """Returns the name and the shape of an output, without the batch."""
    lengths = "×".join("?" if length is None else str(length) for length in port.shape[1:])
    return f"{port.name} ({lengths or 1})"


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    """Repeats the last row until there are enough for a batch of a fixed size."""
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows


def _by_picture(output: Any, size: int) -> np.ndarray:
    """Gives an output an axis for the pictures of a batch, (N, ...) float32."""
    array = np.asarray(output, np.float32)
    if array.ndim == 1 and len(array) == size and size > 1:
        return array[:, None]
    if array.ndim > 1 and len(array) == size:
        return array
    if size == 1:
        return array[None]
    raise ValueError(f"returns {len(array) if array.ndim else 1} results for {size} pictures")


def _are_probabilities(rows: np.ndarray) -> bool:
    """Returns whether an output must come from a softmax over classes."""
    flat = rows.reshape(len(rows), -1)
    return bool(
        flat.shape[1] > 1
        and (flat >= 0).all()
        and np.abs(flat.sum(axis=1, dtype=np.float64) - 1).max() < _ROUNDING
    )


def _is_embedding(rows: np.ndarray) -> bool:
    """Returns whether an output must be a vector that was divided by its length."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    length = np.sqrt((flat**2).sum(axis=1))
    return flat.shape[1] >= _LEAST_EMBEDDING and bool(np.abs(length - 1).max() < _ROUNDING)


def _probabilities(scores: np.ndarray, activation: str) -> np.ndarray:
    """Applies softmax or sigmoid outside of a graph, along the last axis."""
    if activation == "Sigmoid":
        # exp of a large number would overflow.
        return np.asarray((np.tanh(scores / 2) + 1) / 2)
    with np.errstate(invalid="ignore"):
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
