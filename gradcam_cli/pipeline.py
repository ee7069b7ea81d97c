"""Takes pictures from files to written results: decode, explain, draw, encode."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
import tensorflow as tf

from gradcam_cli.batch_size import BatchSize
from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.drawing import PictureWriter, PlannedFile
from gradcam_cli.errors import GradcamError, OutOfMemoryError
from gradcam_cli.fitting import fit_picture
from gradcam_cli.images import read_picture, to_channels
from gradcam_cli.inputs import InputPicture
from gradcam_cli.outputs import OutputNamer
from gradcam_cli.records import (
    TOP_CLASS,
    DecodedPicture,
    PictureResult,
    PipelineOptions,
)
from gradcam_cli.storage import AnyPath


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
        One result for each picture, in their order. When it is yielded, its files are
        complete.
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
        self._batch_size = BatchSize(options.batch_size)

    def run(self, pictures: Iterable[InputPicture]) -> Iterator[PictureResult]:
        source = iter(pictures)
        decoding: deque[tuple[InputPicture, Future[DecodedPicture]]] = deque()
        encoding: deque[Future[PictureResult]] = deque()
        with ThreadPoolExecutor(self._options.workers or os.cpu_count()) as pool:
            try:
                while True:
                    size = self._batch_size.now
                    batch = [decoding.popleft() for _ in range(min(size, len(decoding)))]
                    for picture in islice(source, size - len(decoding)):
                        decoding.append((picture, pool.submit(self._decode, picture)))
                    if batch:
                        encoding.extend(self._explain(batch, pool))
                        self._batch_size.grow(_pixels_of_largest(batch))
                    while encoding and (len(encoding) > size or not decoding):
                        yield encoding.popleft().result()
                    if not decoding:
                        break
            except KeyboardInterrupt:
                pool.shutdown(wait=True, cancel_futures=True)
                # What was written by now is told, before the run ends.
                for future in encoding:
                    if not future.cancelled():
                        yield future.result()
                raise
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _decode(self, picture: InputPicture) -> DecodedPicture:
        options = self._options
        truth = None if options.truth is None else options.truth.of(picture)
        image = read_picture(picture.path)
        fit = fit_picture(image.size, options.fit, options.input_size, options.stride)
        inputs = fit.apply(to_channels(image, self._explainer.classifier.channels))
        return DecodedPicture(image, fit, inputs, truth)

    def _targets(self, decoded: DecodedPicture) -> list[int]:
        if self._options.only_wrong and decoded.truth is not None:
            return [TOP_CLASS, decoded.truth]
        targets = list(self._options.targets)
        if self._options.report and decoded.truth is not None:
            targets.append(decoded.truth)
        return targets

    def _explain(
        self, batch: Sequence[tuple[InputPicture, Future[DecodedPicture]]], pool: ThreadPoolExecutor
    ) -> list[Future[PictureResult]]:
        """Runs the network on a batch and sets the drawing going, in the batch's order."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for position, (_, decoded) in enumerate(batch):
            if decoded.exception() is None:
                by_shape.setdefault(decoded.result().inputs.shape, []).append(position)
        outcomes: dict[int, tuple[list[Explanation], int] | GradcamError] = {}
        for positions in by_shape.values():
            group = [batch[position][1].result() for position in positions]
            inputs = np.stack([decoded.inputs for decoded in group])
            targets = np.array([self._targets(decoded) for decoded in group], np.int32)
            of_group = [batch[position][0] for position in positions]
            outcomes.update(
                zip(positions, self._run_network(of_group, inputs, targets), strict=True)
            )
        futures = []
        for position, (picture, future) in enumerate(batch):
            error = future.exception()
            outcome = outcomes[position] if error is None else _as_own_error(picture, error)
            if isinstance(outcome, GradcamError):
                futures.append(_done(PictureResult(picture, error=outcome)))
                continue
            explanations, row = outcome
            seen = future.result()
            result = self._writer.predict(picture, seen, explanations[0], row)
            if self._options.only_wrong and not result.is_wrong:
                futures.append(_done(result))
                continue
            files = self._writer.plan(picture, explanations[0].targets[row])
            futures.append(pool.submit(self._write, result, seen, explanations, row, files))
        return futures

    def _run_network(
        self, pictures: Sequence[InputPicture], inputs: np.ndarray, targets: np.ndarray
    ) -> list[tuple[list[Explanation], int] | GradcamError]:
        """Explains inputs of one shape, in parts if they are too many for the memory.

        Returns:
            For each an explanation by each explainer, of a batch, and its row in that batch.
        """
        explainers = (self._explainer, *self._others)
        try:
            explanations = [explainer.explain(inputs, targets) for explainer in explainers]
        except tf.errors.ResourceExhaustedError:
            # Each takes them, not the first that can.
            if sum(explainer.take_smaller_steps() for explainer in explainers):
                return self._run_network(pictures, inputs, targets)
            half = len(inputs) // 2
            if not half:
                (picture,) = pictures
                return [
                    OutOfMemoryError(
                        f"{picture.path}: not enough memory for one picture; choose a smaller "
                        f"--size or another --model"
                    )
                ]
            self._batch_size.shrink(len(inputs))
            return [
                *self._run_network(pictures[:half], inputs[:half], targets[:half]),
                *self._run_network(pictures[half:], inputs[half:], targets[half:]),
            ]
        return [(explanations, row) for row in range(len(inputs))]

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
            return PictureResult(result.picture, error=_as_own_error(result.picture, error))


def _done(result: PictureResult) -> Future[PictureResult]:
    future: Future[PictureResult] = Future()
    future.set_result(result)
    return future


def _as_own_error(picture: InputPicture, error: BaseException) -> GradcamError:
    if isinstance(error, GradcamError):
        return error
    own = GradcamError(f"{picture.path}: {error or type(error).__name__}")
    own.__cause__ = error
    return own


def _pixels_of_largest(batch: Sequence[tuple[InputPicture, Future[DecodedPicture]]]) -> int:
    sizes = [future.result().image.size for _, future in batch if future.exception() is None]
    return max((width * height for width, height in sizes), default=1)
