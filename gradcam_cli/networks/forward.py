"""One traced pass through a network, with access to every layer's output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UnusableLayerError, reason
from gradcam_cli.networks.attention import NoAttention, SelfAttention, find_attention
from gradcam_cli.networks.dense import (
    DenseScores,
    before_activation,
    dense_scores,
    may_be_dense,
)
from gradcam_cli.networks.detection import BoxDecoder, DetectedBoxes
from gradcam_cli.networks.grids import Grid, GridTrace, NoGrid
from gradcam_cli.networks.inputs import NetworkInput
from gradcam_cli.networks.normalizations import is_only_normalized
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.tasks import (
    BINARY,
    CLASSIFICATION,
    DETECTION,
    MULTILABEL,
    REGRESSION,
    SEGMENTATION,
)

# Operations between a network's last activation and its output that don't change which number
# belongs to which class.
_TRANSPARENT_OPS = operation_names("Identity", "Cast", "Reshape", "Squeeze", "EnsureShape")
# The choice of the explained class depends on the scores, too.
_CHOOSING = operation_names("OneHot")
_ACTIVATION_OPS = operation_names("Softmax", "Sigmoid")
# The input size for networks that accept any and don't say which they were trained on.
USUAL_LENGTH = 224


@dataclass(frozen=True)
class LayerNode:
    """One layer of a network.

    Attributes:
        path: Its name after the names of the layers that contain it, joined by "/".
        index: Its index among the outermost layers; None for a nested layer.
        kind: Its type as users know it ("Conv2D").
        parameters: The number of values in its weights.
        is_transparent: Whether its output shows no more than its input (pooling, padding,
            dropout).
    """

    path: str
    index: int | None
    kind: str
    parameters: int
    is_transparent: bool


@dataclass(frozen=True)
class Recording:
    """The outputs of a network and of its layers in one call.

    Attributes:
        outputs: The network's output, (N, ...).
        layer_outputs: The output of every layer that was called, by its path, in the order
            in which the calls ended. Pictures are (N, rows, columns, channels), also in
            channels-first networks. For a layer that was called several times, it is the
            last output.
        named: All outputs of the network by name, as the network returns them; empty if the
            network has only one, or isn't a detector.
    """

    outputs: tf.Tensor
    layer_outputs: dict[str, tf.Tensor]
    named: Mapping[str, tf.Tensor] = field(default_factory=dict)


class Network(Protocol):
    """The interface of a network, whatever its source."""

    @property
    def name(self) -> str:
        """The network's own name."""

    @property
    def inputs(self) -> Sequence[NetworkInput]:
        """Its inputs."""

    @property
    def explained_input(self) -> NetworkInput:
        """The input whose pictures are explained."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """The shape of the explained input, with the channels last; None for any length."""

    def explaining(self, name: str) -> Network:
        """Returns the same network with another explained input.

        Args:
            name: The name of the input.
        """

    @property
    def parameters(self) -> int:
        """The number of values in its weights."""

    @property
    def is_constant(self) -> bool:
        """Whether it has no variables: its weights are constants in the graph that it records."""

    @property
    def nodes(self) -> Sequence[LayerNode]:
        """Its layers; a layer comes before the layers nested in it."""

    def weights(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields its weights, floating-point ones only: the layer, the name, the values."""

    def record(self, inputs: tf.Tensor, others: Mapping[str, tf.Tensor] | None = None) -> Recording:
        """Runs the network for inference, inside a graph, and records it.

        Args:
            inputs: (N, height, width, channels) float32, as the network takes them.
            others: Its other inputs by name, each (N, ...) float32; None if it has only one.
        """


