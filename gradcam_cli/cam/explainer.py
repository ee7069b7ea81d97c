"""Explains batches: from inputs and target classes to class activation maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.blank_maps import EVEN, BlankMap
from gradcam_cli.cam.facts import (
    AGAINST_AND_FOR,
    LOWERS_AND_RAISES,
    TOP_CLASS,
    ExplainerFacts,
)
from gradcam_cli.cam.fusions import DEFAULT_FUSION, check_fused_layers, check_fusion
from gradcam_cli.cam.methods.base import Progress, describe_code, ignore_progress, make_method
from gradcam_cli.cam.methods.table import (
    DEFAULT_METHOD,
    MethodParameters,
    check_combines_scores,
    check_has_sign,
    find_method,
)
from gradcam_cli.cam.repeated_runs import RepeatedRuns
from gradcam_cli.cam.scaling import smooth, smoothing_runs
from gradcam_cli.cam.score_weights import ScoreWeights
from gradcam_cli.cam.segmentation import (
    PREDICTED_NOWHERE,
    check_detects,
    check_segments,
    spread,
)
from gradcam_cli.cam.traced_maps import LayerChoice, TracedFacts, TracedMaps, with_conditions
from gradcam_cli.cam.usual_method import check_suits, doubt_of
from gradcam_cli.errors import PredictionError, UsageError
from gradcam_cli.networks.conditions import BEST_CANDIDATE, CANDIDATE, NO_REGION, REGION
from gradcam_cli.networks.folding import unmerged
from gradcam_cli.networks.grids import Pitch
from gradcam_cli.networks.kept_graphs import KeptGraphs, find_or_trace
from gradcam_cli.networks.tasks import REGRESSION
from gradcam_cli.networks.traced_function import TracedFunction

if TYPE_CHECKING:
    from gradcam_cli.cam.black_box_diagnosis import BlackBoxDiagnosis
    from gradcam_cli.cam.diagnosis import Diagnosis
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.pictures.boxes import Detection

DEFAULT_BATCH_SIZE = 32


@dataclass(frozen=True)
class Explanation:
    """The class probabilities for a batch, and a map for each target class.

    Attributes:
        probabilities: (N, classes) float32 in [0, 1].
        targets: (N, M) int32, the explained classes as indices.
        maps: (N, M, rows, columns) float32, or (N, M, length, rows, columns) of stacks, each
            scaled to a maximum magnitude of 1: in [0, 1], or in [-1, 1] if they are signed. A map
            is all zeros if nothing in the input speaks
            for the class (or against it, if it is signed), or if it came out as NaN or infinity.
        regions: For segmentation, (N, M, rows, columns) float32 in [0, 1], the region over which
            the scores of each target class were summed; otherwise None.
        broken: The maps that came out as NaN or infinity, each by its input and class.
        blanks: Why maps show nothing, or aren't final, by input and class: what the method itself
            knows; all of them, if `Explainer.find_blanks` was asked.
        peaks: (N, M) float32, what each map was divided by, so that the maps of different inputs
            can be compared: 0 for a map of zeros. None if the maps have no common scale: those of
            several layers, of smoothed inputs and of segmentations.
        objects: For a picture of a detector, the object of each target; otherwise empty.
        missed: If there are none, the best candidate, whose score is too low; None for none.
    """

    probabilities: np.ndarray
    targets: np.ndarray
    maps: np.ndarray
    regions: np.ndarray | None = None
    broken: frozenset[tuple[int, int]] = frozenset()
    blanks: Mapping[tuple[int, int], BlankMap] = field(default_factory=dict)
    peaks: np.ndarray | None = None
    objects: Sequence[Detection] = ()
    missed: Detection | None = None


class Explainer:
    """Explains a classifier with one method at one or several layers.

    The forward pass, the gradients and the maps are traced into one function, so a batch
    costs little more than the network alone. Methods that run the network many times do so
    in batches.

    Attributes:
        classifier: The explained classifier.
        method: The name of the method.
        progress: Called by methods that run the network many times, with the number of runs
            since the last call and the number of runs that the batch takes; None to report
            nothing.
    """

    def __init__(
        self,
        classifier: Classifier,
        layer: LayerChoice | Sequence[LayerChoice] = None,
        method: str = DEFAULT_METHOD,
        *,
        fusion: str = DEFAULT_FUSION,
        smoothing: bool = False,
        batch_size: int = DEFAULT_BATCH_SIZE,
        graphs: KeptGraphs | None = None,
        weights: ScoreWeights | None = None,
        signed: bool = False,
        **parameters: Unpack[MethodParameters],
    ) -> None:
        """Chooses the layer and traces the network, or loads the graph of an earlier run.

        Args:
            classifier: The classifier to explain.
            layer: The name, path or index of a layer; None for the last one with spatial
                output. The maps of several layers are fused at the size of the input.
            method: A key of `gradcam_cli.cam.methods.table.METHODS`.
            fusion: How to fuse the maps of several layers: "mean", "max" or "product".
            smoothing: Whether to average the maps of brighter, darker and mirrored copies.
            batch_size: The number of changed inputs that go through the network at once, for
                methods that run it many times.
            graphs: The cache of traced graphs for networks with a known identity; None to
                always trace.
            weights: Which scores are added to that of a target or subtracted from it; None for
                none.
            signed: Whether maps keep what speaks against a class, as negative values.
            **parameters: The method's own parameters, if it has any; see
                `gradcam_cli.cam.methods.table.MethodParameters`.

        Raises:
            UnknownLayerError: The network has no such layer.
            UnusableLayerError: The layer's output isn't a feature map.
            UsageError: There is no such method or fusion, a layer is given to a method that
                explains all layers, only one to a method that fuses several, or the method can't
                explain sums or differences of scores, or has no sign.
            TypeError: The method has no such parameter.
        """
        check_suits(method, classifier, is_layer_chosen=layer is not None)
        check_segments(method, classifier)
        check_detects(method, classifier)
        self.classifier = classifier
        self.method = method
        self.progress: Progress | None = None
        self._info = find_method(method)
        self._smoothing = smoothing
        self._graphs = graphs
        self._parameters = parameters
        layers: list[LayerChoice]
        if isinstance(layer, Sequence) and not isinstance(layer, str):
            layers = list(layer)
        else:
            layers = [layer]
        check_fusion(fusion, signed=signed, asked=f'fusion "{fusion}"', signed_as="signed")
        is_chosen = layers != [None]
        check_fused_layers(method, layers if is_chosen else (), "layers")
        if is_chosen and not (self._info.needs_layer or self._info.fuses_layers):
            why = "needs no layer" if self._info.is_black_box else "explains all layers together"
            raise UsageError(f"{method} {why}; omit the layer")
        weights = weights or ScoreWeights()
        if weights.joined:
            check_combines_scores(method, "several classes together")
        if weights.against is not None:
            check_combines_scores(method, "against")
        if signed:
            check_has_sign(method, "signed")
        if self._info.fuses_layers and not is_chosen:
            classifier = self.classifier = replace(classifier, network=unmerged(classifier.network))
        made = make_method(method, **parameters)
        self._maps = TracedMaps(classifier, layers, self._info, made, fusion, weights, signed)
        self._lock = Lock()
        self._diagnosis: Diagnosis | BlackBoxDiagnosis | None = None
        # By the number of target classes.
        self._functions: dict[int, TracedFunction] = {}
        self._functions[1], self._facts = self._trace(1)
        self._runs: RepeatedRuns | None = None
        if self._info.runs_many_times:
            self._runs = RepeatedRuns(self._maps, self._facts, batch_size)

    @property
    def layer(self) -> str:
        """The path of the explained layer.

        Several are joined by " + ", "all" means all, and "" none: a method that observes only the
        scores.
        """
        return " + ".join(self.layers) or ("" if self._info.is_black_box else "all")

    @property
    def layers(self) -> Sequence[str]:
        """The paths of the explained layers; empty for a method that explains all of them."""
        is_chosen = list(self._maps.layers) != [None]
        return self._facts.paths if self.needs_layer or is_chosen else []

    @property
    def adds_levels(self) -> bool:
        """Whether it adds up the maps of all levels of a detector.

        It does so unless layers are chosen, whose maps are fused instead.
        """
        return self._facts.are_levels

    @property
    def pitch(self) -> tuple[float, float]:
        """The vertical and horizontal distance between two cells of a map, in input pixels."""
        vertical, horizontal = self._whole_pitch[-2:]
        return vertical, horizontal

    @property
    def step_pitch(self) -> float:
        """The distance between two steps of the maps of stacks, in pictures of the stack."""
        return self._whole_pitch[0]

    @property
    def _whole_pitch(self) -> Pitch:
        """The distance between two cells along each axis of a map."""
        several = len(self._facts.pitches) > 1
        if self._info.at_input_size or several:
            return (1.0,) * (len(self.classifier.input_shape) - 1)
        return self._facts.pitches[0]

    @property
    def region_pitch(self) -> tuple[float, float]:
        """The distance between two positions of the regions of a segmentation, in input pixels."""
        vertical, horizontal = self._facts.region_pitch
        return vertical, horizontal

    @property
    def needs_layer(self) -> bool:
        """Whether the method explains a chosen layer."""
        return self._info.needs_layer

    @property
    def weights(self) -> ScoreWeights:
        """Which scores are added to that of a target or subtracted from it."""
        return self._maps.weights

    @property
    def runs_many_times(self) -> bool:
        """Whether the method runs the network so often that it reports its progress."""
        return self._info.runs_many_times

    @property
    def facts(self) -> ExplainerFacts:
        """The explainer's facts as plain values."""
        return ExplainerFacts(
            self.method,
            self.classifier.name,
            self.layer,
            self.needs_layer,
            self.runs_many_times,
            self.classifier.preprocess.description,
            " + ".join(self._facts.cells),
            ", ".join(filter(None, self._facts.reasons)),
            self.classifier.described_task if self.classifier.task_reason else "",
            self.classifier.task_doubt,
            self.classifier.damage,
            self.classifier.segments,
            self.classifier.labels.origin,
            self.classifier.picture_input,
            ends=self.ends,
            against=self._contrast(),
            detects=self.classifier.detects,
            method_doubt=doubt_of(self.method, self.classifier),
        )

    @property
    def ends(self) -> tuple[str, str] | None:
        """What negative and positive values of its maps mean in a word; None if not signed."""
        if not self._maps.signed:
            return None
        return LOWERS_AND_RAISES if self.classifier.task == REGRESSION else AGAINST_AND_FOR

    def _contrast(self) -> tuple[int, str] | None:
        index = self._maps.weights.against
        return None if index is None else (index, self.classifier.labels.name(index))

    def take_smaller_steps(self) -> bool:
        """Halves the number of changed inputs that go through the network at once.

        Returns:
            Whether this can save memory: the method changes inputs, and more than one went
            through at once.
        """
        return self._runs is not None and self._runs.take_smaller_steps()

    def interrupt(self) -> None:
        """Stops a running `explain` in another thread for good; it raises CancelledError.

        Methods that run the network many times stop after the current run. Others finish.
        """
        if self._runs is not None:
            self._runs.interrupt()

    def explain(
        self, inputs: np.ndarray, targets: np.ndarray, conditions: np.ndarray | None = None
    ) -> Explanation:
        """Explains a batch.

        Args:
            inputs: (N, height, width, channels) uint8 or float32 in [0, 255], before the
                network's own preprocessing; for a network of stacks, with their length after N.
            targets: (N, M) int, M classes for each input: an index, or -1 for the most
                probable class, -2 for the second, and so on.
            conditions: (N, values) float32, a row for each input as `Classifier.conditions`
                arranges it; None if the classifier takes nothing beside the picture, or only
                regions.

        Returns:
            Probabilities, resolved targets and maps, as NumPy arrays.
        """
        inputs = np.asarray(inputs, np.float32)
        targets = np.asarray(targets, np.int32)
        conditions = self._complete(inputs, conditions)
        probabilities, resolved, *others = self._call(inputs, targets, conditions)
        regions = others.pop(0) if self._facts.region_pitch else None
        if others and not self._smoothing:
            maps, peaks = others
            return self._finish(probabilities, resolved, maps, peaks, regions)
        if regions is None or conditions is None:
            maps, peaks, notes = self._maps_of_copies(inputs, resolved, conditions)
            return self._finish(probabilities, resolved, maps, peaks, notes=notes)
        # The region is that of the input itself, not of its changed copies.
        of_targets = []
        blanks: dict[tuple[int, int], BlankMap] = {}
        for number in range(resolved.shape[1]):
            covered = spread(regions[:, number], inputs.shape[1:3], self.region_pitch)
            fixed = self.classifier.conditions.with_regions(conditions, covered, covered.shape)
            chosen = resolved[:, [number]]
            *found, notes = self._maps_of_copies(inputs, chosen, fixed, resolved.shape[1])
            of_targets.append(found)
            blanks |= {(row, number): why for (row, _), why in notes.items()}
        maps, peaks = (np.concatenate(of_one, axis=1) for of_one in zip(*of_targets, strict=True))
        return self._finish(probabilities, resolved, maps, peaks, regions, blanks)

    def _finish(
        self,
        probabilities: np.ndarray,
        targets: np.ndarray,
        maps: np.ndarray,
        peaks: np.ndarray,
        regions: np.ndarray | None = None,
        notes: Mapping[tuple[int, int], BlankMap] | None = None,
    ) -> Explanation:
        """Makes an explanation; its maps have no peaks if these can't be compared."""
        has_common_scale = self._maps.has_common_scale and not self._smoothing
        comparable = peaks if has_common_scale else None
        return _without_broken(probabilities, targets, maps, comparable, regions, notes or {})

    def find_blanks(
        self, inputs: np.ndarray, explanation: Explanation, conditions: np.ndarray | None = None
    ) -> Explanation:
        """Finds the maps that show nothing, and why.

        This costs a pass through the network for each of them, and next to nothing if there are
        none.

        Args:
            inputs: The inputs, as for `explain`.
            explanation: What `explain` returned for them.
            conditions: As for `explain`.

        Returns:
            The explanation with its `blanks`: the blank maps and the constant ones.
        """
        maps = explanation.maps
        conditions = self._complete(inputs, conditions)
        cells = tuple(range(2, maps.ndim))
        highest = maps.max(axis=cells)
        is_even = highest - maps.min(axis=cells) <= EVEN * np.abs(highest)
        found = dict(explanation.blanks)
        for row, number in zip(*np.nonzero(is_even), strict=True):
            place = int(row), int(number)
            if place in found and found[place].is_blank:
                continue
            if explanation.regions is not None and not explanation.regions[place].any():
                found[place] = PREDICTED_NOWHERE
                continue
            one = inputs[row : row + 1]
            target = self._one_target(explanation.targets[place], row, conditions)
            diagnosis = self._make_diagnosis()
            if highest[place]:
                found[place] = diagnosis.explain_constant(one, target)
            else:
                was_finite = place not in explanation.broken
                found[place] = diagnosis.explain(
                    one, target, was_finite=was_finite, multiplied=self._maps.multiplies_layers
                )
        return replace(explanation, blanks=found) if found else explanation

    def refuse_prediction(
        self, name: object, inputs: np.ndarray, conditions: np.ndarray | None = None
    ) -> PredictionError:
        """Finds out why the prediction for a picture is NaN or infinite, and makes the error.

        Args:
            name: What the picture is called in the message, such as its path.
            inputs: Its input, (1, ...), as for `explain`.
            conditions: As for `explain`.

        Returns:
            The error, with the reason and what to do.
        """
        target = self._one_target(0, 0, self._complete(inputs, conditions))
        why = self._make_diagnosis().explain_prediction(inputs[:1], target)
        return PredictionError(f"{name}: the prediction has NaN or infinity: {why}")

    def _one_target(self, target: int, row: int, conditions: np.ndarray | None) -> tf.Tensor:
        weights = self.weights.weigh(tf.one_hot([target], self._facts.classes))
        own = None if conditions is None else tf.constant(conditions[row : row + 1])
        return with_conditions(weights, own)

    def _make_diagnosis(self) -> Diagnosis | BlackBoxDiagnosis:
        # Most runs don't need it.
        from gradcam_cli.cam.black_box_diagnosis import BlackBoxDiagnosis
        from gradcam_cli.cam.diagnosis import Diagnosis

        with self._lock:
            if self._diagnosis is not None:
                return self._diagnosis
            further = self.classifier.conditions.length
            network, scorer = self.classifier.network, self._maps.score
            shapes = (
                self.classifier.input_shape,
                (None if further is None else self._facts.classes + further,),
            )
            if self._info.is_black_box:
                self._diagnosis = BlackBoxDiagnosis(network, scorer, *shapes)
            else:
                self._diagnosis = Diagnosis(
                    network,
                    scorer,
                    self._facts.paths,
                    *shapes,
                    maps=None if self._info.runs_many_times else self._maps.raw_maps,
                    uses_layer=self._info.needs_layer,
                    uses_gradients=self._info.uses_gradients,
                    has_sign=self._info.has_sign,
                    fuses_layers=self._info.fuses_layers,
                )
            return self._diagnosis

    def classify(self, inputs: np.ndarray, conditions: np.ndarray | None = None) -> np.ndarray:
        """Gives the probabilities of all classes.

        Args:
            inputs: (N, height, width, channels), as for `explain`.
            conditions: As for `explain`.

        Returns:
            (N, classes) float32 in [0, 1].
        """
        inputs = np.asarray(inputs, np.float32)
        top = np.full((len(inputs), 1), TOP_CLASS, np.int32)
        return self._call(inputs, top, self._complete(inputs, conditions))[0]

    def _complete(self, inputs: np.ndarray, conditions: np.ndarray | None) -> np.ndarray | None:
        """Adds to inputs without conditions that no region and no box is chosen in any of them."""
        arranged = self.classifier.conditions
        names = [part.name for part in arranged.parts]
        if conditions is None and names == [REGION]:
            return arranged.with_regions(None, NO_REGION, inputs.shape[:3])
        if conditions is None and names == [CANDIDATE]:
            return np.full((len(inputs), 1), BEST_CANDIDATE, np.float32)
        return conditions

    def _maps_of_copies(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        conditions: np.ndarray | None,
        times: int = 1,
    ) -> tuple[np.ndarray, np.ndarray, dict[tuple[int, int], BlankMap]]:
        """Explains inputs, or changed copies of them, for resolved targets.

        Args:
            inputs: (N, height, width, channels) float32.
            targets: (N, M) int32.
            conditions: As for `explain`.
            times: How many such calls the reported progress includes.

        Returns:
            The maps, their peaks, which mean nothing with smoothing, and what the method says
            about them.
        """
        tensor = tf.constant(inputs)
        copies = times * (smoothing_runs(tensor) if self._smoothing else 1)
        turned = conditions
        notes: dict[tuple[int, int], BlankMap] = {}
        if self._smoothing and conditions is not None:
            turned = self.classifier.conditions.mirrored(conditions, inputs.shape[1:3])

        def explain(inputs: tf.Tensor, mirrored: bool = False) -> tuple[Any, Any]:
            rows = turned if mirrored else conditions
            if self._runs is None:
                *_, maps, peaks = self._call(inputs.numpy(), targets, rows)
                return maps, peaks
            progress = self.progress or ignore_progress
            *explained, found = self._runs(inputs, targets, progress, copies, rows)
            notes.update(found)
            return explained[0], explained[1]

        if not self._smoothing:
            maps, peaks = explain(tensor)
            return np.asarray(maps), np.asarray(peaks), notes
        smoothed = smooth(lambda *changed: tf.constant(explain(*changed)[0]), tensor)
        return np.asarray(smoothed), np.ones(targets.shape, np.float32), notes

    def _call(
        self, inputs: np.ndarray, targets: np.ndarray, conditions: np.ndarray | None
    ) -> Sequence[np.ndarray]:
        number = targets.shape[1]
        with self._lock:
            if number not in self._functions:
                self._functions[number], _ = self._trace(number)
            function = self._functions[number]
        return function(inputs, targets, *([] if conditions is None else [conditions]))

    def _trace(self, targets: int) -> tuple[TracedFunction, TracedFacts]:
        def trace(*tensors: tf.Tensor) -> tuple[Sequence[tf.Tensor], dict[str, Any]]:
            outputs, facts = self._maps.trace(*tensors)
            return outputs, asdict(facts)

        signature = [
            tf.TensorSpec((None, *self.classifier.input_shape), tf.float32),
            tf.TensorSpec((None, targets), tf.int32),
        ]
        if self.classifier.conditions.parts:
            length = self.classifier.conditions.length
            signature.append(tf.TensorSpec((None, length), tf.float32))
        code = describe_code(self.method)
        description = None
        if code is not None:
            classifier, maps = self.classifier, self._maps
            asked = (
                *(classifier.preprocess, classifier.task, classifier.decoder),
                *(maps.layers, maps.fusion, maps.weights, maps.signed),
            )
            description = repr((code, self._parameters, asked))
        network = self.classifier.network
        function, facts = find_or_trace(network, trace, signature, description, self._graphs)
        return function, TracedFacts.from_json(facts)


def _without_broken(
    probabilities: np.ndarray,
    targets: np.ndarray,
    maps: np.ndarray,
    peaks: np.ndarray | None,
    regions: np.ndarray | None,
    blanks: Mapping[tuple[int, int], BlankMap],
) -> Explanation:
    """Makes an explanation in which maps with NaN or infinity are all zeros."""
    # The sum is cheap, and not finite if a value isn't.
    if np.isfinite(maps.sum()):
        return Explanation(probabilities, targets, maps, regions, blanks=blanks, peaks=peaks)
    cells = tuple(range(2, maps.ndim))
    is_whole = np.isfinite(maps).all(axis=cells)
    broken = zip(*np.nonzero(~is_whole), strict=True)
    maps = np.where(np.expand_dims(is_whole, cells), maps, np.float32(0))
    places = frozenset((int(row), int(number)) for row, number in broken)
    if peaks is not None:
        peaks = np.where(is_whole, peaks, np.float32(0))
    return Explanation(probabilities, targets, maps, regions, places, blanks, peaks)
