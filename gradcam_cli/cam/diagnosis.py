"""Finds out why a map shows nothing, by one more pass through the network.

The gradient of the score is followed from the score back to the explained layer. Where it ends,
an activation function is dead or saturated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.blank_maps import BlankMap, BlankReason
from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.forward import ForwardPass, Network, Scorer, dependents
from gradcam_cli.networks.grids import Grid
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.tasks import REGRESSION
from gradcam_cli.networks.weights import broken_weights, describe_broken

# From inputs, targets, the pass, its scores and the path of a layer to maps before the ReLU.
MapsOfLayer = Callable[[tf.Tensor, tf.Tensor, ForwardPass, tf.Tensor, str], tf.Tensor]

# What a pass computes, by name.
_Found = Mapping[str, np.ndarray]

_RELUS = operation_names("Relu", "Relu6")
_SATURATING = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "Elu": "ELU",
    "Selu": "SELU",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "ClipByValue": "clipping",
    "Minimum": "clipping",
    "Maximum": "clipping",
}
_LIMITING = operation_names(*_SATURATING)
# Products of smaller numbers vanish in float32.
_VANISHING = 1e-30
# Rounding makes equal cells differ by less than this part of their value.
_EQUAL = 1e-5
_HALF_RANGE = 65504
# They concern the map, not the prediction.
_OF_MAPS = (BlankReason.NONFINITE_GRADIENTS, BlankReason.NONFINITE_MAP)


@dataclass(frozen=True)
class _OfLayer:
    """Numbers about an explained layer and its map.

    Attributes:
        cells: The number of cells of its feature maps.
        largest: The largest absolute value of the feature maps.
        spread: The largest difference between two cells of one feature map.
        gradient: The largest absolute value of the gradient of the score.
        lowest: The minimum of the map before the ReLU; NaN if there is one, or if the map isn't
            known.
        highest: Its maximum.
    """

    cells: float
    largest: float
    spread: float
    gradient: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class _Gate:
    """An operation that may end the gradient.

    Attributes:
        kind: The type of the operation.
        layer: The layer that it belongs to.
        after: The explained layers, by their numbers, on whose output it depends.
    """

    kind: str
    layer: str
    after: frozenset[int]


class Diagnosis:
    """Finds the reasons for maps that show nothing. Several threads can use it."""

    def __init__(
        self,
        network: Network,
        scorer: Scorer,
        layers: Sequence[str],
        input_shape: Sequence[int | None],
        target_shape: Sequence[int | None],
        *,
        maps: MapsOfLayer | None,
        uses_layer: bool = True,
        uses_gradients: bool = True,
        has_sign: bool = False,
        fuses_layers: bool = False,
    ) -> None:
        """Prepares the pass; nothing is traced yet.

        Args:
            network: The network, to look through its weights.
            scorer: Runs the network in a graph.
            layers: The paths of the explained layers.
            input_shape: The shape of one input.
            target_shape: The shape of one input's targets.
            maps: Computes the method's maps in the graph; None for a method that runs the
                network many times.
            uses_layer: Whether the method explains the layers, not the whole network.
            uses_gradients: Whether the map is empty where the score has no gradient.
            has_sign: Whether negative values of the map are evidence against the class.
            fuses_layers: Whether the method leaves out layers that it finds unimportant.
        """
        self._network = network
        self._scorer = scorer
        self._layers = layers
        self._maps = maps
        self._uses_layer = uses_layer
        self._uses_gradients = uses_gradients
        self._has_sign = has_sign
        self._fuses_layers = fuses_layers
        self._lock = Lock()
        self._paths: list[str] = []
        self._usable: list[str] = []
        self._gates: list[_Gate] = []
        self._dtypes: dict[str, str] = {}
        self._is_value = False
        self._function = tf.function(
            self._trace,
            input_signature=[
                tf.TensorSpec((None, *input_shape), tf.float32),
                tf.TensorSpec((None, *target_shape), tf.float32),
            ],
            autograph=False,
        )

    def explain(
        self,
        inputs: np.ndarray | tf.Tensor,
        targets: np.ndarray | tf.Tensor,
        *,
        was_finite: bool,
        multiplied: bool = False,
    ) -> BlankMap:
        """Finds out why a map is blank.

        Args:
            inputs: (1, ..., channels) float32, as the scorer takes them.
            targets: (1, classes) float32, as the scorer takes them.
            was_finite: Whether the map was all zeros, not NaN or infinity.
            multiplied: Whether the map is the product of those of all layers.
        """
        found = self._look(inputs, targets)
        if found is None:
            return _unknown()
        layers = _layers_of(found)
        broken = self._find_broken(found, layers, was_finite=was_finite)
        if broken is not None:
            return _blank(*broken)
        if not multiplied:
            # The maps of all layers are blank. The first one tells why, unless it doesn't count, as
            # the levels of a detector that haven't made the explained box.
            number = next((n for n, layer in enumerate(layers) if layer.gradient), 0)
            return self._find_blank(found, number, layers[number])
        for number, layer in enumerate(layers):
            # It is NaN if the map isn't known.
            if layer.highest <= 0:
                return self._find_blank(found, number, layer)
            if self._maps is None:
                blank = self._find_blank(found, number, layer)
                if blank.reason != BlankReason.NOTHING_POSITIVE:
                    return blank
        are_known = self._maps is not None
        names = " and ".join(self._layers)
        return _blank(
            BlankReason.NO_COMMON_CELL,
            f"the maps of layers {names} have no cell in common, so their product is 0"
            f"{'' if are_known else ', or one of them is blank'}; try --fuse mean or other layers",
        )

    def explain_constant(
        self, inputs: np.ndarray | tf.Tensor, targets: np.ndarray | tf.Tensor
    ) -> BlankMap:
        """Finds out why a map is the same everywhere, but not zero.

        Args:
            inputs: As for `explain`.
            targets: As for `explain`.
        """
        found = self._look(inputs, targets)
        layers = [] if found is None else _layers_of(found)
        broken = None if found is None else self._find_broken(found, layers, was_finite=True)
        if broken is not None:
            reason, cause = broken
            return BlankMap(reason, f"the map is meaningless: {cause}")
        names = " and ".join(self._layers)
        if self._uses_layer and layers and all(layer.cells == 1 for layer in layers):
            return BlankMap(
                BlankReason.SINGLE_CELL,
                f"the map shows no place: layer {names} has a single cell for the whole picture; "
                f"{self._advise_layer(found, 'a larger --size')}",
            )
        if self._uses_layer and layers and all(map(_is_constant, layers)):
            return self._constant_activations(found, names)
        return BlankMap(
            BlankReason.CONSTANT_MAP,
            "the map shows no place: it is the same everywhere; try another layer or method",
        )

    def explain_prediction(
        self, inputs: np.ndarray | tf.Tensor, targets: np.ndarray | tf.Tensor
    ) -> str:
        """Finds out why a prediction is NaN or infinite.

        Args:
            inputs: As for `explain`.
            targets: As for `explain`.

        Returns:
            A clause with the reason, and what to do.
        """
        found = self._look(inputs, targets)
        if found is not None:
            broken = self._find_broken(found, _layers_of(found), was_finite=False)
            if broken is not None and broken[0] not in _OF_MAPS:
                return broken[1]
        return "the outputs of its layers are finite, but its last operation overflows"

    def _look(
        self, inputs: np.ndarray | tf.Tensor, targets: np.ndarray | tf.Tensor
    ) -> _Found | None:
        """Runs the pass; None if there isn't enough memory for it."""
        with self._lock:
            # A network that isn't built yet can't be built inside a graph.
            _ = self._network.is_constant
            try:
                found = self._function(
                    tf.constant(inputs, tf.float32), tf.constant(targets, tf.float32)
                )
            except tf.errors.ResourceExhaustedError:
                return None
            return {name: tensor.numpy() for name, tensor in found.items()}

    def _trace(self, inputs: tf.Tensor, targets: tf.Tensor) -> dict[str, tf.Tensor]:
        forward, scores = self._scorer(inputs, targets)
        self._is_value = forward.task == REGRESSION
        outputs = {
            path: output
            for path, output in forward.layer_outputs.items()
            if output.dtype.is_floating
        }
        self._paths = list(outputs)
        self._dtypes = {path: output.dtype.name for path, output in outputs.items()}
        self._usable = [
            path
            for path in outputs
            if isinstance(forward.grid(path), Grid) and forward.uses_patches(path)
        ]
        gates = self._find_gates(forward, scores)
        self._gates = [gate for gate, _, _ in gates]
        before = [tensor for _, entries, _ in gates for tensor in entries]
        after = [leaving for _, _, leaving in gates]
        gradients = iter(tf.gradients(scores, [*outputs.values(), *after, *before]))
        of_outputs = [next(gradients) for _ in outputs]
        of_after = [_largest(next(gradients)) for _ in after]
        of_before = [
            tf.reduce_max([_largest(next(gradients)) for _ in entries]) for _, entries, _ in gates
        ]
        by_path = dict(zip(outputs, of_outputs, strict=True))
        return {
            "input": all_finite(forward.inputs),
            "score": all_finite(scores),
            "layers": tf.stack(
                [
                    tf.stack(
                        [
                            tf.cast(all_finite(output), tf.float32),
                            _largest(by_path[path]),
                            _spread(output),
                        ]
                    )
                    for path, output in outputs.items()
                ]
            ),
            "explained": tf.stack(
                [
                    self._describe(path, inputs, targets, forward, scores, by_path.get(path))
                    for path in self._layers
                ]
            ),
            "gates": tf.reshape(
                tf.stack([of_after, of_before], axis=-1) if gates else tf.zeros([0]), (-1, 2)
            ),
        }

    def _describe(
        self,
        path: str,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        forward: ForwardPass,
        scores: tf.Tensor,
        gradient: tf.Tensor | None,
    ) -> tf.Tensor:
        """Computes the values of an `_OfLayer`, in their order."""
        output = forward.layer_outputs[path]
        grid = forward.grid(path)
        maps = output
        if isinstance(grid, Grid):
            maps = Arrangement(grid, inputs.graph).to_maps(output)
        lowest = highest = tf.constant(np.nan)
        if self._maps is not None:
            raw = self._maps(inputs, targets, forward, scores, path)
            # A minimum or a maximum may overlook NaN.
            are_whole = all_finite(raw)
            lowest = tf.where(are_whole, tf.reduce_min(raw), np.float32(np.nan))
            highest = tf.where(are_whole, tf.reduce_max(raw), np.float32(np.nan))
        cells = tf.reduce_prod(tf.shape(maps)[1:-1])
        return tf.stack(
            [
                tf.cast(cells, tf.float32),
                _largest(maps),
                _spread(maps),
                _largest(gradient),
                lowest,
                highest,
            ]
        )

    def _find_gates(
        self, forward: ForwardPass, scores: tf.Tensor
    ) -> list[tuple[_Gate, list[tf.Tensor], tf.Tensor]]:
        """Finds the activation functions between the layers and the score.

        Returns:
            Each with its inputs that depend on a layer, and its output.
        """
        owners = _owners(forward, scores)
        below = [frozenset(dependents(forward.layer_outputs[path])) for path in self._layers]
        if not self._uses_layer:
            below = [frozenset(dependents(forward.inputs))]
        gates = []
        for name, (op, layer) in owners.items():
            if op.type not in _RELUS and op.type not in _LIMITING:
                continue
            after = frozenset(number for number, names in enumerate(below) if name in names)
            if not after or not op.outputs[0].dtype.is_floating:
                continue
            reached = frozenset[str]().union(*(below[number] for number in after))
            entries = [
                tensor
                for tensor in op.inputs
                if tensor.op.name in reached
                or any(tensor.name == forward.layer_outputs[path].name for path in self._layers)
                or tensor.name == forward.inputs.name
            ]
            if entries:
                gates.append((_Gate(op.type, layer, after), entries, op.outputs[0]))
        return gates

    def _find_broken(
        self, found: _Found, layers: Sequence[_OfLayer], *, was_finite: bool
    ) -> tuple[BlankReason, str] | None:
        """Returns why values aren't finite, and what to do; None if all are."""
        if not found["input"]:
            return (
                BlankReason.NONFINITE_INPUT,
                "the picture has NaN or infinity after preprocessing; check --preprocess",
            )
        values = [value for layer in layers for value in (layer.largest, layer.gradient)]
        if self._maps is not None:
            values += [value for layer in layers for value in (layer.lowest, layer.highest)]
        is_broken = not (was_finite and found["score"] and np.isfinite(values).all())
        # A ReLU may hide NaN: for some processors, the maximum of NaN and 0 is 0.
        is_broken = is_broken or not found["layers"][:, 0].all()
        broken = broken_weights(self._network, with_infinity=is_broken)
        if broken:
            return BlankReason.NONFINITE_WEIGHTS, describe_broken(broken)
        if not is_broken:
            return None
        of_paths = zip(self._paths, found["layers"], strict=True)
        lost = next((path for path, (finite, *_) in of_paths if not finite), None)
        if lost is not None:
            return BlankReason.NONFINITE_ACTIVATIONS, self._describe_overflow(lost)
        for path, layer in zip(self._layers, layers, strict=True):
            if not np.isfinite(layer.gradient):
                advice = self._advise_layer(found, "a method without gradients, such as eigencam")
                return (
                    BlankReason.NONFINITE_GRADIENTS,
                    f"the gradient of the score at layer {path} has NaN or infinity, although the "
                    f"outputs of all layers are finite; {advice}",
                )
        return (
            BlankReason.NONFINITE_MAP,
            "the method's formula gives NaN or infinity for this picture; try another method",
        )

    def _describe_overflow(self, path: str) -> str:
        kind = self._dtypes[path]
        what = f"the output of layer {path} has NaN or infinity"
        if kind == "float16":
            return f"{what}: float16 ends at {_HALF_RANGE:,}; let the model compute in float32"
        return f"{what}; check --preprocess and whether the model works for other pictures"

    def _find_blank(self, found: _Found, number: int, layer: _OfLayer) -> BlankMap:
        path = self._layers[number]
        if self._uses_layer and layer.largest == 0:
            return _blank(
                BlankReason.ZERO_ACTIVATIONS,
                f"all outputs of layer {path} are 0 for this picture (a dead layer); "
                f"{self._advise_layer(found, 'another picture, and check --preprocess')}",
            )
        if self._uses_layer and layer.cells > 1 and _is_constant(layer):
            return self._constant_activations(found, path)
        if self._uses_gradients and layer.gradient * max(layer.largest, 1.0) < _VANISHING:
            return _blank(*self._explain_zero_gradients(found, number))
        of_what, lack = "class", "no positive evidence for this class"
        against = "all evidence is against it"
        if self._is_value:
            of_what, lack = "output", "nothing raises this value"
            against = "all that the network sees lowers it"
        if self._fuses_layers:
            cause = (
                f"{lack} in any layer whose importance is positive; choose other layers, or "
                f"another method, such as gradcam"
            )
        elif self._has_sign and layer.lowest < 0:
            cause = f"{lack}: {against}; show that with --signed, or try another {of_what}"
        else:
            cause = f"{lack}; try another {of_what}, layer or method"
        return _blank(BlankReason.NOTHING_POSITIVE, cause)

    def _explain_zero_gradients(self, found: _Found, number: int) -> tuple[BlankReason, str]:
        path = self._layers[number]
        where = f"at layer {path}" if self._uses_layer else "at the picture"
        start = f"the gradient of the class score {where} is 0, because"
        advice = self._advise_layer(found, "another class, and check --preprocess")
        gate = next(
            (
                gate
                for gate, (after, before) in zip(self._gates, found["gates"], strict=True)
                if number in gate.after and after > _VANISHING >= before
            ),
            None,
        )
        if gate is not None and gate.kind in _RELUS:
            return (
                BlankReason.DEAD_RELU,
                f"{start} the ReLU in layer {gate.layer} is 0 wherever the class depends on it (a "
                f"dead ReLU); {advice}",
            )
        if gate is not None:
            return (
                BlankReason.SATURATED,
                f"{start} the {_SATURATING[gate.kind]} in layer {gate.layer} is saturated, that "
                f"is, in its flat part; {advice}",
            )
        later = self._paths[self._paths.index(path) + 1 :] if self._uses_layer else self._paths
        gradients = dict(zip(self._paths, found["layers"][:, 1], strict=True))
        lost = next((other for other in later if gradients[other] > _VANISHING), None)
        passer = "nothing after it" if lost is None else f"layer {lost}"
        cause = f"{passer} passes it back" if lost is None else f"{passer} passes none back"
        return BlankReason.ZERO_GRADIENTS, f"{start} {cause}; {advice}"

    def _constant_activations(self, found: _Found | None, path: str) -> BlankMap:
        return BlankMap(
            BlankReason.CONSTANT_ACTIVATIONS,
            f"the map shows no place: the output of layer {path} is the same in all cells for this "
            f"picture; {self._advise_layer(found, 'another picture, and check --preprocess')}",
        )

    def _advise_layer(self, found: _Found | None, otherwise: str) -> str:
        """Names the nearest layer that can be explained and where a map may show something."""
        if found is None or not self._uses_layer:
            return f"try {otherwise}"
        place = self._paths.index(self._layers[0])
        good = [
            number
            for number, (path, (finite, gradient, spread)) in enumerate(
                zip(self._paths, found["layers"], strict=True)
            )
            if path in self._usable
            and path not in self._layers
            and finite
            and np.isfinite(gradient)
            and gradient > _VANISHING
            and spread > 0
        ]
        if not good:
            return f"try {otherwise}"
        nearest = min(good, key=lambda number: (abs(number - place), -number))
        return f"try layer {self._paths[nearest]} or {otherwise}"