@dataclass(frozen=True)
class ForwardPass:
    """The symbolic tensors of one pass, for use inside the function that traced it.

    Attributes:
        inputs: The network's input, (N, height, width, channels).
        logits: The scores before the final softmax or sigmoid, (N, classes) float32, or the
            outputs themselves if the network has no such activation. A classifier with a single
            output unit has two classes: the unit is the logit of the second class, and its
            negative is that of the first.
        probabilities: (N, classes) float32 in [0, 1]: the outputs or, if the network has no
            final activation, the softmax or sigmoid of the logits that suits the task. For
            regression, the values: the outputs as they are.
        activation: The final operation of the network: "Softmax", "Sigmoid" or None.
        last_operation: The type of the last operation that changes the outputs, in the names of
            TensorFlow: "Softmax", "Relu", "BiasAdd".
        units: The length of the outputs' last axis.
        task: What the outputs mean: one of `gradcam_cli.networks.tasks.TASKS`. A classifier with
            a single unit is "binary".
        layer_outputs: As in `Recording`.
        usual_size: The size of an input, without batch and channels, for graphs that accept
            any. A size that is fixed in the graph takes precedence.
        found_dense: The scores at each position, if the output has any, or why its positions
            aren't known. If they are, `logits` are their sums over regions, and `probabilities`
            the shares of the positions at which each class is predicted.
        traced: The positions of all tensors, if they are known already.
        nodes: The layers of the network.
        has_own_scores: Whether the explained scores are made of something else than `logits`.
        detected: For a detector, all candidates. `logits` and `probabilities` are then those of
            one candidate, or those of the best candidate of each class.
    """

    inputs: tf.Tensor
    logits: tf.Tensor
    probabilities: tf.Tensor
    activation: str | None
    last_operation: str
    units: int | None
    task: str
    layer_outputs: dict[str, tf.Tensor]
    usual_size: tuple[int, ...]
    found_dense: DenseScores | NoGrid | None = None
    traced: GridTrace | None = None
    nodes: Sequence[LayerNode] = ()
    has_own_scores: bool = False
    detected: DetectedBoxes | None = None

    @property
    def dense(self) -> DenseScores | None:
        """The scores at each position; None if the network doesn't segment its input."""
        return self.found_dense if isinstance(self.found_dense, DenseScores) else None

    def probabilities_of(self, targets: tf.Tensor) -> tf.Tensor:
        """Returns the weighted sum of the probabilities of the logits, or of the values.

        Args:
            targets: (N, classes) float32, the weights, one-hot for a single class; further columns
                are ignored.

        Returns:
            (N,) float32: for a single class in [0, 1], after softmax or sigmoid; for regression,
            the weighted sum of the values.
        """
        if self.task == REGRESSION and self.activation is None:
            to_probabilities = tf.identity
        else:
            to_probabilities = tf.sigmoid if self.is_independent else tf.nn.softmax
        if targets.shape.rank == 2:
            targets = targets[:, : length_of(self.logits, -1)]
        products = to_probabilities(self.logits) * targets
        return tf.reduce_sum(products, list(range(1, products.shape.rank)))

    @property
    def has_probabilities(self) -> bool:
        """Whether `probabilities_of` says something about the explained scores."""
        return self.dense is None and not self.has_own_scores

    @property
    def is_independent(self) -> bool:
        """Whether each logit determines its own probability, as sigmoid does."""
        if self.detected is not None:
            return self.detected.is_independent
        is_sigmoid = self.activation == "Sigmoid" or self.task in (BINARY, MULTILABEL)
        return is_sigmoid or self.logits.shape[-1] == 1

    def grid(self, path: str) -> Grid | NoGrid:
        """Returns a layer's output as feature maps, or why it has none.

        Args:
            path: A key of `layer_outputs`.
        """
        return self._grids.find(self.layer_outputs[path])

    def depends_on_input(self, path: str) -> bool:
        """Returns whether a layer was called and its output depends on the explained input.

        Args:
            path: The path of a layer.
        """
        output = self.layer_outputs.get(path)
        return output is not None and self._grids.copy(output) is not None

    def uses_patches(self, path: str) -> bool:
        """Returns whether the logits depend on the cells of a layer's output.

        They don't if only a class token beside the patches is used, or nothing at all.

        Args:
            path: A key of `layer_outputs`.
        """
        return self._grids.uses_patches(self.layer_outputs[path])

    def is_sum(self, path: str) -> bool:
        """Returns whether a layer's output is a sum of feature maps, as in a residual block.

        Args:
            path: A key of `layer_outputs`.
        """
        return self._grids.is_sum(self.layer_outputs[path])

    def is_only_normalized(self, path: str) -> bool:
        """Returns whether a layer's output is used only by a normalization of each cell.

        Args:
            path: A key of `layer_outputs`.
        """
        return is_only_normalized(self._grids, self.layer_outputs[path])

    @cached_property
    def attention(self) -> SelfAttention | NoAttention:
        """The self-attention over all tokens, or why there is none."""
        return find_attention(self._grids)

    @cached_property
    def _grids(self) -> GridTrace:
        return self.traced or GridTrace(
            self.inputs, self.logits, list(self.layer_outputs.values()), self.usual_size
        )


