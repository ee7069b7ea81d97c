"""Keras models as networks to explain.

Layer outputs are obtained by recording the layers' calls while the model is traced, not by
building a second model. So functional, sequential, subclassed and nested models all work:
whatever was called was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.networks.channels_last import channels_last_operations
from gradcam_cli.networks.forward import LayerNode, Recording
from gradcam_cli.networks.inputs import NetworkInput, find_explained, with_grey_pictures
from gradcam_cli.networks.internals import sublayers
from gradcam_cli.networks.layer_calls import Interceptor, intercepted_calls
from gradcam_cli.networks.layout import (
    to_last,
    with_channels_first,
    with_channels_last,
    without_channel,
)
from gradcam_cli.networks.operations import SIZE_OPERATIONS, operations_between
from gradcam_cli.networks.time_steps import calls_of_steps, innermost

if TYPE_CHECKING:
    import keras

# (N, classes); (N, rows, columns) or (N, positions, classes); (N, rows, columns, classes)
_RANKS_OF_SCORES = (2, 3, 4)
_TRANSPARENT_KINDS = frozenset(
    {
        "AlphaDropout",
        "AveragePooling2D",
        "AveragePooling3D",
        "Cropping2D",
        "Cropping3D",
        "Dropout",
        "Flatten",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "MaxPooling2D",
        "MaxPooling3D",
        "Permute",
        "Reshape",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "ZeroPadding2D",
        "ZeroPadding3D",
    }
)


_RANK_OF_BATCHES = 4


class KerasNetwork:
    """A model of Keras 3, or of Keras 2 through the package tf-keras.

    Attributes:
        model: The model.
        output: The name of the output with the class scores; None if there is only one.
        explained: The name of the input whose pictures are explained, as the caller gave it.
        classes_only: Whether outputs that aren't one score for each class are refused.
        is_detector: Whether all outputs are recorded, whatever they are.
        is_constant: Always false: its weights are variables.
    """

    is_constant = False

    def __init__(
        self,
        model: keras.Model,
        output: str | None = None,
        *,
        explained: str | None = None,
        classes_only: bool = True,
        is_detector: bool = False,
    ) -> None:
        """Takes a model.

        Args:
            model: The model, which is never changed.
            output: The name of the output with the class scores, if there are several.
            explained: The name of the input whose pictures are explained; None for the first
                that takes pictures.
            classes_only: Whether to refuse outputs that aren't one score for each class.
            is_detector: Whether to record all outputs, whatever they are.
        """
        self.model = model
        self.output = output
        self.explained = explained
        self.classes_only = classes_only
        self.is_detector = is_detector

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.model.name)

    @cached_property
    def channels_first(self) -> bool:
        """Whether the model takes (N, channels, height, width)."""
        return any(
            getattr(layer, "data_format", None) == "channels_first"
            for _, layer in walk_layers(self.model)
        )

    @cached_property
    def inputs(self) -> Sequence[NetworkInput]:
        """Its inputs, in the order of the model.

        Raises:
            UnsupportedModelError: The model was never called, so its input shape isn't known.
        """
        symbolic = getattr(self.model, "inputs", None)
        built_for = (self.model.get_build_config() or {}).get("input_shape")
        if symbolic:
            return with_grey_pictures(
                NetworkInput(
                    _name_of(tensor),
                    self._channels_last(tuple(tensor.shape)),
                    tf.as_dtype(tensor.dtype).name,
                )
                for tensor in symbolic
            )
        if built_for and all(size is None or isinstance(size, int) for size in built_for):
            return [NetworkInput("", self._channels_last(tuple(built_for)), "float32")]
        raise UnsupportedModelError(
            f"{self.name}: the model doesn't say what input it takes; call it on a picture "
            f"before saving it"
        )

    @property
    def explained_input(self) -> NetworkInput:
        """The input whose pictures are explained."""
        return find_explained(self.name, self.inputs, self.explained)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of the explained input, with the channels last; None for axes of any length.

        Raises:
            UnsupportedModelError: The model was never called, so its input shape isn't known.
        """
        return self.explained_input.shape

    def explaining(self, name: str) -> KerasNetwork:
        """Returns the same network with another explained input."""
        return KerasNetwork(
            self.model,
            self.output,
            explained=name,
            classes_only=self.classes_only,
            is_detector=self.is_detector,
        )

    def _channels_last(self, whole: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if self.channels_first and len(whole) == _RANK_OF_BATCHES:
            whole = tuple(whole[axis] for axis in to_last(_RANK_OF_BATCHES))
        return whole[1:]

    @cached_property
    def takes_grey(self) -> bool:
        """Whether the model takes (N, height, width): grey pictures, or steps with features."""
        try:
            return len(self.input_shape) == 2
        except UnsupportedModelError:
            return False

    @property
    def parameters(self) -> int:
        """The number of values in its weights."""
        return int(self.model.count_params())

    @property
    def nodes(self) -> list[LayerNode]:
        """Its layers; a layer comes before the layers nested in it."""
        top_level = {id(layer): index for index, layer in enumerate(self.model.layers)}
        return [
            LayerNode(
                path,
                top_level.get(id(layer)),
                type(layer).__name__,
                layer.count_params() if layer.built else 0,
                type(innermost(layer)).__name__ in _TRANSPARENT_KINDS,
            )
            for path, layer in walk_layers(self.model)
        ]

    def weights(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields its weights, floating-point ones only: the layer, the name, the values."""
        # Inner layers first, because an outer one lists their weights too.
        owners: dict[int, str] = {}
        for path, layer in reversed(list(walk_layers(self.model))):
            for weight in layer.weights:
                owners.setdefault(id(weight), path)
        for weight in self.model.weights:
            if tf.as_dtype(weight.dtype).is_floating:
                name = weight.name.rpartition("/")[2].partition(":")[0]
                yield owners.get(id(weight), self.name), name, weight.numpy()

    def record(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor] | None = None) -> Recording:
        """Calls the model for inference in a graph and records its layers' outputs.

        Args:
            inputs: (N, height, width, channels) float32.
            others: The model's other inputs by name, each (N, ...) float32, with the channels of
                pictures last.

        Raises:
            UsageError: The model has several outputs and none was named, or none has the name,
                or an input is missing.
            UnsupportedModelError: The output isn't a score for each class.
        """
        calls: list[tuple[str, tf.Tensor]] = []
        called: list[keras.Model] = []

        def noted(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            called.append(self.model)
            return call(*args, **kwargs)

        of_steps = calls_of_steps(layer for _, layer in walk_layers(self.model))
        with (
            channels_last_operations(),
            intercepted_calls([(self.model, noted), *of_steps, *self._recorders(calls)]),
        ):
            outputs = self.model(self._packed(inputs, others or {}), training=False)
        if not called:
            raise UnsupportedModelError(
                f"{self.name}: this version of Keras calls layers in an unsupported way; check "
                f"which versions gradcam supports"
            )
        named = self._named(outputs)
        layer_outputs = _last_calls(calls, inputs if others else None)
        if self.is_detector:
            return Recording(next(iter(named.values())), layer_outputs, named)
        if self.classes_only:
            return Recording(choose_output(named, self.output), layer_outputs)
        return Recording(next(iter(named.values())), layer_outputs)

    def _packed(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor]) -> Any:
        """Packs the inputs into the structure that the model was made with."""
        try:
            structure = self.model.input
        except (AttributeError, ValueError):
            structure = None
        if structure is None:
            return self._in_layout(inputs, _RANK_OF_BATCHES - self.takes_grey)
        explained = self.explained_input.name

        def tensor_for(symbolic: Any) -> tf.Tensor:
            name = _name_of(symbolic)
            if name == explained:
                return self._in_layout(inputs, len(symbolic.shape))
            if name not in others:
                raise UsageError(
                    f"{self.name} has {len(self.inputs)} inputs, and {name} has no value"
                )
            return tf.cast(self._in_layout(others[name], len(symbolic.shape)), symbolic.dtype)

        return tf.nest.map_structure(tensor_for, structure)

    def _in_layout(self, values: tf.Tensor, rank: int) -> tf.Tensor:
        values = without_channel(values, rank)
        is_turned = self.channels_first and values.shape.rank == _RANK_OF_BATCHES
        return with_channels_first(values) if is_turned else values

    def _named(self, outputs: Any) -> dict[str, tf.Tensor]:
        if isinstance(outputs, dict):
            return outputs
        tensors = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        names = getattr(self.model, "output_names", None)
        if names is None or len(names) != len(tensors):
            names = [f"output_{number}" for number in range(len(tensors))]
        return dict(zip(names, tensors, strict=True))

    def _recorders(
        self, calls: list[tuple[str, tf.Tensor]]
    ) -> Iterator[tuple[keras.Layer, Interceptor]]:
        """Makes for each layer the interceptor that adds its output to ``calls``."""
        # A layer that occurs in several places has several paths.
        paths: dict[int, list[str]] = {}
        layers = list(walk_layers(self.model))
        for path, layer in layers:
            paths.setdefault(id(layer), []).append(path)
        for _, layer in layers:
            if id(layer) in paths:
                yield layer, _recorder(calls, paths.pop(id(layer)), self.channels_first)


def _recorder(
    calls: list[tuple[str, tf.Tensor]], paths: Sequence[str], channels_first: bool
) -> Interceptor:
    def recorded(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        if not isinstance(result, tf.Tensor):
            return result
        feature_map = result
        if channels_first and result.shape.rank == 4:
            # The network must continue with the recorded tensor, or the scores wouldn't depend
            # on it.
            feature_map = with_channels_last(result)
            result = with_channels_first(feature_map)
        calls.extend((path, feature_map) for path in paths)
        return result

    return recorded


def _last_calls(
    calls: Sequence[tuple[str, tf.Tensor]], explained: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """Finds the output of each layer's last call, in the order of these calls.

    Args:
        calls: The path and the output of each call, in the order in which the calls ended.
        explained: Of a network with several inputs, the explained one. Siamese networks call the
            same layers for each input, and only the calls that depend on this one count.
    """
    reached: set[str] | None = None
    if explained is not None and len(dict(calls)) < len(calls):
        outputs = [output for _, output in calls]
        reached = {explained.name}
        for op in operations_between(explained, outputs):
            is_reached = any(tensor.name in reached for tensor in op.inputs)
            if is_reached and op.type not in SIZE_OPERATIONS:
                reached.update(tensor.name for tensor in op.outputs)
    found: dict[str, tf.Tensor] = {}
    known: set[str] = set()
    for path, output in calls:
        counts = reached is None or output.name in reached
        if not counts and path in known:
            continue
        known.update([path] * counts)
        # A layer that is called again moves to the end.
        found.pop(path, None)
        found[path] = output
    return found


def _name_of(symbolic: Any) -> str:
    return str(symbolic.name).partition(":")[0]


def walk_layers(model: keras.Layer, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Yields every layer inside a model with its path, outer layers first."""
    for layer in sublayers(model):
        path = f"{prefix}{layer.name}"
        yield path, layer
        yield from walk_layers(layer, f"{path}/")


def choose_output(outputs: dict[str, tf.Tensor], name: str | None) -> tf.Tensor:
    """Finds the class scores among a network's outputs.

    Args:
        outputs: The outputs by name.
        name: The name that the user gave; None if the network has one output.

    Returns:
        (N, classes); or scores at each position, which have one or two more axes.

    Raises:
        UsageError: There are several outputs and none was named, or none has the name.
        UnsupportedModelError: The output can't be either.
    """
    if name is None and len(outputs) > 1:
        raise UsageError(
            f"the model has {len(outputs)} outputs; choose one with --head: {', '.join(outputs)}"
        )
    if name is not None and name not in outputs:
        raise UsageError(f"--head {name}: the model has no such output, only {', '.join(outputs)}")
    output = outputs[name] if name is not None else next(iter(outputs.values()))
    if isinstance(output, tf.Tensor) and output.shape.rank in _RANKS_OF_SCORES:
        if output.dtype.is_integer:
            raise UnsupportedModelError(
                f"the model returns whole numbers, {output.shape}, which have no gradient; save it "
                f"without the last operation, which chooses the class"
            )
        if output.shape.rank > 2 or output.shape[1]:
            return output
    shape = getattr(output, "shape", "something without a fixed shape")
    raise UnsupportedModelError(
        f"the model returns {shape}, not a score for each class, (None, classes)"
    )
