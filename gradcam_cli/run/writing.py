"""Draws and writes the results of each explained picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.cam.facts import describe_layers
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.files.input_texts import identity_of
from gradcam_cli.files.marks import Mark, mark
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.files.writing import written_whole
from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.regions import hot_pixels
from gradcam_cli.rendering.composite import draw_boxes, draw_composite
from gradcam_cli.rendering.encoding import (
    carries_mark,
    encode_picture,
    save_figure,
    save_heatmap,
    save_mask,
)
from gradcam_cli.rendering.figure import Panel
from gradcam_cli.rendering.objects import draw_object
from gradcam_cli.run.cards import make_card
from gradcam_cli.run.drawing import DrawnMap, draw_map, frame_heat, lay_map
from gradcam_cli.run.figures import figure_of, for_sheet, label_overlays, sheet_of
from gradcam_cli.run.observing import observe
from gradcam_cli.run.planning import PlannedFile
from gradcam_cli.run.records import ExplainedTarget, LoadedPicture, PictureResult
from gradcam_cli.run.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# What a file shows, and the number of its target.
_ViewFile = tuple[str, int | None]


@dataclass(frozen=True)
class _View:
    """An explained input.

    Attributes:
        name: Its name; "" if the network has only one for pictures.
        explainers: Its explainers.
    """

    name: str
    explainers: slice


@dataclass(frozen=True)
class _Shown:
    """An explained input of one picture.

    Attributes:
        view: The input.
        prepared: Its picture.
        explanations: The explanations of its batch, one by each of its explainers.
        row: The row of the picture in the batch.
    """

    view: _View
    prepared: PreparedPicture
    explanations: Sequence[Explanation]
    row: int

    @property
    def maps(self) -> list[np.ndarray]:
        """For each explainer (M, rows, columns) float32 in [0, 1]."""
        return [explanation.maps[self.row] for explanation in self.explanations]


class PictureWriter:
    """Draws and writes the results of pictures. Several threads can use it at the same time."""

    def __init__(self, explainers: Sequence[Explainer], task: Task) -> None:
        """Sets what explained the pictures, and what to write.

        Args:
            explainers: The explainers of one explained input after the other. Overlays and maps
                are written for the first of each. Figures, sheets and reports also show the others.
            task: What to write.
        """
        self._explainers = explainers
        self._facts = [explainer.facts for explainer in explainers]
        self._task = task
        self._views = []
        for name in task.views:
            places = [n for n, one in enumerate(explainers) if one.classifier.picture_input == name]
            self._views.append(_View(name, slice(places[0], places[-1] + 1)))

    def write(
        self,
        result: PictureResult,
        loaded: LoadedPicture,
        explanations: Sequence[Explanation],
        row: int,
        files: Mapping[PlannedFile, AnyPath],
    ) -> PictureResult:
        """Draws and writes the files of one picture.

        Args:
            result: The result as far as it is known before drawing.
            loaded: The picture, and those of the network's other inputs.
            explanations: The explanations of its batch, one by each explainer.
            row: The row of the picture in the batch.
            files: What to write, and where.

        Returns:
            The result with everything that was drawn.

        Raises:
            OutputError: A file can't be written.
        """
        panels: list[list[Panel | None]] = []
        for view in self._views:
            prepared = loaded.others.pictures.get(view.name, loaded.prepared)
            if view.name and view.name not in loaded.others.pictures:
                # Its value is an array without a picture.
                continue
            shown = _Shown(view, prepared, explanations[view.explainers], row)
            of_view = {
                (kind, number): path
                for (kind, number, name), path in files.items()
                if name == view.name
            }
            markless = [path for path in files.values() if not carries_mark(path)]
            companions = () if result.targets else markless
            result, rows = self._write_view(result, shown, of_view, companions)
            panels += rows
        figure = files.get(("figure", None, ""))
        if figure is not None:
            drawing = figure_of(panels, result.picture, self._facts, self._task.draw.colors)
            self._write_figure(figure, result, drawing)
        if self._task.observes:
            seen = self._views[0].explainers
            own = observe(
                *(result, loaded.prepared, self._explainers[seen], explanations[seen], row)
            )
            result = replace(result, observation=own)
        return replace(result, figure=figure, panels=panels if self._task.keeps_panels else [])

    def _write_view(
        self,
        result: PictureResult,
        shown: _Shown,
        files: Mapping[_ViewFile, AnyPath],
        companions: Sequence[AnyPath],
    ) -> tuple[PictureResult, list[list[Panel | None]]]:
        """Draws and writes what shows one explained input.

        Args:
            result: The result, with the inputs before this one.
            shown: The explained input.
            files: What to write, and where.
            companions: The files that the mark of the first overlay also covers.

        Returns:
            The result with this input, and the rows of the figure that show it.
        """
        before = len(result.targets)
        prepared, maps = shown.prepared, shown.maps
        numbers = self._distinct(shown.explanations[0].targets[shown.row], files)
        result, overlays, classes = self._write_targets(result, shown, numbers, files, companions)
        own = result.targets[before:]
        composite = files.get(("composite", None))
        if composite is not None:
            drawn = draw_composite(prepared.image, classes, prepared.fit.seen[:2])
            boxes = [target.detected for target in own if target.detected is not None]
            drawn = draw_boxes(drawn, prepared.image.size, boxes)
            self._save(composite, drawn, result, "Composite", prepared.image)
            composites = {**result.composites, shown.view.name: composite}
            result = replace(result, composites=composites)
        sheet = files.get(("sheet", None))
        needs_figure = self._task.draw.figure is not None or self._task.keeps_panels
        rows: list[list[Panel | None]] = []
        if sheet is not None or (overlays and needs_figure):
            others = self._overlays_of_others(shown, numbers[: len(overlays)])
            predictions = [target.prediction for target in own[: len(overlays)]]
            if sheet is not None:
                result = self._write_sheet(sheet, result, shown, before, [overlays, *others])
            else:
                facts = self._facts[shown.view.explainers]
                rows = label_overlays(prepared.image, [overlays, *others], predictions, facts)
        if self._task.keeps_card:
            of_targets = [[of_one[number] for number in numbers] for of_one in maps]
            explainers = self._explainers[shown.view.explainers]
            notes = [
                [_note_of(explanation, shown.row, number) for number in numbers]
                for explanation in shown.explanations
            ]
            own_result = replace(result, targets=own)
            card = make_card(own_result, prepared, explainers, of_targets, notes, self._task)
            result = replace(result, cards=[*result.cards, card])
        return result, rows

    def _distinct(self, targets: np.ndarray, files: Mapping[_ViewFile, AnyPath]) -> list[int]:
        """Returns the numbers of targets without repeated classes, except those with own files.

        The true class may be among the other targets.
        """
        numbers: list[int] = []
        for number, index in enumerate(targets):
            is_new = all(targets[other] != index for other in numbers)
            is_new = is_new or self._task.targets.are_objects
            if is_new or ("overlay", number) in files or ("sheet", None) in files:
                numbers.append(number)
        return numbers

    def _write_targets(
        self,
        result: PictureResult,
        shown: _Shown,
        numbers: Sequence[int],
        files: Mapping[_ViewFile, AnyPath],
        companions: Sequence[AnyPath],
    ) -> tuple[PictureResult, list[Image.Image], list[tuple[Prediction, np.ndarray]]]:
        """Draws and writes the overlay and the map of each class."""
        prepared, explanation, row = shown.prepared, shown.explanations[0], shown.row
        view = shown.view
        explainer = self._explainers[view.explainers][0]
        options = self._task.draw
        labels = explainer.classifier.labels
        is_on_sheet = ("sheet", None) in files
        targets: list[ExplainedTarget] = []
        overlays: list[Image.Image] = []
        classes: list[tuple[Prediction, np.ndarray]] = []
        for number in numbers:
            detected = explanation.objects[number] if explanation.objects else None
            if detected is None:
                prediction = self._task.targets.prediction(
                    labels, explanation.targets[row][number], explanation.probabilities[row]
                )
            else:
                prediction = labels.detected(detected.index, detected.score)
            output = files.get(("overlay", number))
            heatmap_file = files.get(("heatmap", number))
            mask_file = files.get(("mask", number))
            is_drawn = output is not None or is_on_sheet or self._task.keeps_panels
            region = None
            if is_drawn or options.finds_regions:
                drawn = self._lay(prepared, explainer, explanation, row, number)
                region = drawn.region
            if is_drawn:
                overlay = draw_map(prepared, drawn, options)
                if detected is not None:
                    overlay = draw_object(overlay, detected, prediction)
                overlays.append(for_sheet(overlay) if is_on_sheet else overlay)
            if output is not None:
                title = self._facts[view.explainers][0].title_of(prediction)
                # PDF, SVG and arrays can't store a mark, so the first overlay's mark covers them.
                covered = companions if number == 0 else ()
                self._save(output, overlay, result, title, prepared.image, covered)
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
                    self._find_blank(shown, number),
                    region,
                    mask_file,
                    view.name,
                    detected,
                )
            )
        return replace(result, targets=[*result.targets, *targets]), overlays, classes

    def _find_blank(self, shown: _Shown, number: int) -> BlankMap | None:
        """Returns why maps of a class show nothing; None if all of them show something."""
        titles: dict[BlankMap, list[str]] = {}
        facts_of_view = self._facts[shown.view.explainers]
        for facts, explanation in zip(facts_of_view, shown.explanations, strict=True):
            blank = explanation.blanks.get((shown.row, number))
            if blank is not None:
                titles.setdefault(blank, []).append(METHODS[facts.method].title)
        if not titles:
            return None
        first = next(iter(titles))
        if len(titles[first]) == len(shown.explanations):
            return first
        notes = [f"{', '.join(names)}: {blank.note}" for blank, names in titles.items()]
        return replace(first, note="; ".join(notes))

    def _overlays_of_others(self, shown: _Shown, numbers: Sequence[int]) -> list[list[Image.Image]]:
        prepared, row = shown.prepared, shown.row
        explainers = self._explainers[shown.view.explainers]
        rows = []
        for explainer, explanation in zip(explainers[1:], shown.explanations[1:], strict=True):
            overlays = []
            for number in numbers:
                drawn = self._lay(prepared, explainer, explanation, row, number)
                overlay = draw_map(prepared, drawn, self._task.draw)
                if explanation.objects:
                    detected = explanation.objects[number]
                    named = explainer.classifier.labels.detected(detected.index, detected.score)
                    overlay = draw_object(overlay, detected, named)
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
        shown: _Shown,
        before: int,
        overlays: Sequence[Sequence[Image.Image]],
    ) -> PictureResult:
        """Draws and writes a sheet; the targets after the first ``before`` are on it."""
        predictions = [target.prediction for target in result.targets[before:]]
        facts = self._facts[shown.view.explainers]
        titles = ", ".join(METHODS[one.method].title for one in facts)
        title = f"{titles}; {facts[0].model} {describe_layers([facts[0].layer])}".rstrip()
        colormap = self._task.draw.colors
        original = for_sheet(shown.prepared.image.copy())
        sheet = sheet_of(original, overlays, predictions, result.picture, facts, colormap)
        self._save(path, sheet, result, title)
        targets = [replace(target, output=path) for target in result.targets[before:]]
        return replace(result, targets=[*result.targets[:before], *targets])

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
        variant = self._task.names.identity + identity_of(result.picture)
        return mark(result.picture.path, path.parent, title, companions, variant, path)


def _note_of(explanation: Explanation, row: int, number: int) -> str:
    blank = explanation.blanks.get((row, number))
    return "" if blank is None else blank.sentence