# From inputs and targets (N, classes) to the pass and the scores (N,), in a graph.
Scorer = Callable[[tf.Tensor, tf.Tensor], tuple[ForwardPass, tf.Tensor]]


def trace_forward(
    network: Network,
    inputs: tf.Tensor,
    usual_size: tuple[int, ...] | None = None,
    task: str = CLASSIFICATION,
    *,
    others: Mapping[str, tf.Tensor] | None = None,
    region: tf.Tensor | None = None,
    decoder: BoxDecoder | None = None,
    candidates: tf.Tensor | None = None,
) -> ForwardPass:
    """Runs a network for inference inside a graph, and finds its logits.

    Args:
        network: The network.
        inputs: A symbolic tensor that it accepts.
        usual_size: The size of an input, without batch and channels, if any is accepted; None
            for 224 in each direction.
        task: What the outputs mean: one of `gradcam_cli.networks.tasks.TASKS`.
        others: The network's other inputs by name, each (N, ...) float32.
        region: For segmentation, (N, height, width) float32, the region whose scores are summed in
            each input (see `gradcam_cli.networks.conditions.REGION`); None to sum each class where
            it is predicted.
        decoder: For a detector, what reads its outputs; None for other networks.
        candidates: For a detector, (N,) float32, the candidate to explain in each input (see
            `gradcam_cli.networks.conditions.CANDIDATE`); None for the best one of each class.

    Returns:
        The tensors of this pass. The network isn't changed.
    """
    recording = network.record(inputs, others) if others else network.record(inputs)
    usual_size = usual_size or (USUAL_LENGTH,) * (len(inputs.shape) - 2)
    if decoder is not None:
        detected = decoder.decode(recording.named, inputs)
        logits, probabilities = detected.of_candidates(candidates)
        return ForwardPass(
            inputs,
            logits,
            probabilities,
            "Sigmoid" if detected.is_independent else "Softmax",
            logits.op.type,
            logits.shape[-1],
            DETECTION,
            recording.layer_outputs,
            usual_size,
            nodes=network.nodes,
            detected=detected,
        )
    if may_be_dense(inputs, recording.outputs):
        return replace(_segmented(inputs, recording, usual_size, region), nodes=network.nodes)
    outputs, activation = recording.outputs, None
    values = tf.cast(outputs, tf.float32)
    logits = values
    tensor = outputs
    while tensor.op.type in _TRANSPARENT_OPS:
        tensor = tensor.op.inputs[0]
    if tensor.op.type in _ACTIVATION_OPS:
        activation = tensor.op.type
        logits = tf.reshape(tf.cast(tensor.op.inputs[0], tf.float32), tf.shape(outputs))
        logits.set_shape(outputs.shape)
    if activation == "Softmax" and task == REGRESSION:
        # Its outputs are probabilities, whatever the loss.
        task = CLASSIFICATION
    probabilities = values
    if logits.shape[-1] == 1 and task != REGRESSION:
        logits = tf.concat([-logits, logits], axis=-1)
        positive = values if activation else tf.sigmoid(logits[:, 1:])
        probabilities = tf.concat([1 - positive, positive], axis=-1)
        task = BINARY if task == CLASSIFICATION else task
    elif activation is None and task != REGRESSION:
        probabilities = tf.sigmoid(logits) if task == MULTILABEL else tf.nn.softmax(logits)
    return ForwardPass(
        inputs,
        logits,
        probabilities,
        activation,
        tensor.op.type,
        outputs.shape[-1],
        task,
        recording.layer_outputs,
        usual_size,
        nodes=network.nodes,
    )


