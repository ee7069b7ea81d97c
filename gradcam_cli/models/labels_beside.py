"""Finds the names of classes in a file beside a model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from gradcam_cli.errors import GradcamWarning, LabelsError
from gradcam_cli.models.labels import Labels, read_labels
from gradcam_cli.networks.tasks import PROBABILITY

# As Teachable Machine, Keras's tutorials and people who save `class_indices` name them.
_NAMES = (
    "labels.txt",
    "labels.json",
    "class_names.txt",
    "class_names.json",
    "class_indices.json",
)
_OF_MODEL = ("_labels.txt", "_labels.json", "_class_names.json", "_class_indices.json")
_INSIDE, _BESIDE = "inside the model", "beside the model"


def find_labels(model: Path, classes: int, quantity: str = PROBABILITY) -> Labels | None:
    """Finds a file with the names of a model's classes.

    It may belong to another model, so a file that doesn't fit isn't an error.

    Args:
        model: The model's file or folder. Files are looked for inside a folder, then beside it.
        classes: The number of its classes.
        quantity: What the number of each class is.

    Returns:
        The names; None if there is no file that fits. If there is another one, a warning says
        why it isn't used.
    """
    first = None
    for path, place in _candidates(model):
        try:
            return read_labels(path, classes, quantity, found_at=place)
        except LabelsError as error:
            first = first or error
    if first is not None:
        warnings.warn(
            f"{first.message}, so it isn't used; name the classes with --labels FILE",
            GradcamWarning,
            stacklevel=2,
        )
    return None


def _candidates(model: Path) -> Iterator[tuple[Path, str]]:
    if model.name in ("", ".."):
        model = Path(os.path.abspath(model))
    places = [(model, _INSIDE, _NAMES)] if model.is_dir() else []
    own = tuple(f"{model.stem}{ending}" for ending in _OF_MODEL)
    for folder, place, names in [*places, (model.parent, _BESIDE, (*own, *_NAMES))]:
        for name in names:
            # A pipe would wait for a writer.
            if os.path.isfile(folder / name):
                yield folder / name, place
