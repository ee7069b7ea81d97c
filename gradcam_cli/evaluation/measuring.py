"""Measures the maps of several methods and layers on pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.errors import AnnotationError, GradcamError, ImageError
from gradcam_cli.evaluation.annotations import AnnotatedObject, Annotations
from gradcam_cli.evaluation.faithfulness import (
    STEPS,
    correlate_subsets,
    deletion,
    draw_subsets,
    fade,
    fading_figures,
    insertion,
    subset_losses,
)
from gradcam_cli.evaluation.localisation import localise
from gradcam_cli.evaluation.map_properties import RADIUS, average_stability, complexity, sparseness
from gradcam_cli.evaluation.map_sources import CentreMaps, ExplainerMaps, MapSource, RandomMaps
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.remove_and_debias import road
from gradcam_cli.evaluation.scores import TargetScores
from gradcam_cli.evaluation.table import ALL_METRICS, METRICS
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.preparing import InputShape, PreparedPicture
from gradcam_cli.rendering.overlay import draw_heatmap

_CHUNK = 8
_FADING = ("average_drop", "increase_in_confidence", "average_gain")

Report = Callable[[int], None]


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured, and how pictures reach the network.

    Attributes:
        metrics: Names of `gradcam_cli.evaluation.table.METRICS`.
        target: The class that is explained in every picture: an index, or -1 for the most
            probable.
        inputs: How pictures become inputs.
        annotations: Where the objects are, for the metrics of localisation.
        with_baselines: Also measure a random map and a centre Gaussian.
    """

    metrics: Sequence[str] = tuple(METRICS)
    target: int = TOP_CLASS
    inputs: InputShape = field(default_factory=InputShape)
    annotations: Annotations | None = None
    with_baselines: bool = True


