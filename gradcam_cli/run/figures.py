"""Arranges the overlays of one picture in a labelled figure or on a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from gradcam_cli.cam.facts import ExplainerFacts, describe, describe_layers
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.marks import printable
from gradcam_cli.files.storage import file_name
from gradcam_cli.models.labels import Prediction
from gradcam_cli.rendering.figure import PRINT, Panel, arrange, draw_figure
from gradcam_cli.rendering.sheet import CELL_SIDE, draw_sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def label_overlays(
    original: Image.Image,
    overlays: Sequence[Sequence[Image.Image]],
    predictions: Sequence[Prediction],
    explainers: Sequence[ExplainerFacts],
) -> list[list[Panel | None]]:
    """Labels overlays for a figure.

    Args:
        original: The picture.
        overlays: For each explainer, an overlay of each class.
        predictions: The classes.
        explainers: The facts about the explainers.

    Returns:
        The first row holds the original and the overlays of the first explainer. Each further
        row holds None and the overlays of another explainer.
    """
    rows: list[list[Panel | None]] = []
    for facts, of_explainer in zip(explainers, overlays, strict=True):
        named = " · ".join(filter(None, [METHODS[facts.method].title, facts.layer]))
        details = [named] * (len(explainers) > 1)
        first = None if rows else Panel(original, facts.input or "Original")
        rows.append(
            [
                first,
                *(
                    Panel(
                        overlay,
                        f"{target.name} · {target.text}",
                        " · ".join(filter(None, [facts.contrast_of(target), *details])),
                    )
                    for overlay, target in zip(of_explainer, predictions, strict=True)
                ),
            ]
        )
    return rows


def figure_of(
    rows: Sequence[Sequence[Panel | None]],
    picture: InputPicture,
    explainers: Sequence[ExplainerFacts],
    colormap: str,
    dots_per_inch: int = PRINT,
) -> Figure:
    """Lays out the figure of one picture.

    Args:
        rows: As `label_overlays` returns them. A single row is wrapped if it is long.
        picture: The picture.
        explainers: The facts about the explainer of each row.
        colormap: The colour map of the overlays.
        dots_per_inch: See `draw_figure`.
    """
    original, *overlays = rows[0]
    originals = sum(row[0] is not None for row in rows)
    if len(overlays) == 1 and originals == 1:
        # With a single class, the methods and layers are shown side by side.
        rows = [[original, *(row[-1] for row in rows)]]
    return draw_figure(
        _title(picture),
        describe(explainers),
        arrange(rows[0]) if len(rows) == 1 else rows,
        colormap,
        dots_per_inch,
        explainers[0].ends,
    )


def sheet_of(
    original: Image.Image,
    overlays: Sequence[Sequence[Image.Image]],
    predictions: Sequence[Prediction],
    picture: InputPicture,
    explainers: Sequence[ExplainerFacts],
    colormap: str,
) -> Image.Image:
    """Lays out the sheet that compares methods: for each class, the overlays of all methods.

    Args:
        original: The picture, as `for_sheet` returns it.
        overlays: For each explainer, an overlay of each class, as `for_sheet` returns them.
        predictions: The classes.
        picture: The picture.
        explainers: The facts about the explainers.
        colormap: The colour map of the overlays.
    """
    layers = list(dict.fromkeys(facts.layer for facts in explainers))
    # If the layers differ, each method is labelled with its own instead.
    layer = describe_layers(layers) if len(layers) == 1 else ""
    return draw_sheet(
        _title(picture),
        " · ".join(filter(None, [explainers[0].model, layer, explainers[0].contrast])),
        [(METHODS[facts.method].title, "" if layer else facts.layer) for facts in explainers],
        [(target.name, target.text) for target in predictions],
        original,
        list(zip(*overlays, strict=True)),
        colormap,
        explainers[0].ends,
    )


def for_sheet(picture: Image.Image) -> Image.Image:
    """Shrinks a picture in place to the size of a sheet's cell, so that many fit into memory."""
    picture.thumbnail((CELL_SIDE, CELL_SIDE), Image.Resampling.LANCZOS)
    return picture


def _title(picture: InputPicture) -> str:
    return " ".join(printable(file_name(picture.path)).split())
