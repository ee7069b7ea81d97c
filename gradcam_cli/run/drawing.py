"""Draws and writes what was asked for of each explained picture."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.cam.facts import describe
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.marks import (
    COMPOSITE_SUFFIX,
    FIGURE_SUFFIX,
    HEATMAP_SUFFIX,
    OVERLAY_SUFFIX,
    mark,
    printable,
)
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.storage import AnyPath, file_name
from gradcam_cli.files.writing import written_whole
from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.regions import Region, find_region
from gradcam_cli.rendering.composite import draw_composite
from gradcam_cli.rendering.encoding import carries_mark, encode_picture, save_figure, save_heatmap
from gradcam_cli.rendering.figure import PRINT, Panel, arrange, draw_figure
from gradcam_cli.rendering.overlay import draw_heatmap, draw_overlay
from gradcam_cli.rendering.regions import box_line, draw_lines
from gradcam_cli.rendering.report import ReportMap, ReportPicture, make_preview
from gradcam_cli.run.records import DecodedPicture, ExplainedTarget, PictureResult, PipelineOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a file shows ("overlay", "heatmap", ...), and of which target, if of one.
PlannedFile = tuple[str, int | None]


class PictureWriter:
    """Names, draws and writes the results of one picture after the other.

    `plan` is to be called in the pictures' order, so that names don't depend on the
    speed of threads; `write` may run in any.
    """

    def __init__(
        self,
        explainer: Explainer,
        options: PipelineOptions,
        others: Sequence[Explainer] = (),
        namer: OutputNamer | None = None,
    ) -> None:
        """Takes what explained the pictures, and what is to be written.

        Args:
            explainer: What the overlays and all other files are of.
            options: What is to be written.
            others: What figures and reports show besides.
            namer: What names the files; None for one that begins here.
        """
        self._explainer = explainer
        self._others = others
        self._options = options
        self._namer = namer or OutputNamer(options.out)

    def plan(self, picture: InputPicture, targets: np.ndarray) -> dict[PlannedFile, AnyPath]:
        """Names the files of one picture.

        Args:
            picture: The picture.
            targets: (M,) int, the indices of its explained classes.
        """
        suffixes = self._suffixes(picture, targets)
        if not suffixes:
            return {}
        paths = self._namer.name(picture, list(suffixes.values()))
        return dict(zip(suffixes, paths, strict=True))

    def is_done(self, picture: InputPicture) -> bool:
        """Says whether all files of a picture are there, from an earlier run.

        Where their names depend on what the network predicts, those that don't speak for
        them: they are written last.

        Args:
            picture: The picture.

        Raises:
            UnknownClassError: There is no such class as is to be explained of it.
        """
        targets = self._options.targets_of(picture, self._explainer.classifier.labels)
        suffixes = self._suffixes(picture, np.array(targets))
        if self._number_with_files(len(targets)) > 1 and min(targets) < 0:
            suffixes = {file: suffix for file, suffix in suffixes.items() if file[1] is None}
        return bool(suffixes) and self._namer.has_all(picture, list(suffixes.values()))

    def predict(
        self, picture: InputPicture, decoded: DecodedPicture, explanation: Explanation, row: int
    ) -> PictureResult:
        """Gives what is known of a picture before anything is drawn.

        Args:
            picture: The picture.
            decoded: What was read from it.
            explanation: Of a batch that it is in.
            row: Its place in that batch.
        """
        probabilities = explanation.probabilities[row]
        most_probable = np.argsort(-probabilities, kind="stable")
        predictions = [
            self._prediction(index, probabilities) for index in most_probable[: self._options.top_k]
        ]
        truth = None if decoded.truth is None else self._prediction(decoded.truth, probabilities)
        is_wrong = truth is not None and truth.index != most_probable[0]
        return PictureResult(picture, predictions, truth=truth, is_wrong=is_wrong)

    def write(
        self,
        result: PictureResult,
        decoded: DecodedPicture,
        explanations: Sequence[Explanation],
        row: int,
        files: Mapping[PlannedFile, AnyPath],
    ) -> PictureResult:
        """Draws and writes the files of one picture.

        Args:
            result: What `predict` gave.
            decoded: What was read from it.
            explanations: Of a batch that it is in, one by each explainer.
            row: Its place in that batch.
            files: What `plan` gave.

        Returns:
            The result with all that was drawn.

        Raises:
            OutputError: A file can't be written.
        """
        picture = result.picture
        explanation = explanations[0]
        targets: list[ExplainedTarget] = []
        numbers: list[int] = []
        panels: list[Panel | None] = [Panel(decoded.image, "Original")]
        classes: list[tuple[Prediction, np.ndarray]] = []
        for number, (index, heatmap) in enumerate(
            zip(explanation.targets[row], explanation.maps[row], strict=True)
        ):
            prediction = self._prediction(index, explanation.probabilities[row])
            output = files.get(("overlay", number))
            heatmap_file = files.get(("heatmap", number))
            if output is None and any(t.prediction.index == prediction.index for t in targets):
                # The true class, where it is one of the others too.
                continue
            region = None
            is_drawn = output is not None or self._options.panels
            if is_drawn or self._options.contour or self._options.box:
                heat = decoded.fit.upsample(heatmap, self._explainer.pitch)
                region = self._find_region(decoded, heat)
            if is_drawn:
                overlay = self._draw_overlay(decoded, heat, region)
                panels.append(self._panel(overlay, prediction, self._explainer))
            if output is not None:
                title = self._title(prediction)
                # PDF, SVG and arrays have no room for a mark; the first overlay vouches for them.
                markless = [file for file in files.values() if not carries_mark(file)]
                companions = markless if number == 0 else ()
                self._save(output, overlay, picture, title, decoded.image, companions)
                classes.append((prediction, heat))
                if heatmap_file is not None:
                    self._write_heatmap(heatmap_file, decoded, heat, picture, title)
            targets.append(
                ExplainedTarget(prediction, output, heatmap_file, bool(heatmap.any()), region)
            )
            numbers.append(number)
        composite = files.get(("composite", None))
        if composite is not None:
            drawn = draw_composite(decoded.image, classes, decoded.fit.seen[:2])
            self._save(composite, drawn, picture, "Composite", decoded.image)
        result = replace(result, targets=targets, composite=composite)
        figure = files.get(("figure", None))
        if figure is not None or self._options.panels:
            shown = numbers[: len(panels) - 1]
            rows = [panels, *self._panels_of_others(result, decoded, explanations, row, shown)]
            if figure is not None:
                self._write_figure(figure, picture, rows)
            result = replace(result, figure=figure, panels=rows if self._options.panels else [])
        if self._options.report:
            maps = [
                [explained.maps[row][number] for number in numbers] for explained in explanations
            ]
            result = replace(result, card=self._make_card(result, decoded, maps))
        return result

    def _panels_of_others(
        self,
        result: PictureResult,
        decoded: DecodedPicture,
        explanations: Sequence[Explanation],
        row: int,
        numbers: Sequence[int],
    ) -> list[list[Panel | None]]:
        rows: list[list[Panel | None]] = []
        for explainer, explanation in zip(self._others, explanations[1:], strict=True):
            panels: list[Panel | None] = [None]
            for number, target in zip(numbers, result.targets, strict=False):
                heat = decoded.fit.upsample(explanation.maps[row][number], explainer.pitch)
                overlay = self._draw_overlay(decoded, heat, self._find_region(decoded, heat))
                panels.append(self._panel(overlay, target.prediction, explainer))
            rows.append(panels)
        return rows

    def _panel(self, overlay: Image.Image, prediction: Prediction, explainer: Explainer) -> Panel:
        detail = ""
        if self._others:
            detail = f"{METHODS[explainer.method].title} · {explainer.layer}"
        return Panel(overlay, f"{prediction.name} · {prediction.percent}", detail)

    def _number_with_files(self, targets: int) -> int:
        if self._options.files_for is not None:
            return self._options.files_for
        # A report's explanation of the true class comes after what was asked for.
        return targets if self._options.only_wrong else len(self._options.targets)

    def _suffixes(self, picture: InputPicture, targets: np.ndarray) -> dict[PlannedFile, str]:
        """Gives the endings of a picture's files; the first is an overlay's."""
        targets = targets[: self._number_with_files(len(targets))]
        suffixes: dict[PlannedFile, str] = {}
        format_ = self._options.format
        for number, index in enumerate(targets):
            name = ""
            if len(targets) > 1 or picture.target is not None:
                name = f"_{index}-{_file_name(self._explainer.classifier.labels.name(index))}"
            suffixes["overlay", number] = f"{OVERLAY_SUFFIX}{name}.{format_}"
            if self._options.heatmap:
                suffixes["heatmap", number] = f"{HEATMAP_SUFFIX}{name}.{self._options.heatmap}"
        if suffixes and self._options.composite:
            suffixes["composite", None] = f"{COMPOSITE_SUFFIX}.{format_}"
        if suffixes and self._options.figure:
            suffixes["figure", None] = f"{FIGURE_SUFFIX}.{self._options.figure}"
        return suffixes

    def _prediction(self, index: int, probabilities: np.ndarray) -> Prediction:
        labels = self._explainer.classifier.labels
        index = int(index)
        return Prediction(
            index, labels.name(index), labels.wnid(index), float(probabilities[index])
        )

    def _find_region(self, decoded: DecodedPicture, heat: np.ndarray) -> Region | None:
        if not (self._options.contour or self._options.box):
            return None
        framed = draw_heatmap(heat, decoded.image.size, decoded.fit.seen[:2])
        return find_region(framed, self._options.threshold)

    def _draw_overlay(
        self, decoded: DecodedPicture, heat: np.ndarray, region: Region | None
    ) -> Image.Image:
        overlay = draw_overlay(
            decoded.image,
            heat,
            decoded.fit.seen[:2],
            self._options.colormap,
            self._options.alpha,
        )
        if region is None:
            return overlay
        lines = list(region.outlines) if self._options.contour else []
        if self._options.box and region.box is not None:
            lines.append(box_line(region.box))
        return draw_lines(overlay, lines)

    def _write_heatmap(
        self,
        path: AnyPath,
        decoded: DecodedPicture,
        heat: np.ndarray,
        picture: InputPicture,
        title: str,
    ) -> None:
        heatmap = draw_heatmap(heat, decoded.image.size, decoded.fit.seen[:2])
        own = mark(picture.path, path.parent, title)
        with written_whole(path) as file:
            save_heatmap(heatmap, file, path.suffix[1:], own)

    def _write_figure(
        self, path: AnyPath, picture: InputPicture, rows: Sequence[Sequence[Panel | None]]
    ) -> None:
        explainers = [self._explainer, *self._others]
        figure = figure_of(rows, picture, explainers, self._options.colormap)
        own = mark(picture.path, path.parent, "Figure")
        with written_whole(path) as file:
            save_figure(figure, file, path.suffix[1:], own)

    def _save(
        self,
        path: AnyPath,
        image: Image.Image,
        picture: InputPicture,
        title: str,
        original: Image.Image,
        companions: Iterable[AnyPath] = (),
    ) -> None:
        encoded = encode_picture(
            image,
            self._options.format,
            mark(picture.path, path.parent, title, companions),
            original.info.get("icc_profile"),
        )
        with written_whole(path) as file:
            file.write(encoded)

    def _title(self, prediction: Prediction) -> str:
        return (
            f"{METHODS[self._explainer.method].title} of {prediction.name} ({prediction.index}), "
            f"{self._explainer.classifier.name} layer {self._explainer.layer}"
        )

    def _make_card(
        self,
        result: PictureResult,
        decoded: DecodedPicture,
        maps: Sequence[Sequence[np.ndarray]],
    ) -> ReportPicture:
        preview = make_preview(decoded.image)
        fit = decoded.fit.scaled_to(preview.size)
        return ReportPicture(
            path=str(result.picture.path),
            preview=preview,
            predictions=result.predictions,
            maps=[
                ReportMap(
                    target.prediction,
                    self._report_title(explainer),
                    _reproducing(explainer),
                    heatmap,
                    fit.place(heatmap.shape, explainer.pitch),
                )
                for explainer, of_targets in zip(
                    (self._explainer, *self._others), maps, strict=True
                )
                for target, heatmap in zip(result.targets, of_targets, strict=True)
            ],
            truth=None if result.truth is None else result.truth.name,
            correct=None if result.truth is None else not result.is_wrong,
        )

    def _report_title(self, explainer: Explainer) -> str:
        """Names a method, and its layer where there are several."""
        title = METHODS[explainer.method].title
        layers = {one.layer for one in (self._explainer, *self._others)}
        return f"{title} · {explainer.layer}" if len(layers) > 1 else title


def figure_of(
    rows: Sequence[Sequence[Panel | None]],
    picture: InputPicture,
    explainers: Sequence[Explainer],
    colormap: str,
    dots_per_inch: int = PRINT,
) -> Figure:
    """Lays out the figure of one picture.

    Args:
        rows: `PictureResult.panels`. A single row is broken where it is long.
        picture: The picture.
        explainers: What explained it, one a row.
        colormap: The colour map of the overlays.
        dots_per_inch: See `draw_figure`.
    """
    original, *overlays = rows[0]
    if len(overlays) == 1:
        # Of a single class, the methods and layers stand side by side.
        rows = [[original, *(row[-1] for row in rows)]]
    return draw_figure(
        " ".join(printable(file_name(picture.path)).split()),
        describe([explainer.facts for explainer in explainers]),
        arrange(rows[0]) if len(rows) == 1 else rows,
        colormap,
        dots_per_inch,
    )


def _reproducing(explainer: Explainer) -> tuple[str, ...]:
    """Gives the options that make a map of this method and these layers again."""
    layers = [f"--layer {shlex.quote(layer)}" for layer in explainer.layers]
    return (f"--method {explainer.method}", *layers)


def _file_name(name: str) -> str:
    """Leaves letters and digits of a class name, for any file system."""
    return re.sub(r"\W+", "-", name.casefold()).strip("-")[:40]
