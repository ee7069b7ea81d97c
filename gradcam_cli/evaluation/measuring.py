"""Measures the maps of several methods and layers on pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat

import numpy as np

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.evaluation.batches import MapBatch, PictureBatch
from gradcam_cli.evaluation.evaluated_maps import EvaluatedMaps
from gradcam_cli.evaluation.loading import LoadedPicture, by_shape, load_picture
from gradcam_cli.evaluation.located_heat import LocatedHeat, locate_heat
from gradcam_cli.evaluation.map_sources import BASELINES, ExplainerMaps, MapSource
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.options import EvaluationOptions
from gradcam_cli.evaluation.results import Evaluation
from gradcam_cli.evaluation.scores import TargetScores
from gradcam_cli.evaluation.table import (
    ALL_METRICS,
    LOCALISATION_METRICS,
    METRICS,
    usable_metrics,
)
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath

# The first chunks are small, so that first results and an estimate of the time come early.
_CHUNKS = (1, 1, 2, 4, 8)


def evaluate_pictures(
    pictures: Sequence[InputPicture],
    explainers: Sequence[Explainer],
    options: EvaluationOptions,
    progress: Callable[[int], None] | None = None,
    report: Callable[[Evaluation], None] | None = None,
) -> Evaluation:
    """Measures maps on pictures.

    Args:
        pictures: The pictures. One that fails doesn't stop the others.
        explainers: The methods at their layers, all with the same classifier.
        options: What to measure.
        progress: Called with the number of maps measured since the last call. Each picture
            has as many maps as there are rows.
        report: Called with the results so far each time that some pictures are done.

    Returns:
        The results.

    Raises:
        ImageError: No picture could be measured.
    """
    evaluator = _Evaluator(explainers, options, progress or (lambda _: None))
    errors: list[GradcamError] = []
    evaluation = None
    for evaluation in evaluator.run(pictures, errors):
        if report is not None:
            report(evaluation)
    if evaluation is None:
        raise errors[0] if errors else ImageError("there are no pictures to measure")
    return evaluation


class _Evaluator:
    def __init__(
        self,
        explainers: Sequence[Explainer],
        options: EvaluationOptions,
        progress: Callable[[int], None],
    ) -> None:
        self._explainer = explainers[0]
        self._classifier = explainers[0].classifier
        self._sources: list[MapSource] = [ExplainerMaps(explainer) for explainer in explainers]
        if options.with_baselines:
            self._sources += [baseline() for baseline in BASELINES]
        self._options = options
        self._progress = progress
        self._scorer = TargetScores(self._classifier)
        self._metrics = {name: METRICS[name].find_function() for name in options.metrics}
        self._localisation = {
            name: LOCALISATION_METRICS[name].find_function()
            for name in usable_metrics(LOCALISATION_METRICS, self._classifier.labels.quantity)
        }
        self._values: list[dict[int, dict[str, float]]] = [defaultdict(dict) for _ in self._sources]
        self._blanks: list[dict[int, BlankMap]] = [{} for _ in self._sources]

    def run(
        self, pictures: Sequence[InputPicture], errors: list[GradcamError]
    ) -> Iterator[Evaluation]:
        """Yields the results so far after each chunk, at last with all pictures.

        Args:
            pictures: The pictures.
            errors: Gets the errors of pictures, even if none could be measured.
        """
        measured: list[AnyPath] = []
        start = 0
        for size in chain(_CHUNKS, repeat(_CHUNKS[-1])):
            if start >= len(pictures):
                return
            loaded = {}
            for picture in pictures[start : start + size]:
                try:
                    opened = load_picture(picture, self._options, errors)
                    self._check_prediction(picture, opened)
                    loaded[len(measured)] = opened
                    measured.append(picture.path)
                except GradcamError as error:
                    errors.append(error)
                    self._progress(len(self._sources))
            for group in by_shape(loaded):
                self._measure(group)
            start += size
            if measured:
                yield self._evaluation(measured, errors, max(0, len(pictures) - start))

    def _evaluation(
        self, measured: Sequence[AnyPath], errors: Sequence[GradcamError], left: int
    ) -> Evaluation:
        rows = [
            EvaluatedMaps(
                *(source.method, source.title, source.layer, _summarize(values)),
                values=dict(values),
                blanks=dict(blanks),
            )
            for source, values, blanks in zip(
                self._sources, self._values, self._blanks, strict=True
            )
        ]
        metrics = [name for name in ALL_METRICS if any(name in row.measurements for row in rows)]
        name = self._classifier.name
        return Evaluation(name, list(measured), rows, metrics, list(errors), left)

    def _check_prediction(self, picture: InputPicture, loaded: LoadedPicture) -> None:
        inputs = loaded.prepared.inputs[None]
        if not np.isfinite(self._explainer.classify(inputs)).all():
            raise self._explainer.refuse_prediction(picture.path, inputs)

    def _measure(self, group: Mapping[int, LoadedPicture]) -> None:
        inputs = np.stack([loaded.prepared.inputs for loaded in group.values()])
        explanation = self._explainer.explain(
            inputs, np.full((len(group), 1), self._options.target, np.int32)
        )
        targets = explanation.targets[:, 0].astype(np.int64)
        pictures = PictureBatch(self._scorer, inputs, targets, explanation.probabilities.shape[1])
        of_sources = zip(self._sources, self._values, self._blanks, strict=True)
        for source, values, blanks in of_sources:
            if isinstance(source, ExplainerMaps):
                maps, found = source.explain_and_check(inputs, targets)
                numbers = list(group)
                blanks |= {numbers[row]: blank for row, blank in found.items()}
            else:
                maps = source.explain(inputs, targets)
            batch = MapBatch(pictures, maps, source.explain, source.explain_randomized)
            figures = {name: measure(batch) for name, measure in self._metrics.items()}
            for row, (number, loaded) in enumerate(group.items()):
                values[number] |= {
                    name: float(found[row])
                    for name, found in figures.items()
                    # A map may have no value of a metric.
                    if not np.isnan(found[row])
                }
                located = locate_heat(
                    loaded, maps[row], targets[row], explanation.probabilities[row], source.explain
                )
                values[number] |= self._localise(located)
            self._progress(len(group))

    def _localise(self, located: Sequence[LocatedHeat]) -> dict[str, float]:
        """Measures where the heat of each class lies, and averages over the classes."""
        found = {
            name: [value for heat in located if (value := measure(heat)) is not None]
            for name, measure in self._localisation.items()
        }
        return {name: float(np.mean(values)) for name, values in found.items() if values}


def _summarize(values: dict[int, dict[str, float]]) -> dict[str, Measurement]:
    return {
        name: Measurement(np.array([found[name] for found in values.values() if name in found]))
        for name in ALL_METRICS
        if any(name in found for found in values.values())
    }
