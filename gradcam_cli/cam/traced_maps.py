"""The function from inputs and target classes to maps, traced into one graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.fusions import PRODUCT
from gradcam_cli.cam.methods.base import InGraphMethod, Method, tapped_pass
from gradcam_cli.cam.methods.table import MethodInfo
from gradcam_cli.cam.scaling import fuse, maxima, scale_by_maximum, scale_sparse, sparse_limits
from gradcam_cli.cam.score_weights import ScoreWeights
from gradcam_cli.cam.upsampling import upsample_at_pitch
from gradcam_cli.networks.forward import ForwardPass, length_of
from gradcam_cli.networks.grids import Pitch
from gradcam_cli.networks.layers import choose_tap, detector_taps, feature_grid, why_default
from gradcam_cli.networks.tasks import REGRESSION

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier

LayerChoice = str | int | None


@dataclass(frozen=True)
class TracedFacts:
    """What tracing finds out about a network.

    Attributes:
        paths: The explained layers.
        pitches: The distances between the cells of each layer's output, in input pixels.
        cells: A description of the grid of cells of each layer's output.
        reasons: Why each layer was chosen; empty if the user chose it.
        classes: The number of classes.
        region_pitch: For segmentation, the distance between the positions of the output.
        are_levels: Whether the layers are the levels of a detector, whose maps are summed.
    """

    paths: Sequence[str]
    pitches: Sequence[Pitch]
    cells: Sequence[str]
    reasons: Sequence[str]
    classes: int
    region_pitch: Pitch = ()
    are_levels: bool = False

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> TracedFacts:
        """Restores an object from `dataclasses.asdict`, also after a round trip through JSON."""
        return cls(
            facts["paths"],
            [tuple(pitch) for pitch in facts["pitches"]],
            facts["cells"],
            facts["reasons"],
            facts["classes"],
            tuple(facts["region_pitch"]),
            facts["are_levels"],
        )


@dataclass(frozen=True)
class TracedMaps:
    """A classifier, its explained layers and a method.

    Attributes:
        classifier: The explained classifier.
        layers: The explained layers, as the user gave them.
        info: The method's row in the table of methods.
        method: The method itself.
        fusion: How to fuse the maps of several layers.
        weights: Which scores make up the explained score of a target.
        signed: Whether maps keep what speaks against the target.
    """

    classifier: Classifier
    layers: Sequence[LayerChoice]
    info: MethodInfo
    method: Method
    fusion: str
    weights: ScoreWeights = field(default_factory=ScoreWeights)
    signed: bool = False

    def trace(
        self, inputs: tf.Tensor, targets: tf.Tensor, conditions: tf.Tensor | None = None
    ) -> tuple[Sequence[tf.Tensor], TracedFacts]:
        """Adds the network and its maps to the graph that is being traced.

        Args:
            inputs: (N, height, width, channels) float32 in [0, 255]; for stacks, with their length
                after N. Maps then have it too.
            targets: (N, M) int32, class indices; -1 for the most probable class, -2 for the
                second, and so on.
            conditions: (N, values) float32, what the network takes beside the pictures; None if
                it takes nothing else.

        Returns:
            Probabilities (N, classes) float32, and targets (N, M) int32 with all indices
            resolved. For segmentation, also the region of each target, (N, M, rows, columns)
            float32 in [0, 1]. For methods that don't run the network many times, also maps
            (N, M, rows, columns) float32 in [0, 1], or in [-1, 1] if they are signed, and their
            peaks (N, M) float32; see `combine`.

        Raises:
            UnknownLayerError: The network has no such layer.
            UnusableLayerError: The layer's output isn't a feature map.
        """
        forward = self.classifier.trace(inputs, conditions)
        facts = self._find_facts(forward)
        paths = facts.paths
        targets = self._resolve(targets, forward)
        found = [forward.probabilities, targets]
        if forward.dense is not None:
            found.append(forward.dense.regions_of(targets))
        if not isinstance(self.method, InGraphMethod):
            return found, facts
        maps, peaks = [], []
        for number in range(length_of(targets, 1)):
            weights = self.weights.weigh(tf.one_hot(targets[:, number], facts.classes))
            scores = _class_scores(forward, weights)
            of_layers = [
                self._maps_of_layer(inputs, weights, conditions, forward, scores, path)
                for path in (paths[-1:] if self.info.fuses_layers else paths)
            ]
            combined, peak = self.combine(of_layers, inputs, facts)
            maps.append(combined)
            peaks.append(peak)
        return [*found, tf.stack(maps, axis=1), tf.stack(peaks, axis=1)], facts

    def _find_facts(self, forward: ForwardPass) -> TracedFacts:
        network, method = self.classifier.network, self.method
        classes = length_of(forward.logits, -1)
        region_pitch = () if forward.dense is None else forward.dense.grid.pitch
        if self.info.is_black_box:
            one_per_pixel = (1.0,) * (len(forward.inputs.shape) - 2)
            return TracedFacts([""], [one_per_pixel], [""], [""], classes, region_pitch)
        multiplies = self.info.multiplies_cells
        is_default = list(self.layers) == [None]
        if is_default and forward.detected is not None:
            paths = detector_taps(network, forward)
        else:
            paths = [
                choose_tap(network, forward, layer, after_normalization=multiplies)
                for layer in self.layers
            ]
        grid_of = method.grid if isinstance(method, InGraphMethod) else feature_grid
        grids = [grid_of(forward, path) for path in paths]
        return TracedFacts(
            paths,
            [grid.pitch for grid in grids],
            [grid.describe() for grid in grids],
            [why_default(forward, paths[0])] if is_default else [""] * len(paths),
            classes,
            region_pitch,
            is_default and len(paths) > 1,
        )

    @property
    def has_common_scale(self) -> bool:
        """Whether the peaks of different inputs can be compared.

        The maps of several layers are scaled before they are fused, and the scores of a
        segmentation grow with the region over which they are summed.
        """
        is_one = len(self.layers) == 1 and not self.info.fuses_layers
        return is_one and not self.classifier.segments

    @property
    def multiplies_layers(self) -> bool:
        """Whether the map is a product of maps, which may be blank although none of them is."""
        several = len(self.layers) > 1 and not self.info.fuses_layers
        return several and self.fusion == PRODUCT

    def _preferences(self, forward: ForwardPass) -> tf.Tensor:
        """Returns (N, classes), the higher the sooner a class is explained unasked."""
        if forward.dense is None:
            return forward.probabilities
        return forward.dense.preferences(self.classifier.background)

    def score(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[ForwardPass, tf.Tensor]:
        """Runs the network once more.

        Args:
            inputs: (N, height, width, channels) float32.
            targets: (N, classes) float32, the weights of the scores, followed by the conditions of
                each input if there are any; see `with_conditions`.

        Returns:
            The pass and the scores, (N,) float32.
        """
        if not self.classifier.conditions.parts:
            forward = self.classifier.trace(inputs)
            return forward, _class_scores(forward, targets)
        classes = len(self.classifier.labels)
        forward = self.classifier.trace(inputs, targets[:, classes:])
        return forward, _class_scores(forward, targets[:, :classes])

    def raw_maps(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        forward: ForwardPass,
        scores: tf.Tensor,
        path: str,
    ) -> tf.Tensor:
        """Computes the maps of one layer with a method that works in the graph.

        Args:
            inputs: (N, height, width, channels) float32.
            targets: As for `score`.
            forward: The pass that `score` returned for them.
            scores: Its scores.
            path: The layer.

        Returns:
            (N, rows, columns) float32, before the final ReLU.
        """
        classes = length_of(forward.logits, -1)
        weights, conditions = targets[:, :classes], targets[:, classes:]
        return self._maps_of_layer(inputs, weights, conditions, forward, scores, path)

    def _maps_of_layer(
        self,
        inputs: tf.Tensor,
        weights: tf.Tensor,
        conditions: tf.Tensor | None,
        forward: ForwardPass,
        scores: tf.Tensor,
        path: str,
    ) -> tf.Tensor:
        assert isinstance(self.method, InGraphMethod)

        def score(inputs: tf.Tensor, weights: tf.Tensor) -> tuple[ForwardPass, tf.Tensor]:
            return self.score(inputs, with_conditions(weights, conditions))

        layers: list[str] = []
        if self.info.fuses_layers and list(self.layers) != [None]:
            network = self.classifier.network
            layers = [choose_tap(network, forward, layer) for layer in self.layers]
        return self.method.maps(tapped_pass(inputs, weights, forward, scores, path, score, layers))

    def combine(
        self, of_layers: Sequence[tf.Tensor], inputs: tf.Tensor, facts: TracedFacts
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Combines the maps of all layers into one map for each input.

        Args:
            of_layers: The method's maps for each layer, each (N, rows, columns) float32.
            inputs: (N, height, width, channels).
            facts: The facts about the layers.

        Returns:
            The shape of the maps, float32, scaled to a maximum magnitude of 1: in [-1, 1] if maps
            are signed, else in [0, 1]; all NaN if a value of a layer's map isn't finite. Maps of
            several layers have the size of the input. Also the value of the last layer's map that
            became 1, (N,) float32; see `has_common_scale`.
        """
        is_sparse = self.info.is_sparse
        scale, limits = (scale_sparse, sparse_limits) if is_sparse else (scale_by_maximum, maxima)
        rank = len(inputs.shape) - 2
        axes = list(range(1, rank + 1))
        is_whole = [tf.reduce_all(tf.math.is_finite(maps), axes, True) for maps in of_layers]
        seen = [maps if self.signed else tf.nn.relu(maps) for maps in of_layers]
        if facts.are_levels:
            seen = [self._sum_levels(seen, inputs, facts)]
        scaled = [scale(maps, rank) for maps in seen]
        peaks = tf.reshape(limits(seen[-1], rank), [-1])
        if len(scaled) == 1:
            combined = scaled[0]
        else:
            if not self.info.at_input_size:
                size = tf.shape(inputs)[1:-1]
                scaled = [
                    upsample_at_pitch(maps, size, pitch)
                    for maps, pitch in zip(scaled, facts.pitches, strict=True)
                ]
            combined = fuse(scaled, self.fusion, rank)
        # ReLU, minimum and maximum may turn NaN into a number.
        return tf.where(tf.reduce_all(is_whole, 0), combined, np.float32(np.nan)), peaks

    def _sum_levels(
        self, of_layers: Sequence[tf.Tensor], inputs: tf.Tensor, facts: TracedFacts
    ) -> tf.Tensor:
        """Adds up what each level contributes to the score at each pixel of the input."""
        total = tf.constant(0.0)
        for cells, pitch in zip(of_layers, facts.pitches, strict=True):
            if not self.info.at_input_size:
                # A cell spreads its contribution over its pixels.
                cells = upsample_at_pitch(cells / math.prod(pitch), tf.shape(inputs)[1:3], pitch)
            total += cells
        return total

    def _resolve(self, targets: tf.Tensor, forward: ForwardPass) -> tf.Tensor:
        # Ranked like the predictions: the outputs of a regression by their index.
        values = self._preferences(forward)
        if forward.task == REGRESSION:
            values = tf.zeros_like(values)
        ranking = self.weights.rank(values)
        ranked = tf.gather(ranking, tf.maximum(-targets - 1, 0), batch_dims=1)
        return tf.where(targets < 0, ranked, targets)


def with_conditions(targets: tf.Tensor, conditions: tf.Tensor | None) -> tf.Tensor:
    """Puts targets and conditions side by side, so that methods repeat both together.

    Args:
        targets: (N, classes) float32, the weights of the scores.
        conditions: (N, values) float32; None if there are none.
    """
    return targets if conditions is None else tf.concat([targets, conditions], axis=-1)


def _class_scores(forward: ForwardPass, targets: tf.Tensor) -> tf.Tensor:
    # Each score depends only on its own input, so one gradient of their sum serves all.
    return tf.reduce_sum(forward.logits * targets, axis=-1)
