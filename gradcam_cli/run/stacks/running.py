"""Explains one file of several pictures, from the file to its written results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import GradcamError, ImageError, UsageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.input_texts import identity_of
from gradcam_cli.files.marks import mark
from gradcam_cli.files.storage import AnyPath, is_remote
from gradcam_cli.pictures.stacks.opening import is_stack_by_name
from gradcam_cli.pictures.stacks.stack import SLICE, Frame, FrameChoice, Stack
from gradcam_cli.pictures.stacks.volumes import Volume
from gradcam_cli.rendering.stacks.writer import StackWriter
from gradcam_cli.run.batching import as_own_error
from gradcam_cli.run.loading import opened
from gradcam_cli.run.options import COMMON_SCALE, FRAME_SCALE
from gradcam_cli.run.planning import FilePlanner, PlannedFile
from gradcam_cli.run.records import ExplainedTarget, PictureResult
from gradcam_cli.run.stacks.drawing import StackDrawer, common_limits
from gradcam_cli.run.stacks.explaining import FrameExplainer
from gradcam_cli.run.stacks.files import endings_of, written_for
from gradcam_cli.run.stacks.frame import FrameExplanation
from gradcam_cli.run.stacks.progress import FrameProgress
from gradcam_cli.run.stacks.results import FrameResults
from gradcam_cli.run.stacks.spool import FrameSpool
from gradcam_cli.run.stacks.whole import explain_whole, takes_whole_stacks
from gradcam_cli.run.task import Task


class StackRun:
    """Explains stacks, one after the other.

    All pictures of a stack go through the network first. Their maps wait in a temporary file
    until the common scale is known. Then the pictures are read again, drawn and written.
    """

    def __init__(
        self,
        explainers: Sequence[Explainer],
        task: Task,
        planner: FilePlanner,
        progress: FrameProgress,
    ) -> None:
        """Sets what explains stacks, and what to write.

        Args:
            explainers: The explainers of the run.
            task: What to do with each file.
            planner: Names the files.
            progress: Where to report how far it is.
        """
        self._explainers = explainers
        self._explainer = explainers[0]
        self._labels = explainers[0].classifier.labels
        self._task = task
        self._planner = planner
        self._progress = progress

    def explain(self, picture: InputPicture) -> PictureResult:
        """Explains a file of several pictures, and writes its results.

        Args:
            picture: The file.

        Returns:
            Its result, once its files are complete, or its error.
        """
        try:
            return self._explain(picture)
        # No error of one file may stop the others.
        except Exception as error:
            return PictureResult(picture, error=as_own_error(picture, error))

    def is_done(self, picture: InputPicture) -> bool | None:
        """Returns whether an earlier run has written all results of a file.

        Args:
            picture: The file.

        Returns:
            None if it isn't known to hold several pictures. A file in a store is only opened if its
            name says so: that would take a download.
        """
        if is_remote(picture.path) and not is_stack_by_name(picture.path):
            return None
        try:
            downloads = Downloads(self._task.download_limits)
            stack = opened(picture, self._task, downloads, self._explainer.classifier)
        except GradcamError:
            # It is reported when the picture is explained.
            return False
        return None if stack is None else self._planner.is_stack_done(picture, endings_of(stack))

    def _explain(self, picture: InputPicture) -> PictureResult:
        self._check(picture)
        task, targets = self._task, self._task.targets
        downloads = Downloads(task.download_limits)
        classifier = self._explainer.classifier
        stack = opened(picture, task, downloads, classifier)
        if stack is None and takes_whole_stacks(classifier):
            raise ImageError(
                f"{picture.path}: is a single picture, but the model takes "
                f"{classifier.describe_length()}: give it a video, an animation or a volume"
            )
        if stack is None:
            raise ImageError(f"{picture.path}: changed while it was read; try again")
        choice = self._choice(picture, stack)
        truth = None if targets.truth is None else targets.truth.of(picture)
        wanted = targets.explained(picture, self._labels, truth)
        with FrameSpool() as first, FrameSpool() as second:
            explained, mean, indices = self._explain_all(
                picture, stack, choice, wanted, (first, second)
            )
            result = self._predict(picture, mean, truth)
            if targets.only_wrong and not result.is_wrong:
                return replace(result, noun=stack.noun)
            targets.check_predicted(wanted, result.predictions[0])
            files = self._planner.plan_stack(picture, indices.tolist(), endings_of(stack))
            return self._write(result, stack, choice, explained, (mean, indices), files)

    def _check(self, picture: InputPicture) -> None:
        """Refuses options that belong to single pictures.

        Raises:
            UsageError: There is one.
        """
        draw, task = self._task.draw, self._task
        if task.detection is not None:
            raise UsageError(
                f"{picture.path}: this file holds several pictures, and each may show other "
                f"objects; a detector explains single pictures, so add --first-frame"
            )
        refused = {
            "--report": task.keeps_card,
            "a sheet of several methods": task.sheet,
            "--figure": draw.figure is not None,
            "--each": task.composite,
            "--heatmap": draw.heatmap is not None,
            "--mask": draw.mask,
            "several explained inputs": len(task.views) > 1,
        }
        for option, is_given in refused.items():
            if is_given:
                raise UsageError(
                    f"{picture.path}: {option} works with single pictures, and this file "
                    f"holds several; leave it out, or add --first-frame"
                )

    def _choice(self, picture: InputPicture, stack: Stack) -> FrameChoice:
        options = self._task.stack
        if options.slices is not None and stack.noun != SLICE:
            raise UsageError(
                f"{picture.path}: holds {stack.noun}s, not slices; choose them with --frames "
                f"instead of --slice"
            )
        numbers = options.frames if options.slices is None else options.slices
        return FrameChoice(numbers, options.every)

    def _explain_all(
        self,
        picture: InputPicture,
        stack: Stack,
        choice: FrameChoice,
        wanted: Sequence[int],
        spools: tuple[FrameSpool, FrameSpool],
    ) -> tuple[Callable[[], Iterator[FrameExplanation]], np.ndarray, np.ndarray]:
        """Explains all pictures.

        Returns:
            A function that reads their explanations from the beginning, the mean of the
            probabilities, and the explained classes.
        """
        first, second = spools
        count = _number(stack, choice)
        if takes_whole_stacks(self._explainer.classifier):
            shared = None
            with self._progress.of(f"{picture.path.name}: {stack.noun}s explained", count) as done:
                for shared in explain_whole(
                    picture, stack, choice, self._explainer, self._task, wanted
                ):
                    first.add(shared)
                    done()
            assert shared is not None
            return lambda: iter(first), shared.probabilities, shared.targets

        def frames() -> Iterator[Frame]:
            return _until_damage(stack, choice)

        one_by_one = FrameExplainer(
            *(picture, stack.noun, frames, self._explainer, self._task, self._progress, count)
        )
        one_by_one.explain(wanted, first, second)
        return lambda: one_by_one.merged(first, second), one_by_one.mean, one_by_one.targets

    def _predict(self, picture: InputPicture, mean: np.ndarray, truth: int | None) -> PictureResult:
        predictions = self._labels.most_probable(mean, self._task.top_k)
        true = None if truth is None else self._labels.prediction(truth, mean)
        is_wrong = true is not None and true.index != predictions[0].index
        return PictureResult(picture, predictions, truth=true, is_wrong=is_wrong)

    def _write(
        self,
        result: PictureResult,
        stack: Stack,
        choice: FrameChoice,
        explained: Callable[[], Iterator[FrameExplanation]],
        classes: tuple[np.ndarray, np.ndarray],
        files: Mapping[PlannedFile, AnyPath],
    ) -> PictureResult:
        mean, indices = classes
        scale, note, limits = self._task.stack.scale, "", None
        if scale == COMMON_SCALE:
            limits = common_limits(explained())
            if limits is None:
                scale = FRAME_SCALE
                note = f"these maps have no common scale, so each {stack.noun} has its own"
        drawer = StackDrawer(self._task.draw, limits, self._task.parallelism.workers)
        seen = [one.number for one in explained()]
        frames = FrameResults(self._labels, self._task.top_k)
        blanks: dict[int, list[tuple[int, BlankMap]]] = {}
        title = f"{result.picture.path.name}: {stack.noun}s written"
        with contextlib.ExitStack() as opened_files:
            writers = {
                (kind, number): opened_files.enter_context(
                    self._writer(stack, kind, path, result, int(indices[number]), mean, files)
                )
                for (kind, number, _), path in files.items()
                if number is not None
            }
            advance = opened_files.enter_context(self._progress.of(title, len(seen)))
            # A network that takes whole stacks may not have seen all chosen pictures.
            wanted = set(seen)
            chosen = (frame for frame in stack.frames(choice) if frame.number in wanted)
            for frame, own, drawing in drawer.draw(chosen, explained()):
                shown = replace(frame, caption=self._caption(own.probabilities))
                for (_, number), writer in writers.items():
                    writer.add(shown, *drawing[number])
                frames.add(frame, own.probabilities, drawer.heights(own))
                for number, blank in own.blanks.items():
                    blanks.setdefault(number, []).append((frame.number, blank))
                advance()
        targets = [
            ExplainedTarget(
                self._task.targets.prediction(self._labels, int(index), mean),
                files.get(("overlay", number, self._task.views[0])),
                files.get(("heatmap", number, self._task.views[0])),
                _summarized(blanks.get(number, []), len(frames), stack.noun),
            )
            for number, index in enumerate(indices)
            if number not in _repeated(indices, files)
        ]
        return replace(
            result,
            targets=targets,
            frames=frames,
            noun=stack.noun,
            is_whole=takes_whole_stacks(self._explainer.classifier),
            scale=scale,
            shown=stack.title if isinstance(stack, Volume) else "",
            note=note,
        )

    def _caption(self, probabilities: np.ndarray) -> str:
        (first,) = self._labels.most_probable(probabilities, 1)
        return f"{first.name} {first.text}"

    def _writer(
        self,
        stack: Stack,
        kind: str,
        path: AnyPath,
        result: PictureResult,
        index: int,
        mean: np.ndarray,
        files: Mapping[PlannedFile, AnyPath],
    ) -> contextlib.AbstractContextManager[StackWriter]:
        prediction = self._task.targets.prediction(self._labels, index, mean)
        first = next(iter(files.values()))
        own = mark(
            result.picture.path,
            path.parent,
            self._explainer.facts.title_of(prediction),
            [one for one in files.values() if one != first] if path == first else (),
            self._planner.identity + identity_of(result.picture),
            path,
        )
        return written_for(stack, kind, path, own)


def _until_damage(stack: Stack, choice: FrameChoice) -> Iterator[Frame]:
    """Reads the chosen pictures; if the file is damaged, the error says how to leave that out."""
    last: Frame | None = None
    try:
        for last in stack.frames(choice):
            yield last
    except ImageError as error:
        if last is None:
            raise
        raise ImageError(
            f"{error.message}; explain what comes before with --frames "
            f"{_start(choice)}:{last.number + 1}"
        ) from error


def _start(choice: FrameChoice) -> str:
    start = None if choice.numbers is None else choice.numbers.start
    return str(start or 0)


def _number(stack: Stack, choice: FrameChoice) -> int | None:
    """Returns how many pictures are chosen; None if that isn't known."""
    if stack.count is None:
        return None
    return len(range(stack.count)[choice.numbers or slice(None)][:: choice.every])


def _repeated(indices: np.ndarray, files: Mapping[PlannedFile, AnyPath]) -> set[int]:
    """Returns the places of classes that are there already and have no files of their own."""
    with_files = {number for _, number, _ in files}
    return {
        place
        for place, index in enumerate(indices)
        if place not in with_files and index in indices[:place]
    }


def _summarized(blanks: Sequence[tuple[int, BlankMap]], number: int, noun: str) -> BlankMap | None:
    """Says how many maps of a class show nothing, and why the first of them doesn't."""
    if not blanks:
        return None
    first, blank = blanks[0]
    if len(blanks) == number:
        return blank
    have = "has" if len(blanks) == 1 else "have"
    counted = f"{len(blanks)} of {number} {noun}s {have} a map that shows nothing"
    return replace(blank, note=f"{counted}; {noun} {first}: {blank.note}")
