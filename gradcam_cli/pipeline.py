"""Takes pictures from files to written results: decode, explain, draw, encode."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.errors import GradcamError
from gradcam_cli.fitting import Fit, fit_picture
from gradcam_cli.images import read_picture, to_channels
from gradcam_cli.inputs import InputPicture
from gradcam_cli.method_names import METHODS
from gradcam_cli.outputs import OutputNamer, written_whole
from gradcam_cli.provenance import HEATMAP_SUFFIX, OVERLAY_SUFFIX, mark
from gradcam_cli.rendering.overlay import (
    DEFAULT_ALPHA,
    DEFAULT_COLORMAP,
    draw_heatmap,
    draw_overlay,
    heatmap_to_image,
)
from gradcam_cli.truth import Truth

TOP_CLASS = -1
HEATMAP_FORMATS = ("png", "npy")
_FIRST_BATCH_SIZE = 4
_LARGEST_BATCH_SIZE = 32
# A batch may hold this many pixels; at a time, one is decoded, one explained, one encoded.
_PIXELS_IN_FLIGHT = 32_000_000
# Run lengths and Huffman coding alone: of photographs the file is as small as by zlib's
# full search, in a quarter of the time.
_PNG_COMPRESSION = {"compress_level": 1, "compress_type": 3}


@dataclass(frozen=True)
class PipelineOptions:
    """How pictures are explained and what is written.

    Attributes:
        targets: The classes to explain in every picture: indices, or -1 for the most
            probable, -2 for the second, and so on.
        fit: One of `gradcam_cli.fitting.FITS`.
        input_size: (width, height) of the network's input in pixels; for the fit "keep"
            its area, in the shape of each picture.
        stride: Of what the sides of the shapes that "keep" chooses are multiples.
        top_k: How many of the most probable classes are told.
        out: The folder for results; None for beside each picture.
        colormap: A name that Matplotlib knows.
        alpha: How much of the colour shows, 0 to 1.
        heatmap: Also write the bare map: "png" (16-bit grey) or "npy" (float32).
        truth: What the pictures really show.
        only_wrong: Draw only what was predicted wrongly, and explain both the class that
            was predicted and the true one, instead of `targets`.
    """

    targets: Sequence[int] = (TOP_CLASS,)
    fit: str = "keep"
    input_size: tuple[int, int] = (256, 256)
    stride: int = 32
    top_k: int = 5
    out: Path | None = None
    colormap: str = DEFAULT_COLORMAP
    alpha: float = DEFAULT_ALPHA
    heatmap: str | None = None
    truth: Truth | None = None
    only_wrong: bool = False


@dataclass(frozen=True)
class Prediction:
    """One class and how probable the network holds it to be, in [0, 1]."""

    index: int
    name: str
    wnid: str | None
    probability: float


@dataclass(frozen=True)
class ExplainedTarget:
    """One explained class of a picture.

    Attributes:
        prediction: The class.
        output: The overlay that was written.
        heatmap: The bare map, if it was asked for.
        has_evidence: Whether anything in the picture speaks for the class; if not, the
            map is all zeros.
    """

    prediction: Prediction
    output: Path
    heatmap: Path | None
    has_evidence: bool


@dataclass(frozen=True)
class PictureResult:
    """What came of one picture: predictions and results, or an error.

    Attributes:
        picture: The picture.
        predictions: The most probable classes, in their order.
        targets: The explained classes.
        truth: What the picture really shows, where that is known.
        is_wrong: Whether another class was held more probable than the true one.
        error: Why there is no result.
    """

    picture: InputPicture
    predictions: list[Prediction] = field(default_factory=list)
    targets: list[ExplainedTarget] = field(default_factory=list)
    truth: Prediction | None = None
    is_wrong: bool = False
    error: GradcamError | None = None


@dataclass(frozen=True)
class _Decoded:
    image: Image.Image
    fit: Fit
    inputs: np.ndarray
    truth: int | None


def explain_pictures(
    pictures: Iterable[InputPicture], explainer: Explainer, options: PipelineOptions
) -> Iterator[PictureResult]:
    """Explains pictures and writes the results, with a bounded number of them in memory.

    Pictures of one input shape go through the network together; decoding, drawing and
    encoding run beside it on the other cores. A picture that fails doesn't stop the rest.

    Args:
        pictures: The pictures, in any number.
        explainer: What explains them.
        options: How, and what to write.

    Yields:
        One result for each picture, in their order. When it is yielded, its files are
        complete.
    """
    return _Pipeline(explainer, options).run(pictures)


class _Pipeline:
    def __init__(self, explainer: Explainer, options: PipelineOptions) -> None:
        self._explainer = explainer
        self._options = options
        self._namer = OutputNamer(options.out)

    def run(self, pictures: Iterable[InputPicture]) -> Iterator[PictureResult]:
        source = iter(pictures)
        decoding: deque[tuple[InputPicture, Future[_Decoded]]] = deque()
        encoding: deque[Future[PictureResult]] = deque()
        batch_size = _FIRST_BATCH_SIZE
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                while True:
                    batch = [decoding.popleft() for _ in range(min(batch_size, len(decoding)))]
                    for picture in islice(source, batch_size - len(decoding)):
                        decoding.append((picture, pool.submit(self._decode, picture)))
                    if batch:
                        encoding.extend(self._explain(batch, pool))
                        batch_size = _next_batch_size(batch_size, batch)
                    while encoding and (len(encoding) > batch_size or not decoding):
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

    def _decode(self, picture: InputPicture) -> _Decoded:
        options = self._options
        truth = None if options.truth is None else options.truth.of(picture)
        image = read_picture(picture.path)
        fit = fit_picture(image.size, options.fit, options.input_size, options.stride)
        inputs = fit.apply(to_channels(image, self._explainer.classifier.channels))
        return _Decoded(image, fit, inputs, truth)

    def _targets(self, decoded: _Decoded) -> list[int]:
        if self._options.only_wrong and decoded.truth is not None:
            return [TOP_CLASS, decoded.truth]
        return list(self._options.targets)

    def _explain(
        self, batch: Sequence[tuple[InputPicture, Future[_Decoded]]], pool: ThreadPoolExecutor
    ) -> list[Future[PictureResult]]:
        """Runs the network on a batch and sets the drawing going, in the batch's order."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for position, (_, decoded) in enumerate(batch):
            if decoded.exception() is None:
                by_shape.setdefault(decoded.result().inputs.shape, []).append(position)
        explained: dict[int, tuple[Explanation, int]] = {}
        for positions in by_shape.values():
            group = [batch[position][1].result() for position in positions]
            explanation = self._explainer.explain(
                np.stack([decoded.inputs for decoded in group]),
                np.array([self._targets(decoded) for decoded in group], np.int32),
            )
            for row, position in enumerate(positions):
                explained[position] = explanation, row
        futures = []
        for position, (picture, decoded) in enumerate(batch):
            error = decoded.exception()
            if error is None:
                explanation, row = explained[position]
                result = self._predict(picture, decoded.result(), explanation, row)
                if self._options.only_wrong and not result.is_wrong:
                    futures.append(_done(result))
                    continue
                paths = self._namer.name(picture, self._suffixes(explanation.targets[row]))
                futures.append(
                    pool.submit(self._draw, result, decoded.result(), explanation, row, paths)
                )
            else:
                futures.append(_done(PictureResult(picture, error=_as_own_error(picture, error))))
        return futures

    def _suffixes(self, targets: np.ndarray) -> list[str]:
        """Gives the endings of a picture's results: an overlay, then a map, per class."""
        classes = [""]
        if len(targets) > 1:
            labels = self._explainer.classifier.labels
            classes = [f"_{index}-{_file_name(labels.name(index))}" for index in targets]
        heatmap = self._options.heatmap
        return [
            ending
            for class_name in classes
            for ending in (
                f"{OVERLAY_SUFFIX}{class_name}.png",
                *([f"{HEATMAP_SUFFIX}{class_name}.{heatmap}"] if heatmap else []),
            )
        ]

    def _predict(
        self, picture: InputPicture, decoded: _Decoded, explanation: Explanation, row: int
    ) -> PictureResult:
        probabilities = explanation.probabilities[row]
        most_probable = np.argsort(-probabilities, kind="stable")
        predictions = [
            self._prediction(index, probabilities) for index in most_probable[: self._options.top_k]
        ]
        truth = None if decoded.truth is None else self._prediction(decoded.truth, probabilities)
        is_wrong = truth is not None and truth.index != most_probable[0]
        return PictureResult(picture, predictions, truth=truth, is_wrong=is_wrong)

    def _draw(
        self,
        result: PictureResult,
        decoded: _Decoded,
        explanation: Explanation,
        row: int,
        paths: Sequence[Path],
    ) -> PictureResult:
        picture = result.picture
        probabilities = explanation.probabilities[row]
        targets = []
        files = iter(paths)
        try:
            for index, heatmap in zip(explanation.targets[row], explanation.maps[row], strict=True):
                prediction = self._prediction(index, probabilities)
                heat = decoded.fit.upsample(heatmap, self._explainer.pitch)
                output = next(files)
                heatmap_file = next(files) if self._options.heatmap else None
                # A NumPy array has no room for a mark; the first overlay vouches for all.
                arrays = [file for file in paths if file.suffix == ".npy" and output == paths[0]]
                self._write_overlay(output, picture, decoded, heat, prediction, arrays)
                if heatmap_file is not None:
                    self._write_heatmap(heatmap_file, picture, decoded, heat, prediction)
                targets.append(
                    ExplainedTarget(prediction, output, heatmap_file, bool(heatmap.any()))
                )
        except Exception as error:
            return PictureResult(picture, error=_as_own_error(picture, error))
        return replace(result, targets=targets)

    def _prediction(self, index: int, probabilities: np.ndarray) -> Prediction:
        labels = self._explainer.classifier.labels
        index = int(index)
        return Prediction(
            index, labels.name(index), labels.wnid(index), float(probabilities[index])
        )

    def _write_overlay(
        self,
        path: Path,
        picture: InputPicture,
        decoded: _Decoded,
        heat: Image.Image,
        prediction: Prediction,
        arrays: Sequence[Path],
    ) -> None:
        overlay = draw_overlay(
            decoded.image,
            heat,
            decoded.fit.seen[:2],
            self._options.colormap,
            self._options.alpha,
        )
        with written_whole(path) as file:
            overlay.save(
                file,
                "PNG",
                **_PNG_COMPRESSION,
                pnginfo=self._mark(path, picture, prediction, arrays),
                icc_profile=decoded.image.info.get("icc_profile"),
            )

    def _write_heatmap(
        self,
        path: Path,
        picture: InputPicture,
        decoded: _Decoded,
        heat: Image.Image,
        prediction: Prediction,
    ) -> None:
        heatmap = draw_heatmap(heat, decoded.image.size, decoded.fit.seen[:2])
        with written_whole(path) as file:
            if path.suffix == ".npy":
                np.save(file, heatmap)
            else:
                heatmap_to_image(heatmap).save(
                    file, "PNG", pnginfo=self._mark(path, picture, prediction)
                )

    def _mark(
        self,
        path: Path,
        picture: InputPicture,
        prediction: Prediction,
        companions: Iterable[Path] = (),
    ) -> PngImagePlugin.PngInfo:
        title = METHODS[self._explainer.method].title
        return mark(
            picture.path,
            path.parent,
            f"{title} of {prediction.name} ({prediction.index}), "
            f"{self._explainer.classifier.name} layer {self._explainer.layer}",
            companions,
        )


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


def _next_batch_size(size: int, batch: Sequence[tuple[InputPicture, Future[_Decoded]]]) -> int:
    """Doubles the batch as long as pictures of this size leave room in memory."""
    sizes = [future.result().image.size for _, future in batch if future.exception() is None]
    largest = max((width * height for width, height in sizes), default=1)
    return max(1, min(2 * size, _LARGEST_BATCH_SIZE, _PIXELS_IN_FLIGHT // largest))


def _file_name(name: str) -> str:
    """Leaves letters and digits of a class name, for any file system."""
    return re.sub(r"\W+", "-", name.casefold()).strip("-")[:40]
