"""The options that choose a model and how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gradcam_cli.errors import UsageError
from gradcam_cli.files.storage import check_is_there, is_elsewhere
from gradcam_cli.models.catalogue import (
    DEFAULT_MODEL,
    find_model,
    is_black_box,
    is_model_path,
    model_for_layer,
)
from gradcam_cli.models.labels import IMAGENET_CLASSES, Labels, imagenet_labels, read_labels


@dataclass(frozen=True)
class ModelOptions:
    """The model to load, and how to load it.

    Attributes:
        model: A name in the catalogue, or the path of a .keras or .h5 file or of a SavedModel
            or KerasHub preset folder. None for the built-in model, or for the one model that
            is known to have the layer.
        weights: For a model in the catalogue, a file to read its weights from
            (.weights.h5, .h5 or .keras). None for the package that contains them or, for
            the models of ``keras.applications``, Keras's own download on first use.
        labels: A file with the names of the classes (see
            `gradcam_cli.models.labels.read_labels`). None for a file beside the model (see
            `gradcam_cli.models.labels_beside`), else the names of ImageNet if there are 1,000
            classes, and numbers otherwise.
        preprocess: A mode of `gradcam_cli.models.preprocessing.Preprocessing`, or the name of a
            model whose preprocessing to use; None to detect it.
        output: The name of the output with the class scores, for a user's model with several.
        task: What the outputs mean: one of `gradcam_cli.networks.tasks.TASKS`; None to read it
            from the file, or to guess it from the final activation.
        box_format: For a detector, the format of its boxes, one of
            `gradcam_cli.pictures.boxes.BOX_FORMATS`; None to find it out.
        size: (height, width) of the input in pixels, for networks that accept any; None for
            the best known.
        unsafe: Whether to read a model file even if it contains code.
        custom_objects: A Python file with the code that a user's model needs.
        inputs: For a user's model with several inputs, "NAME" for an input whose pictures are
            explained, and "NAME=VALUE" for the value of another one (see
            `gradcam_cli.models.input_choice.parse_inputs`).
    """

    model: str | None = None
    weights: Path | None = None
    labels: Path | None = None
    preprocess: str | None = None
    output: str | None = None
    task: str | None = None
    box_format: str | None = None
    size: tuple[int, int] | None = None
    unsafe: bool = False
    custom_objects: Path | None = None
    inputs: Sequence[str] = ()

    @property
    def is_black_box(self) -> bool:
        """Whether the model is a file without layers and gradients that could be used."""
        return self.model is not None and is_black_box(self.model)

    @property
    def name(self) -> str:
        """The chosen model."""
        return self.model or DEFAULT_MODEL

    def check_files(self) -> None:
        """Finds out whether the files that it names are there and of use, before loading them.

        Raises:
            UsageError: One isn't.
        """
        if is_elsewhere(self.name):
            raise UsageError(
                f"--model {self.name}: is not on this machine; copy the model to a local file"
            )
        if is_model_path(self.name):
            check_is_there("--model", self.name)
        for option, path in {
            "--weights": self.weights,
            "--labels": self.labels,
            "--custom-objects": self.custom_objects,
        }.items():
            if path is not None:
                check_is_there(option, path)
        if self.custom_objects is None:
            return
        option = f"--custom-objects {self.custom_objects}"
        if not is_model_path(self.name):
            raise UsageError(
                f"{option}: the named models need no code; give the file of your own model with "
                f"--model FILE"
            )
        if not self.unsafe:
            raise UsageError(f"{option}: runs the code in this file; if you trust it, add --unsafe")
        if not self.custom_objects.is_file():
            raise UsageError(f"{option}: is not a Python file")

    def known_labels(self) -> Labels | None:
        """Gives the names of the classes, where they are known before the model is loaded.

        Raises:
            UnknownModelError: The catalogue has no such model.
            LabelsError: The file of names can't be read, or doesn't fit.
        """
        classes = None
        if not is_model_path(self.name):
            find_model(self.name)
            if self.labels is None:
                return imagenet_labels()
            classes = IMAGENET_CLASSES
        # A pipe can be read once alone. The heading of a table is known by the number of classes.
        is_clear = classes is not None or (
            self.labels is not None and self.labels.suffix.lower() != ".csv"
        )
        if self.labels is None or not self.labels.is_file() or not is_clear:
            return None
        return read_labels(self.labels, classes)

    def having(self, layers: Sequence[str | int]) -> ModelOptions:
        """Chooses the model to which the first of these layers belongs, if none is named.

        Args:
            layers: Names or indices, as the user gave them.

        Raises:
            UnknownLayerError: Several models have a layer of this name.
        """
        if self.model is not None or not layers:
            return self
        return replace(self, model=model_for_layer(layers[0]))


def as_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Turns one number for both sides of the input into a pair."""
    return (size, size) if isinstance(size, int) else size
