"""Draws and writes the results of each explained picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.files.marks import Mark, mark
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.files.writing import written_whole
from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.regions import hot_pixels
from gradcam_cli.rendering.composite import draw_composite
from gradcam_cli.rendering.encoding import (
    carries_mark,
    encode_picture,
    save_figure,
    save_heatmap,
    save_mask,
)
from gradcam_cli.run.cards import make_card
from gradcam_cli.run.drawing import DrawnMap, draw_map, frame_heat, lay_map
from gradcam_cli.run.figures import figure_of, for_sheet, label_overlays, sheet_of
from gradcam_cli.run.planning import PlannedFile
from gradcam_cli.run.records import ExplainedTarget, PictureResult
from gradcam_cli.run.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PictureWriter:
    """Draws and writes the results of pictures. Several threads can use it at the same time."""

    def __init__(self, explainers: Sequence[Explainer], task: Task) -> None:
        """Sets what explained the pictures, and what to write.

        Args:
            explainers: The explainers. Overlays and maps are written for the first one. Figures,
                sheets and reports also show the others.
            task: What to write.
        """
        self._explainers = explainers
        self._facts = [explainer.facts for explainer in explainers]
        self._task = task

    def write(
        self,
        result: PictureResult,
        prepared: PreparedPicture,
        explanations: Sequence[Explanation],
        row: int,
        files: Mapping[PlannedFile, AnyPath],
    ) -> PictureResult:
        """Draws and writes the files of one picture.

        Args:
            result: The result as far as it is known before drawing.
            prepared: The picture.
            explanations: The explanations of its batch, one by each explainer.
            row: The row of the picture in the batch.
            files: What to write, and where.

        Returns:
            The result with everything that was drawn.

        Raises:
            OutputError: A file can't be written.
        """
        maps = [explanation.maps[row] for explanation in explanations]
        numbers = self._distinct(explanations[0].targets[row], files)
        result, overlays, classes = self._write_targets(
            result, prepared, explanations, row, numbers, files
        )
        composite = files.get(("composite", None))
        if composite is not None:
            drawn = draw_composite(prepared.image, classes, prepared.fit.seen[:2])
            self._save(composite, drawn, result, "Composite", prepared.image)
            result = replace(result, composite=composite)
        shown = numbers[: len(overlays)]
        sheet = files.get(("sheet", None))
        figure = files.get(("figure", None))
        if sheet is not None or figure is not None or self._task.keeps_panels:
            others = self._overlays_of_others(prepared, explanations[1:], row, shown)
            all_overlays = [overlays, *others]
        if sheet is not None:
            original = for_sheet(prepared.image.copy())
            result = self._write_sheet(sheet, result, original, all_overlays)
        elif figure is not None or self._task.keeps_panels:
            predictions = [target.prediction for target in result.targets[: len(shown)]]
            rows = label_overlays(prepared.image, all_overlays, predictions, self._facts)
            if figure is not None:
                drawing = figure_of(rows, result.picture, self._facts, self._task.draw.colors)
                self._write_figure(figure, result, drawing)
            result = replace(result, figure=figure, panels=rows if self._task.keeps_panels else [])
        if self._task.keeps_card:
            of_targets = [[of_one[number] for number in numbers] for of_one in maps]
            notes = [
                [_note_of(explanation, row, number) for number in numbers]
                for explanation in explanations
            ]
            card = make_card(result, prepared, self._explainers, of_targets, notes)
            result = replace(result, card=card)
        return result

    def _distinct(self, targets: np.ndarray, files: Mapping[PlannedFile, AnyPath]) -> list[int]:
        """Returns the numbers of targets without repeated classes, except those with own files.

        The true class may be among the other targets.
        """
        numbers: list[int] = []
        for number, index in enumerate(targets):
            is_new = all(targets[other] != index for other in numbers)
            if is_new or ("overlay", number) in files or ("sheet", None) in files:
                numbers.append(number)
        return numbers

    def _write_targets(
        self,
        result: PictureResult,
        prepared: PreparedPicture,
        explanations: Sequence[Explanation],
        row: int,
        numbers: Sequence[int],
        files: Mapping[PlannedFile, AnyPath],
    ) -> tuple[PictureResult, list[Image.Image], list[tuple[Prediction, np.ndarray]]]:
        """Draws and writes the overlay and the map of each class."""
        options = self._task.draw
        explanation = explanations[0]
        labels = self._explainers[0].classifier.labels
        is_on_sheet = ("sheet", None) in files
        targets: list[ExplainedTarget] = []
        overlays: list[Image.Image] = []
        classes: list[tuple[Prediction, np.ndarray]] = []
        for number in numbers:
            prediction = self._task.targets.prediction(
                labels, explanation.targets[row][number], explanation.probabilities[row]
            )
            output = files.get(("overlay", number))
            heatmap_file = files.get(("heatmap", number))
            mask_file = files.get(("mask", number))
            is_drawn = output is not None or is_on_sheet or self._task.keeps_panels
            region = None
            if is_drawn or options.finds_regions:
                drawn = self._lay(prepared, self._explainers[0], explanation, row, number)
                region = drawn.region
            if is_drawn:
                overlay = draw_map(prepared, drawn, options)
                overlays.append(for_sheet(overlay) if is_on_sheet else overlay)
            if output is not None:
                title = self._facts[0].title_of(prediction)
                # PDF, SVG and arrays can't store a mark, so the first overlay's mark covers them.
                markless = [file for file in files.values() if not carries_mark(file)]
                companions = markless if number == 0 else ()
                self._save(output, overlay, result, title, prepared.image, companions)
                if self._task.composite:
                    # It shows which class each part speaks for.
                    classes.append((prediction, drawn.heat.clip(min=0)))
                if heatmap_file is not None or mask_file is not None:
                    framed = frame_heat(prepared, drawn.heat)
                if heatmap_file is not None:
                    self._write_heatmap(heatmap_file, framed, result, title)
                if mask_file is not None:
                    mask = hot_pixels(framed, options.region_from)
                    self._write_mask(mask_file, mask, result, title)
            targets.append(
                ExplainedTarget(
                    prediction,
                    output,
                    heatmap_file,
                    self._find_blank(explanations, row, number),
                    region,
                    mask_file,
                )
            )
        return replace(result, targets=targets), overlays, classes

    def _find_blank(
        self, explanations: Sequence[Explanation], row: int, number: int
    ) -> BlankMap | None:
        """Returns why maps of a class show nothing; None if all of them show something."""
        titles: dict[BlankMap, list[str]] = {}
        for facts, explanation in zip(self._facts, explanations, strict=True):
            blank = explanation.blanks.get((row, number))
            if blank is not None:
                titles.setdefault(blank, []).append(METHODS[facts.method].title)
        if not titles:
            return None
        first = next(iter(titles))
        if len(titles[first]) == len(explanations):
            return first
        notes = [f"{', '.join(names)}: {blank.note}" for blank, names in titles.items()]
        return replace(first, note="; ".join(notes))

    def _overlays_of_others(
        self,
        prepared: PreparedPicture,
        explanations: Sequence[Explanation],
        row: int,
        numbers: Sequence[int],
    ) -> list[list[Image.Image]]:
        rows = []
        for explainer, explanation in zip(self._explainers[1:], explanations, strict=True):
            overlays = []
            for number in numbers:
                drawn = self._lay(prepared, explainer, explanation, row, number)
                overlay = draw_map(prepared, drawn, self._task.draw)
                overlays.append(for_sheet(overlay) if self._task.sheet else overlay)
            rows.append(overlays)
        return rows

    def _lay(
        self,
        prepared: PreparedPicture,
        explainer: Explainer,
        explanation: Explanation,
        row: int,
        number: int,
    ) -> DrawnMap:
        """Lays the map of one target on its picture, and the region of its scores."""
        cells, options = explanation.maps[row][number], self._task.draw
        if explanation.regions is None:
            return lay_map(prepared, cells, explainer.pitch, options)
        scored = explanation.regions[row][number]
        pitch = explainer.region_pitch
        return lay_map(prepared, cells, explainer.pitch, options, scored, pitch)

    def _write_sheet(
        self,
        path: AnyPath,
        result: PictureResult,
        original: Image.Image,
        overlays: Sequence[Sequence[Image.Image]],
    ) -> PictureResult:
        predictions = [target.prediction for target in result.targets]
        titles = ", ".join(METHODS[facts.method].title for facts in self._facts)
        first = self._facts[0]
        title = f"{titles}; {first.model} layer {first.layer}"
        colormap = self._task.draw.colors
        sheet = sheet_of(original, overlays, predictions, result.picture, self._facts, colormap)
        self._save(path, sheet, result, title)
        targets = [replace(target, output=path) for target in result.targets]
        return replace(result, targets=targets)

    def _write_heatmap(
        self, path: AnyPath, heatmap: np.ndarray, result: PictureResult, title: str
    ) -> None:
        own = self._mark(path, result, title)
        with written_whole(path) as file:
            save_heatmap(heatmap, file, path.suffix[1:], own, self._task.draw.signed)

    def _write_mask(
        self, path: AnyPath, mask: np.ndarray, result: PictureResult, title: str
    ) -> None:
        own = self._mark(path, result, title)
        with written_whole(path) as file:
            save_mask(mask, file, own)

    def _write_figure(self, path: AnyPath, result: PictureResult, figure: Figure) -> None:
        own = self._mark(path, result, "Figure")
        with written_whole(path) as file:
            save_figure(figure, file, path.suffix[1:], own)

    def _save(
        self,
        path: AnyPath,
        image: Image.Image,
        result: PictureResult,
        title: str,
        original: Image.Image | None = None,
        companions: Iterable[AnyPath] = (),
    ) -> None:
        encoded = encode_picture(
            image,
            self._task.write.format,
            self._mark(path, result, title, companions),
            None if original is None else original.info.get("icc_profile"),
        )
        with written_whole(path) as file:
            file.write(encoded)

    def _mark(
        self, path: AnyPath, result: PictureResult, title: str, companions: Iterable[AnyPath] = ()
    ) -> Mark:
        variant = self._task.names.identity
        return mark(result.picture.path, path.parent, title, companions, variant, path)


def _note_of(explanation: Explanation, row: int, number: int) -> str:
    blank = explanation.blanks.get((row, number))
    return "" if blank is None else blank.sentence
