"""Draws one map of an explained picture onto the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gradcam_cli.pictures.fitting import LaidMap
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.regions import Region, find_region, hot_pixels
from gradcam_cli.pictures.score_regions import COVERED
from gradcam_cli.rendering.overlay import draw_heatmap, draw_overlay
from gradcam_cli.rendering.regions import box_line, draw_lines
from gradcam_cli.run.options import DrawOptions


@dataclass(frozen=True)
class DrawnMap:
    """A map of one class by one explainer, at the resolution of the picture.

    Attributes:
        laid: The map over the part of the picture that the network saw.
        region: The region above the threshold; None if it isn't needed.
        score_lines: The outlines of the region whose scores are explained; empty if these are the
            scores of the whole picture.
    """

    laid: LaidMap
    region: Region | None
    score_lines: Sequence[np.ndarray] = ()

    @property
    def heat(self) -> np.ndarray:
        """All pixels of the map, (height, width) float32; computed at each call."""
        return self.laid[:]


def lay_map(
    prepared: PreparedPicture,
    cells: np.ndarray,
    pitch: tuple[float, float],
    options: DrawOptions,
    scored: np.ndarray | None = None,
    scored_pitch: tuple[float, float] = (1.0, 1.0),
) -> DrawnMap:
    """Scales a map to its picture.

    Args:
        prepared: The picture.
        cells: The map, (rows, columns) float32 in [0, 1], or in [-1, 1] if it is signed.
        pitch: Vertical and horizontal distance of its cells, in input pixels.
        options: Whether a region is needed, and its threshold.
        scored: The region whose scores are explained, (rows, columns) float32 in [0, 1]; None
            for the whole picture.
        scored_pitch: The pitch of its cells.
    """
    laid = prepared.fit.lay(cells, pitch)
    region = None
    if options.finds_regions:
        region = find_region(frame_heat(prepared, laid[:]), options.region_from)
    lines: Sequence[np.ndarray] = ()
    if scored is not None:
        covered = frame_heat(prepared, prepared.fit.lay(scored, scored_pitch)[:])
        lines = find_region(covered, COVERED).outlines
    return DrawnMap(laid, region, lines)


def frame_heat(prepared: PreparedPicture, heat: np.ndarray) -> np.ndarray:
    """Extends a map to the whole picture, with zeros outside the part that the network saw.

    Args:
        prepared: The picture.
        heat: As in `DrawnMap`.

    Returns:
            (height, width) float32.
    """
    return draw_heatmap(heat, prepared.image.size, prepared.fit.seen[:2])


def draw_map(prepared: PreparedPicture, drawn: DrawnMap, options: DrawOptions) -> Image.Image:
    """Draws the overlay: the picture with the map in colours and, if there is one, its region.

    Args:
        prepared: The picture.
        drawn: The map.
        options: How to draw it.
    """
    overlay = draw_overlay(
        prepared.image,
        drawn.laid,
        prepared.fit.seen[:2],
        options.colors,
        options.opacity,
        signed=options.signed,
    )
    if options.hot_only:
        # Strong evidence against a class is coloured too.
        cold = ~hot_pixels(np.abs(drawn.heat), options.region_from)
        left, top, right, bottom = prepared.fit.seen
        unchanged = prepared.image.crop((left, top, right, bottom))
        overlay.paste(unchanged, (left, top), Image.fromarray(cold.astype(np.uint8) * 255))
    if drawn.score_lines:
        overlay = draw_lines(overlay, drawn.score_lines, dashed=True)
    if drawn.region is None:
        return overlay
    lines = list(drawn.region.outlines) if options.contour else []
    if options.box and drawn.region.box is not None:
        lines.append(box_line(drawn.region.box))
    return draw_lines(overlay, lines)
