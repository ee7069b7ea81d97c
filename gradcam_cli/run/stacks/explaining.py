"""Explains the pictures of a stack one by one, all for the same classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import InputPicture, Part
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.networks.tasks import REGRESSION
from gradcam_cli.pictures.reading import IfSeveral
from gradcam_cli.pictures.stacks.stack import Frame
from gradcam_cli.run.batching import inputs_of
from gradcam_cli.run.loading import PictureLoader
from gradcam_cli.run.options import WriteOptions
from gradcam_cli.run.pipeline import explain_parts
from gradcam_cli.run.records import LoadedPicture
from gradcam_cli.run.stacks.frame import FrameExplanation
from gradcam_cli.run.stacks.spool import FrameSpool
from gradcam_cli.run.targets import Targets
from gradcam_cli.run.task import Task

# The pictures that are only classified at once.
_CLASSIFIED = 16
# Reads the pictures of the stack anew.
FrameSource = Callable[[], Iterable[Frame]]


class FrameExplainer:
    """Explains all pictures of a stack for the classes that are most probable on average.

    A map that jumps from class to class would say nothing about what changes in the pictures. So
    a class that the user didn't name is chosen once: by the mean of the probabilities.

    Attributes:
        mean: (classes,) float64, the mean of the probabilities; known after `explain`.
        targets: (M,) int, the explained classes; known after `explain`.
    """

    def __init__(
        self,
        picture: InputPicture,
        noun: str,
        frames: FrameSource,
        explainer: Explainer,
        task: Task,
        progress: Callable[[], None],
    ) -> None:
        """Sets what to explain.

        Args:
            picture: The file.
            noun: What its pictures are called.
            frames: Reads them from the beginning.
            explainer: Explains them.
            task: What to do with each of them.
            progress: Called when a picture is finished.
        """
        self._picture = picture
        self._noun = noun
        self._frames = frames
        self._explainer = explainer
        self._task = task
        self._progress = progress
        self.mean = np.zeros(0)
        self.targets = np.zeros(0, np.int32)

    def explain(self, wanted: Sequence[int], first: FrameSpool, second: FrameSpool) -> None:
        """Explains all pictures, and those again that the mean gives another class.

        Args:
            wanted: The classes to explain: indices, or -1 for the most probable, -2 for the second
                and so on.
            first: Gets the explanations.
            second: Gets those that replace some of them.

        Raises:
            GradcamError: A picture can't be read or explained.
        """
        if min(wanted) < 0 and self._explainer.runs_many_times:
            # Classifying takes next to nothing beside explaining the wrong class.
            self.mean = self._classify()
            wanted = self._resolve(wanted)
        totals: list[np.ndarray] = []

        def keep(explained: FrameExplanation) -> None:
            totals[:] = [explained.probabilities + (totals[0] if totals else np.float64(0))]
            first.add(explained)

        self._explain(self._frames(), wanted, keep)
        self.mean = totals[0] / len(first)
        self.targets = np.array(self._resolve(wanted), np.int32)
        others = {one.number for one in first if not one.has(self.targets)}
        if others:
            again = (frame for frame in self._frames() if frame.number in others)
            self._explain(again, self.targets.tolist(), second.add)

    def merged(self, first: FrameSpool, second: FrameSpool) -> Iterator[FrameExplanation]:
        """Reads the explanations of all pictures, in order, each for the classes of the stack.

        Args:
            first: As for `explain`.
            second: As for `explain`.
        """
        replacing = iter(second)
        for explained in first:
            right = explained if explained.has(self.targets) else next(replacing)
            yield right.ordered(self.targets)

    def _explain(
        self,
        frames: Iterable[Frame],
        wanted: Sequence[int],
        keep: Callable[[FrameExplanation], None],
    ) -> None:
        # The classes of the run are those of the picture, which may have a class of its own.
        targets = Targets(wanted, joined=self._task.targets.joined)
        # Whether results exist has been asked for the whole file.
        task = replace(self._task, targets=targets, write=WriteOptions())
        kept = _keeping(self._explainer, keep)
        for result in explain_parts(self._parts(frames), self._explainer, task, kept):
            if result.error is not None:
                raise result.error
            self._progress()

    def _parts(self, frames: Iterable[Frame]) -> Iterator[InputPicture]:
        for frame in frames:
            title = f"{self._noun} {frame.number}"
            part = Part(frame.number, title, frame.image)
            yield replace(self._picture, part=part, target=None)

    def _classify(self) -> np.ndarray:
        task = replace(self._task, targets=Targets())
        downloads = Downloads(self._task.download_limits)
        loader = PictureLoader(self._explainer.classifier, task, downloads, IfSeveral.REFUSE)
        parts = self._parts(self._frames())
        total, number = np.zeros(0), 0
        while batch := [loader.load(part) for part in islice(parts, _CLASSIFIED)]:
            for alike in _alike(batch):
                inputs, conditions = inputs_of(alike, self._explainer.classifier)
                found = self._explainer.classify(inputs, conditions)
                total = found.sum(axis=0, dtype=np.float64) + (total if number else 0)
                number += len(alike)
        return total / number

    def _resolve(self, wanted: Sequence[int]) -> list[int]:
        """Replaces -1, -2 and so on by the classes that are most probable on average."""
        against = self._task.targets.against
        ranking = _rank(self.mean, self._explainer.classifier, against)
        return [ranking[-index - 1] if index < 0 else index for index in wanted]


def _keeping(
    explainer: Explainer, keep: Callable[[FrameExplanation], None]
) -> Callable[[InputPicture, LoadedPicture, Explanation, int], None]:
    def kept(
        picture: InputPicture, loaded: LoadedPicture, explanation: Explanation, row: int
    ) -> None:
        assert picture.part is not None
        regions = explanation.regions
        keep(
            FrameExplanation(
                picture.part.number,
                explanation.probabilities[row],
                explanation.targets[row],
                explanation.maps[row],
                loaded.prepared.fit,
                explainer.pitch,
                None if explanation.peaks is None else explanation.peaks[row],
                None if regions is None else regions[row],
                (1.0, 1.0) if regions is None else explainer.region_pitch,
                {place: blank for (of, place), blank in explanation.blanks.items() if of == row},
            )
        )

    return kept


def _alike(batch: Sequence[LoadedPicture]) -> list[list[LoadedPicture]]:
    """Groups pictures whose inputs have one shape."""
    groups: dict[tuple[int, ...], list[LoadedPicture]] = {}
    for loaded in batch:
        groups.setdefault(loaded.prepared.inputs.shape, []).append(loaded)
    return list(groups.values())


def _rank(values: np.ndarray, classifier: Classifier, against: int | None) -> list[int]:
    """Ranks classes as the traced graph does: see `gradcam_cli.cam.traced_maps.TracedMaps`."""
    values = np.array(values)
    if classifier.task == REGRESSION:
        values[:] = 0
    if classifier.segments:
        values[classifier.background] -= 2
    if against is not None:
        values[against] = -np.inf
    ranking: list[int] = np.argsort(-values, kind="stable").tolist()
    return ranking
