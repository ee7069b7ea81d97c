"""What the report shows for each picture."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.rendering.report import ReportMap, ReportPicture, make_preview
from gradcam_cli.run.records import PictureResult

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer


def make_card(
    result: PictureResult,
    prepared: PreparedPicture,
    explainers: Sequence[Explainer],
    maps: Sequence[Sequence[np.ndarray]],
    notes: Sequence[Sequence[str]],
) -> ReportPicture:
    """Gathers what the report shows for an explained picture.

    Args:
        result: The result of the picture.
        prepared: The picture.
        explainers: The explainers.
        maps: For each explainer, a map of each target: (rows, columns) float32 in [0, 1].
        notes: For each of these maps, why it shows nothing; "" if it shows something.
    """
    preview = make_preview(prepared.image)
    fit = prepared.fit.scaled_to(preview.size)
    # If all explain the same layer, the name of the method is enough.
    with_layers = len({explainer.layer for explainer in explainers}) > 1
    return ReportPicture(
        path=str(result.picture.path),
        preview=preview,
        predictions=result.predictions,
        maps=[
            ReportMap(
                target.prediction,
                METHODS[explainer.method].title + f" · {explainer.layer}" * with_layers,
                _reproducing(explainer),
                heatmap,
                fit.place(heatmap.shape, explainer.pitch),
                note,
                # What lowers a value is asked for with --against alone.
                has_class=target.prediction.index != explainer.weights.against,
            )
            for explainer, of_targets, of_notes in zip(explainers, maps, notes, strict=True)
            for target, heatmap, note in zip(result.targets, of_targets, of_notes, strict=True)
        ],
        truth=None if result.truth is None else result.truth.name,
        correct=None if result.truth is None else not result.is_wrong,
    )


def card_of(result: PictureResult) -> ReportPicture | None:
    """Returns what the report shows for a picture: its maps, or its error.

    Args:
        result: The result of the picture.

    Returns:
        The card; None if the report leaves the picture out.
    """
    if result.error is not None:
        return ReportPicture(str(result.picture.path), error=str(result.error))
    return result.card


def _reproducing(explainer: Explainer) -> tuple[str, ...]:
    """Returns the options that reproduce a map of this method and these layers."""
    layers = [f"--layer {shlex.quote(layer)}" for layer in explainer.layers]
    return (f"--method {explainer.method}", *layers)