def _unknown() -> BlankMap:
    return _blank(
        BlankReason.UNKNOWN,
        "there isn't enough memory to find out why; try another class, layer or method",
    )


def _blank(reason: BlankReason, cause: str) -> BlankMap:
    return BlankMap(reason, f"the map is blank: {cause}")


def _layers_of(found: _Found) -> list[_OfLayer]:
    return [_OfLayer(*map(float, row)) for row in found["explained"]]


def _is_constant(layer: _OfLayer) -> bool:
    return layer.spread <= _EQUAL * layer.largest


def all_finite(tensor: tf.Tensor) -> tf.Tensor:
    """Returns whether all values of a tensor are finite, as a scalar bool."""
    if not tensor.dtype.is_floating:
        return tf.constant(value=True)
    are_finite: tf.Tensor = tf.reduce_all(tf.math.is_finite(tensor))
    return are_finite


def _largest(tensor: tf.Tensor | None) -> tf.Tensor:
    """Returns the largest absolute value, float32, NaN if there is one; 0 for no tensor."""
    if tensor is None:
        return tf.constant(0.0)
    values = tf.cast(tf.convert_to_tensor(tensor), tf.float32)
    # A maximum may overlook NaN.
    largest = tf.reduce_max(tf.abs(values))
    found: tf.Tensor = tf.where(all_finite(values), largest, np.float32(np.nan))
    return found


def _spread(maps: tf.Tensor) -> tf.Tensor:
    """Returns the largest difference between two cells of one channel."""
    if maps.shape.rank is None or maps.shape.rank < 3:
        return tf.constant(0.0)
    axes = list(range(1, maps.shape.rank - 1))
    values = tf.cast(maps, tf.float32)
    spread: tf.Tensor = tf.reduce_max(values, axes) - tf.reduce_min(values, axes)
    return tf.reduce_max(spread)


def _owners(forward: ForwardPass, scores: tf.Tensor) -> dict[str, tuple[Any, str]]:
    """Finds for each operation the layer that it belongs to, by its name.

    That is the first layer, in the order of the calls, whose output depends on it.
    """
    owners: dict[str, tuple[Any, str]] = {}
    last = list(forward.layer_outputs)[-1] if forward.layer_outputs else ""
    ends = [*forward.layer_outputs.items(), (last, scores)]
    for path, end in ends:
        waiting = [end.op]
        while waiting:
            op = waiting.pop()
            if op.name not in owners:
                owners[op.name] = op, path
                waiting.extend(tensor.op for tensor in op.inputs)
    return owners
