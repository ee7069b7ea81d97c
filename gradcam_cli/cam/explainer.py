"""Explains batches: from inputs and target classes to class activation maps."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cam.map_function import MapFunction
from gradcam_cli.cam.methods.base import InGraphMethod, Progress, TappedPass, make_method
from gradcam_cli.cam.methods.table import DEFAULT_METHOD
from gradcam_cli.cam.scaling import (
    FUSIONS,
    fuse,
    scale_by_maximum,
    scale_sparse,
    smooth,
    smoothing_runs,
)
from gradcam_cli.cam.upsampling import upsample_at_pitch
from gradcam_cli.errors import UsageError
from gradcam_cli.networks.deferred import DeferredNetwork
from gradcam_cli.networks.forward import ForwardPass
from gradcam_cli.networks.geometry import Pitch, cell_pitch
from gradcam_cli.networks.kept_graphs import KeptGraph, KeptGraphs
from gradcam_cli.networks.layers import choose_tap
from gradcam_cli.networks.traced_function import TracedFunction

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier

DEFAULT_BATCH_SIZE = 32
LayerChoice = str | int | None
_INPUT_PITCH: Pitch = (1.0, 1.0)


@dataclass(frozen=True)
class Explanation:
    """What a network says of a batch, and where it looked for each target class.

    Attributes:
        probabilities: (N, classes) float32 in [0, 1].
        targets: (N, M) int32, the explained classes as indices.
        maps: (N, M, rows, columns) float32 in [0, 1], each scaled to a maximum of 1; all
            zeros where nothing speaks for the class.
    """

    probabilities: np.ndarray
    targets: np.ndarray
    maps: np.ndarray


class Explainer:
    """Explains what a classifier sees with one method, at one layer or several.

    The pass forward, the gradients and the maps are one traced function, so that a batch
    costs little more than the network alone. Methods that run the network many times do
    so in batches.

    Attributes:
        classifier: What is explained.
        layer: The path of the explained layer; of several, joined by " + ".
        method: The name of the method.
        pitch: Vertical and horizontal distance of two cells of a map, in input pixels.
        progress: Told of progress by methods that run the network many times: how many more
            runs are done, and how many the batch takes. None if nobody wants to know.
    """

    def __init__(
        self,
        classifier: Classifier,
        layer: LayerChoice | Sequence[LayerChoice] = None,
        method: str = DEFAULT_METHOD,
        *,
        fusion: str = "mean",
        smoothing: bool = False,
        batch_size: int = DEFAULT_BATCH_SIZE,
        graphs: KeptGraphs | None = None,
        **parameters: Any,
    ) -> None:
        """Chooses the layer and traces the network once, or finds what an earlier run traced.

        Args:
            classifier: What is to be explained.
            layer: A layer's name, path or index; None for the last with a spatial output.
                Of several, the maps are fused, at the size of the input.
            method: A key of `gradcam_cli.cam.methods.table.METHODS`.
            fusion: How the maps of several layers are fused: "mean" or "max".
            smoothing: Average the maps of brighter, darker and mirrored copies.
            batch_size: How many changed inputs go through the network at once, in methods
                that change them.
            graphs: Where graphs of networks that are known by their identity are kept; None
                to trace always.
            **parameters: The method's own parameters, where it has any.

        Raises:
            UnknownLayerError: There is no such layer.
            UnusableLayerError: Nothing can be drawn from that layer.
            UsageError: There is no such method, or it has no use for a layer.
        """
        self.classifier = classifier
        self.method = method
        self.layer: str
        self.pitch: Pitch
        self.progress: Progress | None = None
        self._is_interrupted = False
        self._fusion = fusion
        self._smoothing = smoothing
        self._batch_size = batch_size
        self._graphs = graphs
        self._method = make_method(method, **parameters)
        self._parameters = parameters
        self._requested_layers: list[LayerChoice]
        if isinstance(layer, Sequence) and not isinstance(layer, str):
            self._requested_layers = list(layer)
        else:
            self._requested_layers = [layer]
        if fusion not in FUSIONS:
            raise UsageError(f"there is no fusion {fusion!r}, only {', '.join(FUSIONS)}")
        if not self._method.needs_layer and self._requested_layers != [None]:
            raise UsageError(f"{method} explains all layers together; leave out the layer")
        self._paths: list[str]
        self._pitches: list[Pitch]
        self._classes: int
        self._map_functions: dict[str, MapFunction] = {}
        self._lock = Lock()
        # By the number of target classes.
        self._functions: dict[int, TracedFunction] = {}
        self._function(1)

    @property
    def layers(self) -> list[str]:
        """The paths of the explained layers; empty for a method that explains all."""
        return self._paths if self._method.needs_layer else []

    @property
    def needs_layer(self) -> bool:
        """Whether the choice of a layer means anything to the method."""
        return self._method.needs_layer

    @property
    def runs_many_times(self) -> bool:
        """Whether the method runs the network so often that it tells of its progress."""
        return not isinstance(self._method, InGraphMethod)

    @property
    def facts(self) -> ExplainerFacts:
        """What is told of it."""
        preprocess = self.classifier.preprocess
        return ExplainerFacts(
            self.method,
            self.classifier.name,
            self.layer,
            self.needs_layer,
            self.runs_many_times,
            f"{preprocess.mode} ({preprocess.reason})",
        )

    def take_smaller_steps(self) -> bool:
        """Halves how many changed inputs go through the network at once, to save memory.

        Returns:
            Whether that can help: the method changes inputs, and several went at once.
        """
        if not self.runs_many_times or self._batch_size == 1:
            return False
        self._batch_size //= 2
        self._map_functions.clear()
        return True

    def interrupt(self) -> None:
        """Ends what another thread has this explain, for good: `explain` raises CancelledError.

        Methods that run the network many times end after the current run; others after all.
        """
        self._is_interrupted = True

    def explain(self, inputs: np.ndarray, targets: np.ndarray) -> Explanation:
        """Explains a batch.

        Args:
            inputs: (N, height, width, channels) uint8 or float32 in [0, 255], before the
                network's own preprocessing.
            targets: (N, M) int, M classes for each input: an index, or -1 for the most
                probable class, -2 for the second, and so on.

        Returns:
            Probabilities, resolved targets and maps, as NumPy arrays.
        """
        inputs = np.asarray(inputs, np.float32)
        probabilities, resolved, *maps = self._call(inputs, np.asarray(targets, np.int32))
        if self._smoothing:
            maps = [smooth(lambda changed: self._maps(changed, resolved), tf.constant(inputs))]
        elif not maps:
            maps = [self._perturb(tf.constant(inputs), resolved)]
        return Explanation(probabilities, resolved, np.asarray(maps[0]))

    def _function(self, targets: int) -> TracedFunction:
        with self._lock:
            if targets not in self._functions:
                self._functions[targets] = self._make_function(targets)
            return self._functions[targets]

    def _make_function(self, targets: int) -> TracedFunction:
        signature = (
            tf.TensorSpec((None, *self.classifier.input_shape), tf.float32),
            tf.TensorSpec((None, targets), tf.int32),
        )
        network = self.classifier.network
        if self._graphs is None or not isinstance(network, DeferredNetwork):
            return TracedFunction(self._explain, signature, is_constant=network.is_constant)
        description = repr(
            (
                network.identity,
                self.classifier.preprocess,
                self.classifier.input_shape,
                targets,
                self._requested_layers,
                self.method,
                self._parameters,
                self._fusion,
            )
        )
        kept = self._graphs.find(description)
        if kept is not None:
            self._paths, self._classes = kept.facts["paths"], kept.facts["classes"]
            self._pitches = [
                (vertical, horizontal) for vertical, horizontal in kept.facts["pitches"]
            ]
            self._describe()
            return TracedFunction(self._explain, signature, graph=kept.graph)
        function = TracedFunction(self._explain, signature, is_constant=network.is_constant)
        if function.graph is not None:
            facts = {"paths": self._paths, "classes": self._classes, "pitches": self._pitches}
            self._graphs.keep(description, KeptGraph(function.graph, facts))
        return function

    def _call(self, inputs: np.ndarray, targets: np.ndarray) -> Sequence[np.ndarray]:
        return self._function(targets.shape[1])(inputs, targets)

    def _maps(self, inputs: tf.Tensor, targets: np.ndarray) -> tf.Tensor:
        if isinstance(self._method, InGraphMethod):
            return self._call(inputs.numpy(), targets)[2]
        return self._perturb(inputs, targets)

    def _perturb(self, inputs: tf.Tensor, targets: np.ndarray) -> tf.Tensor:
        progress = self._counting(inputs, targets)
        maps = []
        for number in range(targets.shape[1]):
            one_hot = tf.one_hot(targets[:, number], self._classes)
            of_layers = [
                self._map_function(path)(inputs, one_hot, progress) for path in self._paths
            ]
            maps.append(self._combine(of_layers, inputs))
        return tf.stack(maps, axis=1)

    def _explain(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, ...]:
        forward = self._forward(inputs)
        network = self.classifier.network
        self._paths = [choose_tap(network, forward, layer) for layer in self._requested_layers]
        self._pitches = [cell_pitch(inputs, forward.feature_maps[path]) for path in self._paths]
        self._classes = forward.logits.shape[-1]
        self._describe()

        # By probability, as predictions are told: of equal ones the first class leads.
        _, ranking = tf.math.top_k(forward.probabilities, tf.shape(forward.logits)[-1])
        ranked = tf.gather(ranking, tf.maximum(-targets - 1, 0), batch_dims=1)
        targets = tf.where(targets < 0, ranked, targets)
        if not isinstance(self._method, InGraphMethod):
            return forward.probabilities, targets

        maps = []
        for number in range(targets.shape[1]):
            one_hot = tf.one_hot(targets[:, number], forward.logits.shape[-1])
            scores = _class_scores(forward, one_hot)
            of_layers = [
                self._method.maps(
                    TappedPass(
                        inputs,
                        one_hot,
                        forward,
                        scores,
                        path,
                        forward.feature_maps[path],
                        self._score,
                    )
                )
                for path in self._paths
            ]
            maps.append(self._combine(of_layers, inputs))
        return forward.probabilities, targets, tf.stack(maps, axis=1)

    def _forward(self, inputs: tf.Tensor) -> ForwardPass:
        return self.classifier.trace(inputs)

    def _score(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[ForwardPass, tf.Tensor]:
        forward = self._forward(inputs)
        return forward, _class_scores(forward, targets)

    def _describe(self) -> None:
        """Says of which layers, and how far apart, the cells of the maps are."""
        self.layer = " + ".join(self._paths)
        if not self._method.needs_layer:
            self.layer = "all"
        at_input_size = self._method.at_input_size or len(self._paths) > 1
        self.pitch = _INPUT_PITCH if at_input_size else self._pitches[0]

    def _combine(self, of_layers: list[tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
        """Makes one map for each input of those of its layers, scaled to a maximum of 1."""
        # What speaks against the class isn't shown.
        scale = scale_sparse if self._method.is_sparse else scale_by_maximum
        scaled = [scale(tf.nn.relu(maps)) for maps in of_layers]
        if len(scaled) == 1:
            return scaled[0]
        if not self._method.at_input_size:
            size = tf.shape(inputs)[1:3]
            scaled = [
                upsample_at_pitch(maps, size, pitch)
                for maps, pitch in zip(scaled, self._pitches, strict=True)
            ]
        return fuse(scaled, self._fusion)

    def _map_function(self, path: str) -> MapFunction:
        if path not in self._map_functions:
            self._map_functions[path] = MapFunction(
                self._method,
                self._score,
                path,
                lambda forward: forward.feature_maps[path],
                self.classifier.input_shape,
                (self._classes,),
                self._batch_size,
            )
        return self._map_functions[path]

    def _counting(self, inputs: tf.Tensor, targets: np.ndarray) -> Progress:
        """Adds up the runs of all classes, layers and smoothing copies of a batch."""
        calls = len(self._paths) * targets.shape[1]
        if self._smoothing:
            calls *= smoothing_runs(inputs)

        def count(done: int, total: int) -> None:
            if self._is_interrupted:
                raise CancelledError
            if self.progress is not None:
                self.progress(done, total * calls)

        return count


def _class_scores(forward: ForwardPass, targets: tf.Tensor) -> tf.Tensor:
    # Each score depends on its own input, so that one gradient of their sum tells them apart.
    return tf.reduce_sum(forward.logits * targets, axis=-1)
