"""Takes pictures from files to written results: decode, explain, draw, encode."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.errors import GradcamError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.run.batching import Batch, NetworkRunner, Outcome, as_own_error
from gradcam_cli.run.planning import FilePlanner, PlannedFile
from gradcam_cli.run.records import LoadedPicture, PictureResult
from gradcam_cli.run.task import Task
from gradcam_cli.run.writing import PictureWriter


def explain_pictures(
    pictures: Iterable[InputPicture],
    explainers: Sequence[Explainer],
    task: Task,
    namer: OutputNamer | None = None,
) -> Iterator[PictureResult]:
    """Explains pictures and writes the results, with a bounded number of them in memory.

    Pictures of one input shape go through the network together; decoding, drawing and
    encoding run beside it on the other cores. A picture that fails doesn't stop the rest.

    Args:
        pictures: The pictures, in any number.
        explainers: What explains them, all with the same classifier. Overlays are of the
            first; figures, sheets and reports show the maps of the others beside its own.
        task: What is done with each picture.
        namer: What names the files; None for one that begins with these pictures.

    Yields:
        One result for each picture, in their order, but for those that are skipped, which
        come ahead. When it is yielded, its files are complete.
    """
    return _Pipeline(explainers, task, namer).run(pictures)


class _Pipeline:
    def __init__(
        self, explainers: Sequence[Explainer], task: Task, namer: OutputNamer | None
    ) -> None:
        self._task = task
        self._labels = explainers[0].classifier.labels
        self._planner = FilePlanner(task, self._labels, namer)
        self._writer = PictureWriter(explainers, task)
        self._pool = ThreadPoolExecutor(task.parallelism.workers)
        self._runner = NetworkRunner(explainers, self._pool, task.parallelism, task.batch_size)

    def run(self, pictures: Iterable[InputPicture]) -> Iterator[PictureResult]:
        source = iter(pictures)
        explaining: deque[tuple[Batch, Future[list[Outcome]]]] = deque()
        drawing: deque[Future[PictureResult]] = deque()
        size = self._runner.batch_size

        def stop() -> None:
            self._runner.close()
            self._pool.shutdown(wait=True, cancel_futures=True)

        try:
            while True:
                # While each stream computes a batch, the next one is decoded.
                while len(explaining) < 2 * self._runner.streams:
                    held = len(drawing) + sum(len(batch) for batch, _ in explaining)
                    if held and held + size.now > size.in_flight:
                        break
                    chosen, skipped = self._choose(islice(source, size.now))
                    if not chosen and not skipped:
                        break
                    yield from (PictureResult(picture, skipped=True) for picture in skipped)
                    if chosen:
                        batch = [(one, self._pool.submit(self._load, one)) for one in chosen]
                        explaining.append((batch, self._runner.submit(batch)))
                if explaining:
                    explained, outcomes = explaining.popleft()
                    drawing.extend(self._draw(explained, outcomes.result()))
                    size.grow(_pixels_of_largest(explained))
                while drawing and (len(drawing) > size.now or not explaining):
                    yield drawing.popleft().result()
                if not explaining and not drawing:
                    break
        except KeyboardInterrupt:
            self._runner.interrupt()
            stop()
            # What was written by now is told, before the run ends.
            yield from (future.result() for future in drawing if not future.cancelled())
            raise
        finally:
            stop()

    def _choose(
        self, pictures: Iterable[InputPicture]
    ) -> tuple[list[InputPicture], list[InputPicture]]:
        """Tells pictures that are to be explained from those whose results are there."""
        chosen: list[InputPicture] = []
        skipped: list[InputPicture] = []
        for picture in pictures:
            is_done = self._task.write.skip_existing and not picture.redo
            is_done = is_done and self._planner.is_done(picture)
            (skipped if is_done else chosen).append(picture)
        return chosen, skipped

    def _load(self, picture: InputPicture) -> LoadedPicture:
        targets = self._task.targets
        truth = None if targets.truth is None else targets.truth.of(picture)
        prepared = self._task.inputs.read(picture.path)
        return LoadedPicture(prepared, targets.explained(picture, self._labels, truth), truth)

    def _draw(self, batch: Batch, outcomes: Sequence[Outcome]) -> Iterator[Future[PictureResult]]:
        """Sets the drawing of a batch going, in the order of its pictures."""
        for (picture, decoding), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, GradcamError):
                yield _done(PictureResult(picture, error=outcome))
                continue
            explanations, row = outcome
            loaded = decoding.result()
            result = self._predict(picture, loaded, explanations[0].probabilities[row])
            if self._task.targets.only_wrong and not result.is_wrong:
                yield _done(result)
                continue
            files = self._planner.plan(picture, explanations[0].targets[row])
            yield self._pool.submit(self._write, result, loaded, explanations, row, files)

    def _predict(
        self, picture: InputPicture, loaded: LoadedPicture, probabilities: np.ndarray
    ) -> PictureResult:
        """Gives what is known of a picture before anything is drawn."""
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
            return self._writer.write(result, loaded.prepared, explanations, row, files)
        # Whatever can't be drawn or written of a picture, the others still can.
        except Exception as error:
            return PictureResult(result.picture, error=as_own_error(result.picture, error))


def _done(result: PictureResult) -> Future[PictureResult]:
    future: Future[PictureResult] = Future()
    future.set_result(result)
    return future


def _pixels_of_largest(batch: Batch) -> int:
    sizes = [
        future.result().prepared.image.size for _, future in batch if future.exception() is None
    ]
    return max((width * height for width, height in sizes), default=1)