def _segmented(
    inputs: tf.Tensor,
    recording: Recording,
    usual_size: tuple[int, ...],
    region: tf.Tensor | None,
) -> ForwardPass:
    """Reads the output of a network as scores at each position, if its positions are known."""
    outputs, layer_outputs = recording.outputs, recording.layer_outputs
    raw, activation, last = before_activation(outputs)
    grids = GridTrace(inputs, raw, list(layer_outputs.values()), usual_size)
    dense = dense_scores(outputs, raw, activation, grids, region)
    if isinstance(dense, NoGrid):
        logits = tf.cast(raw, tf.float32)
        values = tf.cast(outputs, tf.float32) if activation else tf.nn.softmax(logits)
        units = outputs.shape[-1]
    else:
        logits, values, units = dense.sums(), dense.shares(), dense.units
    return ForwardPass(
        inputs,
        logits,
        values,
        activation,
        last,
        units,
        SEGMENTATION,
        layer_outputs,
        usual_size,
        dense,
        grids,
    )


def differentiate(scores: tf.Tensor, layer_output: tf.Tensor, layer: str) -> tf.Tensor:
    """Differentiates scores with respect to a layer's output, in their graph.

    Args:
        scores: (N,), each depending only on its own input.
        layer_output: (N, ..., K).
        layer: The path of the layer.

    Returns:
        The shape and dtype of the layer's output.

    Raises:
        UnusableLayerError: An operation between the layer and the scores has no gradient.
    """
    gradients: tf.Tensor | None
    try:
        (gradients,) = tf.gradients(scores, layer_output)
    except LookupError as error:
        raise UnusableLayerError(
            f"no gradient of the class score reaches layer {layer} ({reason(error)}); choose a "
            f"later layer, or a method that needs no gradients, such as eigencam or rise"
        ) from error
    if gradients is None:
        kind = _find_cut(scores, layer_output)
        where = "" if kind is None else f": the operation {kind} after it passes none back"
        raise UnusableLayerError(
            f"no gradient of the class score reaches layer {layer}{where}; choose a later layer, "
            f"or a method that needs no gradients, such as eigencam or rise"
        )
    return gradients


def dependents(tensor: tf.Tensor) -> dict[str, tf.Operation]:
    """Finds all operations that depend on a tensor.

    Args:
        tensor: A tensor in a graph.

    Returns:
        The operations by name.
    """
    found: dict[str, tf.Operation] = {}
    waiting = list(tensor.consumers())
    while waiting:
        op = waiting.pop()
        if op.name not in found:
            found[op.name] = op
            waiting.extend(other for output in op.outputs for other in output.consumers())
    return found


def _find_cut(scores: tf.Tensor, layer_output: tf.Tensor) -> str | None:
    """Finds the type of the operation at which the gradient of the scores ends."""
    below = {name: op for name, op in dependents(layer_output).items() if op.outputs and op.inputs}
    tensors = [op.outputs[0] for op in below.values()]
    gradients = tf.gradients(scores, tensors)
    reached = {
        tensor.op.name
        for tensor, gradient in zip(tensors, gradients, strict=True)
        if gradient is not None
    }
    for name, op in below.items():
        if name not in reached or op.type in _CHOOSING:
            continue
        before = [tensor.op for tensor in op.inputs if tensor.op.name in below]
        if all(other.name not in reached for other in before):
            # What made integers is more telling than what is done with them.
            while before and not op.inputs[0].dtype.is_floating:
                op = before[0]
                before = [tensor.op for tensor in op.inputs if tensor.op.name in below]
            return str(op.type)
    return None


def length_of(tensor: tf.Tensor, axis: int) -> int:
    """Returns the length of an axis that is statically known, also while a graph is traced.

    Args:
        tensor: Any tensor.
        axis: The index of the axis; may be negative.
    """
    length = tensor.shape[axis]
    assert length is not None
    return length