@dataclass(frozen=True)
class EvaluatedMaps:
    """One row: a method at a layer, or a baseline.

    Attributes:
        method: Its name.
        title: What its authors call it.
        layer: The explained layer; None for a baseline.
        measurements: By the names of `gradcam_cli.evaluation.table.ALL_METRICS`.
        values: For each picture (by its place in `Evaluation.pictures`) the single values.
    """

    method: str
    title: str
    layer: str | None
    measurements: dict[str, Measurement]
    values: dict[int, dict[str, float]]

    @property
    def is_baseline(self) -> bool:
        """Whether it knows nothing of the network."""
        return self.layer is None

    @property
    def name(self) -> str:
        """The method and its layer."""
        return self.title if self.layer is None else f"{self.title} · {self.layer}"


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        model: The name of the classifier.
        pictures: What was measured.
        rows: Methods and layers, then the baselines.
        metrics: The names of what was measured, in the order of the columns.
        errors: Why other pictures weren't measured, or not where their objects are.
    """

    model: str
    pictures: list[AnyPath]
    rows: list[EvaluatedMaps]
    metrics: list[str]
    errors: list[GradcamError] = field(default_factory=list)

    @property
    def baselines(self) -> list[EvaluatedMaps]:
        """The rows that know nothing of the network."""
        return [row for row in self.rows if row.is_baseline]

    @property
    def explained(self) -> list[EvaluatedMaps]:
        """The rows of methods."""
        return [row for row in self.rows if not row.is_baseline]


@dataclass(frozen=True)
class _Loaded:
    number: int
    picture: PreparedPicture
    objects: list[AnnotatedObject]


def evaluate_pictures(
    pictures: Sequence[InputPicture],
    explainers: Sequence[Explainer],
    options: EvaluationOptions,
    report: Report | None = None,
) -> Evaluation:
    """Measures maps on pictures.

    Args:
        pictures: The pictures; one that fails doesn't stop the rest.
        explainers: What makes the maps, all with the same classifier.
        options: What is measured.
        report: Told how many more maps are measured; there are as many for each picture
            as rows.

    Returns:
        The figures.

    Raises:
        ImageError: Not one picture could be measured.
    """
    evaluator = _Evaluator(explainers, options, report or (lambda _: None))
    return evaluator.run(pictures)


class _Evaluator:
    def __init__(
        self, explainers: Sequence[Explainer], options: EvaluationOptions, report: Report
    ) -> None:
        self._explainer = explainers[0]
        self._classifier = explainers[0].classifier
        self._sources: list[MapSource] = [ExplainerMaps(explainer) for explainer in explainers]
        if options.with_baselines:
            self._sources += [RandomMaps(), CentreMaps()]
        self._options = options
        self._report = report
        self._scorer = TargetScores(self._classifier)
        self._values: list[dict[int, dict[str, float]]] = [defaultdict(dict) for _ in self._sources]

    def run(self, pictures: Sequence[InputPicture]) -> Evaluation:
        errors: list[GradcamError] = []
        measured: list[AnyPath] = []
        for start in range(0, len(pictures), _CHUNK):
            loaded = []
            for picture in pictures[start : start + _CHUNK]:
                try:
                    loaded.append(self._load(len(measured), picture, errors))
                    measured.append(picture.path)
                except GradcamError as error:
                    errors.append(error)
                    self._report(len(self._sources))
            for group in _by_shape(loaded):
                self._measure(group)
        if not measured:
            raise errors[0] if errors else ImageError("there are no pictures to measure")
        rows = [
            EvaluatedMaps(
                source.method, source.title, source.layer, _summarize(values), dict(values)
            )
            for source, values in zip(self._sources, self._values, strict=True)
        ]
        metrics = [name for name in ALL_METRICS if name in rows[0].measurements]
        return Evaluation(self._classifier.name, measured, rows, metrics, errors)

    def _load(self, number: int, picture: InputPicture, errors: list[GradcamError]) -> _Loaded:
        prepared = self._options.inputs.read(picture.path)
        objects = []
        if self._options.annotations is not None:
            try:
                objects = self._options.annotations.of(picture, prepared.image.size)
            except AnnotationError as error:
                # Faithfulness needs no objects.
                errors.append(error)
        return _Loaded(number, prepared, objects)

    def _measure(self, group: list[_Loaded]) -> None:
        wanted = self._options.metrics
        inputs = np.stack([loaded.picture.inputs for loaded in group])
        explanation = self._explainer.explain(
            inputs, np.full((len(group), 1), self._options.target, np.int32)
        )
        targets = explanation.targets[:, 0].astype(np.int64)
        before = self._scorer(inputs, targets)
        subsets, losses = np.empty(0), np.empty(0)
        if "mu_fidelity" in wanted:
            # What random parts cost doesn't depend on any map.
            subsets = draw_subsets(inputs.shape[1:3])
            losses = subset_losses(self._scorer, inputs, targets, subsets)
        for source, values in zip(self._sources, self._values, strict=True):
            maps = source.explain(inputs, targets)
            figures: dict[str, np.ndarray] = {}
            if not set(wanted).isdisjoint(_FADING):
                faded = fade(inputs, maps, self._scorer.baseline)
                figures |= fading_figures(before, self._scorer(faded, targets))
            arguments = (self._scorer, inputs, targets, maps)
            if "deletion" in wanted:
                figures["deletion"] = deletion(*arguments, steps=STEPS)
            if "insertion" in wanted:
                figures["insertion"] = insertion(*arguments, steps=STEPS)
            if "road" in wanted:
                figures["road"] = road(*arguments)
            if "mu_fidelity" in wanted:
                figures["mu_fidelity"] = correlate_subsets(losses, subsets, maps)
            if "stability" in wanted:
                radius = RADIUS * self._scorer.value_range
                figures["stability"] = average_stability(
                    source.explain, inputs, targets, maps, radius
                )
            if "sparseness" in wanted:
                figures["sparseness"] = sparseness(maps)
            if "complexity" in wanted:
                figures["complexity"] = complexity(maps)
            for row, loaded in enumerate(group):
                values[loaded.number] |= {
                    name: float(figures[name][row]) for name in wanted if name in figures
                }
                if loaded.objects:
                    values[loaded.number] |= self._localise(
                        source, loaded, maps[row], targets[row], explanation.probabilities[row]
                    )
            self._report(len(group))

    def _localise(
        self,
        source: MapSource,
        loaded: _Loaded,
        heat: np.ndarray,
        target: int,
        probabilities: np.ndarray,
    ) -> dict[str, float]:
        """Measures where the heat of each annotated class lies; the mean of the classes."""
        by_class: dict[int | None, list[AnnotatedObject]] = defaultdict(list)
        for known in loaded.objects:
            by_class[known.class_index].append(known)
        if len(by_class) > 1:
            # What the model has no class for can't be asked for.
            by_class.pop(None, None)
        found = []
        for index, objects in by_class.items():
            of_class = heat
            if index is not None and index != target:
                (of_class,) = source.explain(loaded.picture.inputs[None], np.array([index]))
            fit = loaded.picture.fit
            laid = fit.upsample(of_class, (1.0, 1.0))
            picture = draw_heatmap(laid, fit.picture_size, fit.seen[:2])
            found.append(localise(picture, objects, index, probabilities))
        names = {name for figures in found for name in figures}
        return {
            name: float(np.mean([figures[name] for figures in found if name in figures]))
            for name in sorted(names)
        }


def load_inputs(pictures: Sequence[InputPicture], shape: InputShape) -> list[np.ndarray]:
    """Reads pictures as the network sees them.

    Args:
        pictures: The pictures.
        shape: How they become inputs.

    Returns:
        For each shape a batch (N, height, width, channels) uint8; pictures that can't be
        read are left out.
    """
    groups: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
    for picture in pictures:
        try:
            inputs = shape.read(picture.path).inputs
        except GradcamError:
            continue
        groups[inputs.shape].append(inputs)
    return [np.stack(group) for group in groups.values()]


def _by_shape(loaded: Sequence[_Loaded]) -> Iterator[list[_Loaded]]:
    groups: dict[tuple[int, ...], list[_Loaded]] = defaultdict(list)
    for picture in loaded:
        groups[picture.picture.inputs.shape].append(picture)
    yield from groups.values()


def _summarize(values: dict[int, dict[str, float]]) -> dict[str, Measurement]:
    return {
        name: Measurement(np.array([found[name] for found in values.values() if name in found]))
        for name in ALL_METRICS
        if any(name in found for found in values.values())
    }
