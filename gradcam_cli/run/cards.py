"""What the report shows for each picture."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.labels import Labels
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.rendering.report import ReportMap, ReportPicture, make_preview
from gradcam_cli.run.records import PictureResult
from gradcam_cli.run.task import Task

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer


def make_card(
    result: PictureResult,
    prepared: PreparedPicture,
    explainers: Sequence[Explainer],
    maps: Sequence[Sequence[np.ndarray]],
    notes: Sequence[Sequence[str]],
    task: Task,
) -> ReportPicture:
    """Gathers what the report shows for an explained input of a picture.

    Args:
        result: The result of the picture, with the targets of this input.
        prepared: The picture of this input.
        explainers: The explainers of this input.
        maps: For each explainer, a map of each target: (rows, columns) float32 in [0, 1].
        notes: For each of these maps, why it shows nothing; "" if it shows something.
        task: What is done with each picture.
    """
    preview = make_preview(prepared.image, task.preview_side)
    fit = prepared.fit.scaled_to(preview.size)
    # If all explain the same layer, the name of the method is enough.
    with_layers = len({explainer.layer for explainer in explainers}) > 1
    view = explainers[0].classifier.explained if len(task.views) > 1 else ""
    own = dict(result.picture.values).get(view)
    inputs = _inputs(result.picture, task)
    detected = [one.detected for one in result.targets if one.detected is not None]
    across, down = np.divide(preview.size, prepared.image.size)
    objects = _finding(result.picture, task, explainers[0].classifier.labels) if detected else ()
    return ReportPicture(
        path=str(result.picture.path),
        shown=own,
        preview=preview,
        predictions=result.predictions,
        maps=[
            ReportMap(
                target.prediction,
                METHODS[explainer.method].title
                + f" · {explainer.layer}" * (with_layers and bool(explainer.layer))
                + f" · {view}" * bool(view),
                (*inputs, *_reproducing(explainer), *objects),
                heatmap,
                fit.place(heatmap.shape, explainer.pitch),
                note,
                # What lowers a value is asked for with --against alone.
                has_class=not detected and target.prediction.index != explainer.weights.against,
                number=number if detected else None,
            )
            for explainer, of_targets, of_notes in zip(explainers, maps, notes, strict=True)
            for number, (target, heatmap, note) in enumerate(
                zip(result.targets, of_targets, of_notes, strict=True)
            )
        ],
        truth=None if result.truth is None else result.truth.name,
        correct=None if result.truth is None else not result.is_wrong,
        boxes=[
            (left * across, top * down, right * across, bottom * down)
            for left, top, right, bottom in (one.box for one in detected)
        ],
    )


def cards_of(result: PictureResult) -> Sequence[ReportPicture]:
    """Returns what the report shows for a picture: its maps, its error, or why it has no objects.

    Args:
        result: The result of the picture.

    Returns:
        A card for each explained input; none if the report leaves the picture out.
    """
    if result.error is not None:
        return [ReportPicture(str(result.picture.path), error=str(result.error))]
    if not result.cards and result.note:
        return [ReportPicture(str(result.picture.path), note=result.note)]
    return result.cards


def _inputs(picture: InputPicture, task: Task) -> list[str]:
    """Returns the options that choose the explained inputs and give values to the others."""
    values = [f"{name}={text}" for name, text in picture.values]
    return [f"--input {shlex.quote(text)}" for text in (*task.chosen_views, *values)]


def _finding(picture: InputPicture, task: Task, labels: Labels) -> list[str]:
    """Returns the options that find the same objects again, beside the score."""
    assert task.detection is not None
    classes = [index for index in task.targets.of(picture, labels) if index >= 0]
    return [*(f"--class {index}" for index in classes), f"--top-k {task.detection.most}"]


def _reproducing(explainer: Explainer) -> tuple[str, ...]:
    """Returns the options that reproduce a map of this method and these layers."""
    named = () if explainer.adds_levels else explainer.layers
    layers = [f"--layer {shlex.quote(layer)}" for layer in named]
    return (f"--method {explainer.method}", *layers)
