"""Takes pictures from files to written results: decode, explain, draw, encode."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.errors import GradcamError, UnknownClassError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.fitting import fit_picture
from gradcam_cli.pictures.reading import read_picture, to_channels
from gradcam_cli.run.batching import Batch, NetworkRunner, Outcome, as_own_error
from gradcam_cli.run.drawing import PictureWriter, PlannedFile
from gradcam_cli.run.records import DecodedPicture, PictureResult, PipelineOptions


def explain_pictures(
    pictures: Iterable[InputPicture],
    explainer: Explainer,
    options: PipelineOptions,
    others: Sequence[Explainer] = (),
    namer: OutputNamer | None = None,
) -> Iterator[PictureResult]:
    """Explains pictures and writes the results, with a bounded number of them in memory.

    Pictures of one input shape go through the network together; decoding, drawing and
    encoding run beside it on the other cores. A picture that fails doesn't stop the rest.

    Args:
        pictures: The pictures, in any number.
        explainer: What explains them.
        options: How, and what to write.
        others: More explainers of the same classifier, with other methods or layers. Figures
            and reports show their maps beside those of the first.
        namer: What names the files; None for one that begins with these pictures.

    Yields:
        One result for each picture, in their order, but for those that are skipped, which
        come ahead. When it is yielded, its files are complete.
    """
    return _Pipeline(explainer, options, others, namer).run(pictures)


class _Pipeline:
    def __init__(
        self,
        explainer: Explainer,
        options: PipelineOptions,
        others: Sequence[Explainer],
        namer: OutputNamer | None,
    ) -> None:
        self._explainer = explainer
        self._others = others
        self._options = options
        self._writer = PictureWriter(explainer, options, others, namer)
        self._pool = ThreadPoolExecutor(options.parallelism.workers)
        self._runner = NetworkRunner(
            [explainer, *others], self._pool, options.parallelism, options.batch_size
        )

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
                        batch = [(one, self._pool.submit(self._decode, one)) for one in chosen]
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
            is_skipped = self._options.skip_existing and not picture.redo and self._is_done(picture)
            (skipped if is_skipped else chosen).append(picture)
        return chosen, skipped

    def _is_done(self, picture: InputPicture) -> bool:
        try:
            return self._writer.is_done(picture)
        except UnknownClassError:
            # It is told where the picture would be explained.
            return False

    def _decode(self, picture: InputPicture) -> DecodedPicture:
        options = self._options
        truth = None if options.truth is None else options.truth.of(picture)
        image = read_picture(picture.path)
        fit = fit_picture(image.size, options.fit, options.input_size, options.stride)
        inputs = fit.apply(to_channels(image, self._explainer.classifier.channels))
        return DecodedPicture(image, fit, inputs, self._targets(picture, truth), truth)

    def _targets(self, picture: InputPicture, truth: int | None) -> list[int]:
        if self._options.only_wrong and truth is not None:
            return [TOP_CLASS, truth]
        targets = self._options.targets_of(picture, self._explainer.classifier.labels)
        if self._options.report and truth is not None:
            targets.append(truth)
        return targets

    def _draw(self, batch: Batch, outcomes: Sequence[Outcome]) -> Iterator[Future[PictureResult]]:
        """Sets the drawing of a batch going, in the order of its pictures."""
        for (picture, decoding), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, GradcamError):
                yield _done(PictureResult(picture, error=outcome))
                continue
            explanations, row = outcome
            decoded = decoding.result()
            result = self._writer.predict(picture, decoded, explanations[0], row)
            if self._options.only_wrong and not result.is_wrong:
                yield _done(result)
                continue
            files = self._writer.plan(picture, explanations[0].targets[row])
            yield self._pool.submit(self._write, result, decoded, explanations, row, files)

    def _write(
        self,
        result: PictureResult,
        decoded: DecodedPicture,
        explanations: Sequence[Explanation],
        row: int,
        files: Mapping[PlannedFile, AnyPath],
    ) -> PictureResult:
        try:
            return self._writer.write(result, decoded, explanations, row, files)
        # Whatever can't be drawn or written of a picture, the others still can.
        except Exception as error:
            return PictureResult(result.picture, error=as_own_error(result.picture, error))


def _done(result: PictureResult) -> Future[PictureResult]:
    future: Future[PictureResult] = Future()
    future.set_result(result)
    return future


def _pixels_of_largest(batch: Batch) -> int:
    sizes = [future.result().image.size for _, future in batch if future.exception() is None]
    return max((width * height for width, height in sizes), default=1)
