"""What the page's scripts read of each picture and of each mean map."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from PIL import Image

from gradcam_cli.files.control_characters import visible
from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.fitting import Placement
from gradcam_cli.rendering.page import to_text
from gradcam_cli.rendering.report import ReportPicture, make_preview
from gradcam_cli.rendering.report.records import cells_record, class_record


def make_picture_record(
    picture: ReportPicture, truth: Prediction | None, file: str
) -> dict[str, Any]:
    """Makes the record of a picture.

    Args:
        picture: The picture, with the maps of the first prediction and of the true class.
        truth: The true class with its probability; None if it isn't known.
        file: The address of its preview.
    """
    assert picture.preview is not None
    folder, name = os.path.split(picture.shown or picture.path)
    record: dict[str, Any] = {
        "name": visible(name),
        "folder": visible(folder),
        "file": file,
        "size": picture.preview.size,
        "predictions": [_class_of(prediction) for prediction in picture.predictions],
        "map": _map_of(picture, picture.predictions[0]),
    }
    if truth is not None:
        record["truth"] = _class_of(truth)
        if truth.index != picture.predictions[0].index:
            record["truthMap"] = _map_of(picture, truth)
    return record


def make_mean_record(heat: np.ndarray, picture: np.ndarray) -> dict[str, Any]:
    """Makes the record of a mean map, which is drawn relative to its strongest cell.

    Args:
        heat: (rows, columns) float32 in [0, 1].
        picture: (rows, columns, 3) uint8, the mean picture.
    """
    rows, columns = heat.shape
    whole = Placement((0, 0), (columns, rows), ((0, 0), (0, 0)), (0, 0, columns, rows))
    return {
        "file": f"data:image/webp;base64,{to_text(make_preview(Image.fromarray(picture)).data)}",
        "size": (picture.shape[1], picture.shape[0]),
        "map": cells_record(heat / (heat.max() or 1), whole),
    }


def _class_of(prediction: Prediction) -> dict[str, Any]:
    return class_record(prediction) | {"name": visible(prediction.name)}


def _map_of(picture: ReportPicture, target: Prediction) -> dict[str, Any] | None:
    for entry in picture.maps:
        if entry.target.index == target.index:
            record = cells_record(entry.cells, entry.placement)
            return record | {"note": visible(entry.note)} if entry.note else record
    return None
