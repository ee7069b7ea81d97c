"""Draws a detected object: its box, with its class and score."""

from __future__ import annotations

from PIL import Image

from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.boxes import Detection
from gradcam_cli.rendering.regions import box_line, draw_lines, draw_tag


def draw_object(overlay: Image.Image, detected: Detection, prediction: Prediction) -> Image.Image:
    """Draws the box of a detected object, with its class and score.

    Args:
        overlay: The picture with the map in colours.
        detected: The object.
        prediction: Its class and score.

    Returns:
        A new picture of the same mode and size.
    """
    boxed = draw_lines(overlay, [box_line(detected.box)])
    return draw_tag(boxed, detected.box, f"{prediction.name} {prediction.text}")
