"""Draws several classes in one picture, each in its own hue, with a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.boxes import Detection
from gradcam_cli.rendering.fonts import load_font
from gradcam_cli.rendering.palette import BAND, MUTED_TEXT, TEXT
from gradcam_cli.rendering.regions import box_line, draw_lines

Color = tuple[int, int, int]

# Okabe and Ito's hues, which most colour-blind people can distinguish ("Color Universal
# Design", 2008), ordered so that the first ones differ most.
HUES: tuple[Color, ...] = (
    (230, 120, 0),
    (0, 114, 200),
    (0, 168, 120),
    (204, 100, 170),
    (240, 218, 50),
    (86, 190, 240),
)
# How strongly the highest class dominates a pixel; 1 would mix all hues into grey.
_DECISION = 12
# How far the picture is desaturated, so that only the classes have hues.
_FADING = 0.85
# The opacity of the hue at a map's maximum, and the exponent for lower values.
_COVER = 0.85
_STEEPNESS = 0.8
# How far a less probable class fades: of 1 % beside 56 %, the map keeps a seventh.
_FAINTNESS = 0.5
_NOTE = "Stronger colour: higher map, more probable class"
_NOTE_OF_VALUES = "Stronger colour: higher map"
_NOTE_OF_SHARES = "Stronger colour: higher map, larger share"


def draw_composite(
    picture: Image.Image,
    classes: Sequence[tuple[Prediction, np.ndarray]],
    position: tuple[int, int] = (0, 0),
) -> Image.Image:
    """Shows which part of a picture speaks for which class.

    Each map is multiplied by its class's share: the square root of the class's probability
    over that of the most probable class shown. All outputs of a regression have the same share.
    Every pixel has the hue of the class whose map is then the highest there; where two are about
    equally high, their hues mix. The higher the map, the more the hue covers the picture.

    Args:
        picture: Mode "RGB".
        classes: The classes, each with its map: (height, width) float32 in [0, 1], all of
            one size. From the seventh class on, hues repeat.
        position: The left and top edge of the maps in the picture, in pixels.

    Returns:
        Mode "RGB", as wide as the picture, with the legend below it.
    """
    faded = Image.blend(picture, picture.convert("L").convert("RGB"), _FADING)
    shares = _shares([prediction for prediction, _ in classes])
    heats = np.stack([heat * share for (_, heat), share in zip(classes, shares, strict=True)])
    weights = heats**_DECISION
    weights /= np.maximum(weights.sum(axis=0), np.finfo(np.float32).tiny)
    hues = np.asarray([_hue(number) for number in range(len(classes))], np.float32)
    colors = np.tensordot(weights, hues, axes=(0, 0))
    cover = Image.fromarray(
        np.rint(heats.max(axis=0) ** _STEEPNESS * _COVER * 255).astype(np.uint8)
    )
    faded.paste(Image.fromarray(np.rint(colors).astype(np.uint8)), position, cover)
    return _with_legend(faded, [prediction for prediction, _ in classes])


def draw_boxes(
    composite: Image.Image, size: tuple[int, int], boxes: Sequence[Detection]
) -> Image.Image:
    """Draws the box of each object in the hue of its map.

    Args:
        composite: What `draw_composite` returned for the objects.
        size: (width, height) of the picture in it.
        boxes: The objects, in the same order.
    """
    if not boxes:
        return composite
    picture = composite.crop((0, 0, *size))
    # The best object comes last, on top of the others.
    for number, one in reversed(list(enumerate(boxes))):
        picture = draw_lines(picture, [box_line(one.box)], color=_hue(number))
    composite.paste(picture)
    return composite


def _shares(classes: Sequence[Prediction]) -> list[float]:
    """Says how strong the colour of each class is, (0, 1]: the most probable has 1."""
    highest = max(entry.probability for entry in classes)
    if highest <= 0 or classes[0].is_value:
        return [1.0] * len(classes)
    return [(entry.probability / highest) ** _FAINTNESS for entry in classes]


def _hue(number: int) -> Color:
    return HUES[number % len(HUES)]


def _with_legend(picture: Image.Image, classes: Sequence[Prediction]) -> Image.Image:
    size = max(11, round(picture.width / 42))
    font, margin = load_font(size), size
    row_height = round(size * 1.75)
    places: list[tuple[int, int]] = []
    x, y = margin, round(margin * 0.8)
    for entry in classes:
        width = round(size * 1.5 + font.getlength(f"{entry.name}  {entry.text}"))
        if x > margin and x + width > picture.width - margin:
            x, y = margin, y + row_height
        places.append((x, y))
        x += width + margin * 2
    note_font, note_top = load_font(round(size * 0.8)), picture.height + y + row_height
    height = note_top + round(size * 1.4)
    canvas = Image.new("RGB", (picture.width, height), BAND)
    canvas.paste(picture)
    draw = ImageDraw.Draw(canvas)
    first = classes[0]
    note = _NOTE_OF_VALUES if first.is_value else _NOTE_OF_SHARES if first.is_share else _NOTE
    draw.text((margin, note_top + size * 0.3), note, MUTED_TEXT, note_font, anchor="lm")
    for number, (entry, (x, y)) in enumerate(zip(classes, places, strict=True)):
        top = picture.height + y
        swatch = (x, top + size * 0.2, x + size * 0.95, top + size * 1.15)
        draw.rounded_rectangle(swatch, size * 0.22, fill=_hue(number))
        text_x = x + size * 1.5
        middle = top + size * 0.68
        draw.text((text_x, middle), entry.name, TEXT, font, anchor="lm")
        text_x += font.getlength(f"{entry.name}  ")
        draw.text((text_x, middle), entry.text, MUTED_TEXT, font, anchor="lm")
    return canvas
