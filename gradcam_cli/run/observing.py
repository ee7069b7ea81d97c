"""Reduces an explained picture to what an analysis keeps of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from gradcam_cli.analysis.fingerprints import fingerprint
from gradcam_cli.analysis.observation import GRID, Observation, to_grid
from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.run.drawing import frame_heat
from gradcam_cli.run.records import PictureResult

# A map has far fewer cells than a picture has pixels, so that this loses nothing.
_SIDE = 8 * GRID


def observe(
    result: PictureResult,
    prepared: PreparedPicture,
    explainers: Sequence[Explainer],
    explanations: Sequence[Explanation],
    row: int,
) -> Observation:
    """Reduces an explained picture to an observation.

    Args:
        result: The result of the picture, with its predictions.
        prepared: The picture.
        explainers: The explainers.
        explanations: The explanations of its batch, one by each explainer.
        row: The row of the picture in the batch.
    """
    image = prepared.image
    reduced = image
    if max(image.size) > _SIDE:
        scale = _SIDE / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        reduced = image.resize(size, Image.Resampling.BOX)
    small = PreparedPicture(reduced, prepared.fit.scaled_to(reduced.size), prepared.inputs)
    maps: list[dict[int, np.ndarray]] = []
    for explainer, explanation in zip(explainers, explanations, strict=True):
        of_classes: dict[int, np.ndarray] = {}
        for index, cells in zip(explanation.targets[row], explanation.maps[row], strict=True):
            if int(index) not in of_classes:
                heat = frame_heat(small, small.fit.lay(_positive(cells), explainer.pitch)[:])
                of_classes[int(index)] = to_grid(heat)
        maps.append(of_classes)
    return Observation(
        str(result.picture.path),
        image.size,
        result.predictions,
        result.truth,
        maps,
        np.asarray(reduced.resize((GRID, GRID), Image.Resampling.BOX)),
        fingerprint(reduced),
    )


def _positive(cells: np.ndarray) -> np.ndarray:
    """Returns what speaks for the class in a map that may be signed, up to 1."""
    positive = cells.clip(min=0)
    return positive / (positive.max() or 1)
