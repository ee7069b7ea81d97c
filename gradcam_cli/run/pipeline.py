"""Processes pictures from files to written results: decode, explain, draw, encode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol, TypeVar

import numpy as np

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.errors import GradcamError, UsageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.reading import IfSeveral, SeveralPicturesError
from gradcam_cli.pictures.stacks.opening import may_hold_several
from gradcam_cli.run.batching import NetworkRunner, Outcome, as_own_error
from gradcam_cli.run.loading import PictureLoader
from gradcam_cli.run.look_ahead import LookAhead
from gradcam_cli.run.planning import FilePlanner, PlannedFile
from gradcam_cli.run.records import LoadedPicture, PictureResult
from gradcam_cli.run.task import Task
from gradcam_cli.run.writing import PictureWriter
from gradcam_cli.runtime.memory import return_freed_memory
from gradcam_cli.runtime.signals import hold_signals

# Freed memory is returned to the system after this many pixels. That takes some milliseconds.
_PIXELS_RETURNED = 10_000_000

_T = TypeVar("_T")
_Of = TypeVar("_Of")
# Takes an explained picture, the explanation of its batch and its row there.
Keeper = Callable[[InputPicture, LoadedPicture, Explanation, int], None]


class StackExplainer(Protocol):
    """Explains files of several pictures; see `gradcam_cli.run.stacks.running.StackRun`."""

    def explain(self, picture: InputPicture) -> PictureResult:
        """Explains a file and writes its results. Every error is in the result."""

    def is_done(self, picture: InputPicture) -> bool | None:
        """Returns whether the results of a file exist; None if it holds a single picture."""


def explain_pictures(
    pictures: Iterable[InputPicture],
    explainers: Sequence[Explainer],
    task: Task,
    namer: OutputNamer | None = None,
    stacks: StackExplainer | None = None,
) -> Iterator[PictureResult]:
    """Explains pictures and writes the results, with a bounded number of them in memory.

    Pictures of one input shape go through the network together. Decoding, drawing and encoding
    run in parallel on the other cores. A picture that fails doesn't stop the others.

    Args:
        pictures: The pictures, in any number.
        explainers: The explainers, all of one classifier. Overlays are written for the first
            one. Figures, sheets and reports also show the maps of the others.
        task: What to do with each picture.
        namer: Names the files; None for a new one.
        stacks: Explains files of several pictures, in this thread, while the other pictures wait;
            None to explain the first picture of such a file.

    Yields:
        A result for each picture, in order, once its files are complete. Results of skipped
        pictures come earlier. The signals of `gradcam_cli.runtime.signals` wait until the caller
        asks for the next result. After one, or Ctrl-C, the results of all written files follow
        before KeyboardInterrupt is raised.
    """
    return _Pipeline(explainers, task, namer, stacks=stacks).run(pictures)


def explain_parts(
    pictures: Iterable[InputPicture], explainer: Explainer, task: Task, keep: Keeper
) -> Iterator[PictureResult]:
    """Explains the pictures of a stack without writing anything.

    Args:
        pictures: The pictures, in memory (see `gradcam_cli.files.finding.InputPicture.part`).
        explainer: The explainer.
        task: What to do with each picture.
        keep: Called for each explained picture, in order and in this thread.

    Yields:
        For each picture, in order, a result without files and predictions.
    """
    return _Pipeline([explainer], task, keep=keep).run(pictures)


@dataclass(eq=False)
class _Held:
    """A picture in progress.

    Attributes:
        place: Its place among the pictures of the run.
        picture: The picture.
        loaded: The picture in memory, from decoding until it is submitted for drawing.
        outcome: The explanations, or the error; until it is submitted for drawing.
        drawing: The future with its result, once it is submitted for drawing.
    """

    place: int
    picture: InputPicture
    loaded: LoadedPicture | None = None
    outcome: Outcome | None = None
    drawing: Future[PictureResult] | None = None


class _Pipeline:
    def __init__(
        self,
        explainers: Sequence[Explainer],
        task: Task,
        namer: OutputNamer | None = None,
        *,
        stacks: StackExplainer | None = None,
        keep: Keeper | None = None,
    ) -> None:
        self._task = task
        self._keep = keep
        self._stacks = stacks
        self._downloads = Downloads(task.download_limits)
        classifier = explainers[0].classifier
        self._labels = classifier.labels
        several = IfSeveral.TAKE_FIRST if task.stack.first_frame else IfSeveral.WARN
        if stacks is not None:
            several = IfSeveral.REFUSE
        self._loader = PictureLoader(classifier, task, self._downloads, several)
        self._planner = FilePlanner(task, self._labels, namer)
        self._writer = PictureWriter(explainers, task)
        workers = task.parallelism.workers
        self._pool = ThreadPoolExecutor(workers)
        self._runner = NetworkRunner(
            explainers, self._pool, task.parallelism, task.batch_size, task.detection
        )
        self._ahead = LookAhead(self._runner.batch_size, self._runner.streams, workers)
        # From the oldest picture whose result hasn't been yielded to the newest, by place.
        self._held: dict[int, _Held] = {}
        self._next_place = self._next_drawn = self._drawing = 0
        self._released_pixels = _PIXELS_RETURNED
        self._is_last = False
        # What to do in this thread about work that other threads have finished.
        self._done: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def run(self, pictures: Iterable[InputPicture]) -> Iterator[PictureResult]:
        source = iter(pictures)
        try:
            while True:
                yield from self._read_ahead(source)
                self._run_batches()
                self._draw_in_order()
                yield from self._take_finished()
                if result := self._take_stack():
                    with hold_signals():
                        yield result
                    continue
                if self._is_last and not self._held:
                    break
                self._done.get()()
                while not self._done.empty():
                    self._done.get()()
        except KeyboardInterrupt:
            self._runner.interrupt()
            self._stop()
            # Yield the results that were written before the interruption.
            drawings = [held.drawing for held in self._held.values()]
            yield from (one.result() for one in drawings if one is not None and not one.cancelled())
            raise
        finally:
            self._stop()

    def _stop(self) -> None:
        # A thread that waits for a server would delay the end.
        self._downloads.stop()
        self._runner.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read_ahead(self, source: Iterator[InputPicture]) -> Iterator[PictureResult]:
        """Starts to decode pictures, and yields the results of those that are skipped."""
        while not self._is_last and self._ahead.may_read(len(self._held), self._drawing):
            picture = next(source, None)
            if picture is None:
                self._is_last = True
            elif self._is_done(picture):
                with hold_signals():
                    yield PictureResult(picture, skipped=True)
            else:
                held = _Held(self._next_place, picture)
                self._next_place += 1
                self._held[held.place] = held
                self._ahead.begin()
                self._when_done(self._pool.submit(self._loader.load, picture), self._add, held)

    def _add(self, held: _Held, decoding: Future[LoadedPicture]) -> None:
        error = decoding.exception()
        if error is not None:
            self._ahead.add(held.place, None)
            held.outcome = as_own_error(held.picture, error)
            return
        held.loaded = decoding.result()
        prepared = held.loaded.prepared
        alike = prepared.inputs.shape, len(held.loaded.targets)
        pictures = [prepared, *held.loaded.others.pictures.values()]
        distinct = {id(one): one.image.width * one.image.height for one in pictures}
        self._ahead.add(held.place, alike, sum(distinct.values()))

    def _run_batches(self) -> None:
        while places := self._ahead.next_batch(self._is_last):
            batch = [self._held[place] for place in places]
            loaded = [(held.picture, held.loaded) for held in batch if held.loaded is not None]
            self._when_done(self._runner.submit(loaded), self._note_outcomes, batch)

    def _note_outcomes(self, batch: Sequence[_Held], running: Future[list[Outcome]]) -> None:
        self._ahead.finish_batch()
        for held, outcome in zip(batch, running.result(), strict=True):
            held.outcome = outcome

    def _draw_in_order(self) -> None:
        """Starts to draw all pictures that don't come after an unexplained one."""
        while held := self._held.get(self._next_drawn):
            if held.outcome is None or self._is_stack(held):
                break
            # Otherwise files could be written that no result tells of.
            with hold_signals():
                held.drawing = self._draw(held.picture, held.loaded, held.outcome)
            held.loaded = held.outcome = None
            self._when_done(held.drawing, self._release, held)
            self._next_drawn += 1
            self._drawing += 1

    def _release(self, held: _Held, _drawing: Future[PictureResult]) -> None:
        self._drawing -= 1
        self._released_pixels += self._ahead.release(held.place)
        if self._released_pixels >= _PIXELS_RETURNED:
            self._released_pixels = 0
            return_freed_memory()

    def _take_finished(self) -> Iterator[PictureResult]:
        while self._held:
            place, held = next(iter(self._held.items()))
            if held.drawing is None or not held.drawing.done():
                break
            with hold_signals():
                del self._held[place]
                yield held.drawing.result()

    def _is_stack(self, held: _Held) -> bool:
        is_one = isinstance(held.outcome, SeveralPicturesError)
        return is_one and self._stacks is not None

    def _take_stack(self) -> PictureResult | None:
        """Explains the oldest picture if it is a stack; the others wait, so that names don't."""
        held = self._held.get(self._next_drawn)
        if held is None or next(iter(self._held)) != held.place or not self._is_stack(held):
            return None
        assert self._stacks is not None
        result = self._stacks.explain(held.picture)
        self._ahead.release(held.place)
        del self._held[held.place]
        self._next_drawn += 1
        return result

    def _when_done(
        self, future: Future[_T], then: Callable[[_Of, Future[_T]], None], of: _Of
    ) -> None:
        future.add_done_callback(lambda done: self._done.put(lambda: then(of, done)))

    def _is_done(self, picture: InputPicture) -> bool:
        """Returns whether a picture's results exist and should stay."""
        if not self._task.write.skip_existing or picture.redo:
            return False
        if self._stacks is not None and may_hold_several(picture.path):
            is_done = self._stacks.is_done(picture)
            if is_done is not None:
                return is_done
        return self._planner.is_done(picture)

    def _draw(
        self, picture: InputPicture, loaded: LoadedPicture | None, outcome: Outcome
    ) -> Future[PictureResult]:
        """Starts to draw a picture; must be called in the order of the pictures."""
        if isinstance(outcome, GradcamError):
            return _done(PictureResult(picture, error=outcome))
        assert loaded is not None
        explanations, row = outcome
        if self._keep is not None:
            self._keep(picture, loaded, explanations[0], row)
            return _done(PictureResult(picture))
        targets = self._task.targets
        if targets.are_objects:
            result = self._describe_objects(picture, explanations[0])
            if not result.predictions:
                return _done(result)
        else:
            result = self._predict(picture, loaded, explanations[0].probabilities[row])
        if targets.only_wrong and not result.is_wrong:
            return _done(result)
        try:
            targets.check_predicted(loaded.targets, result.predictions[0])
        except GradcamError as error:
            own = UsageError(f"{picture.name}: {error}")
            return _done(PictureResult(picture, error=own))
        try:
            files = self._planner.plan(picture, explanations[0].targets[row], loaded.others)
        except GradcamError as error:
            return _done(PictureResult(picture, error=error))
        return self._pool.submit(self._write, result, loaded, explanations, row, files)

    def _describe_objects(self, picture: InputPicture, explanation: Explanation) -> PictureResult:
        """Returns the result of a picture of a detector as far as it is known before drawing."""
        assert self._task.detection is not None
        objects = [self._labels.detected(one.index, one.score) for one in explanation.objects]
        if objects:
            return PictureResult(picture, objects)
        least = f"{self._task.detection.min_score:g}"
        note = f"no object with a score of at least {least}"
        missed = explanation.missed
        if missed is not None:
            name = self._labels.name(missed.index)
            note += f"; the best is {name} with {missed.score:.2g}, see --min-score"
        return PictureResult(picture, note=note)

    def _predict(
        self, picture: InputPicture, loaded: LoadedPicture, probabilities: np.ndarray
    ) -> PictureResult:
        """Returns the result of a picture as far as it is known before drawing."""
        predictions = self._labels.most_probable(probabilities, self._task.top_k)
        truth = None
        if loaded.truth is not None:
            truth = self._labels.prediction(loaded.truth, probabilities)
        is_wrong = truth is not None and truth.index != predictions[0].index
        return PictureResult(picture, predictions, truth=truth, is_wrong=is_wrong)

    def _write(
        self,
        result: PictureResult,
        loaded: LoadedPicture,
        explanations: Sequence[Explanation],
        row: int,
        files: Mapping[PlannedFile, AnyPath],
    ) -> PictureResult:
        try:
            return self._writer.write(result, loaded, explanations, row, files)
        # No error of one picture may stop the others.
        except Exception as error:
            return PictureResult(result.picture, error=as_own_error(result.picture, error))


def _done(result: PictureResult) -> Future[PictureResult]:
    future: Future[PictureResult] = Future()
    future.set_result(result)
    return future
