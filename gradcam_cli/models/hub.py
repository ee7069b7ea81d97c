"""Reads KerasHub's image classifiers: preset folders, and preprocessors stored with models.

KerasHub takes seconds to import, so it is imported only when it is needed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gradcam_cli.errors import ModelFileError, UnsafeModelError, UnsupportedModelError, reason
from gradcam_cli.models.architecture import admit, is_of_kerashub
from gradcam_cli.models.containers import check_weights, read_json
from gradcam_cli.models.packages import KERAS_HUB
from gradcam_cli.models.preprocessing import Preprocessing

CONFIG_FILE = "config.json"
_TASK_FILE = "task.json"
_TOKENIZER_FILE = "tokenizer.json"
_HEAD_FILE = "task.weights.h5"
_WEIGHTS_FILE = "model.weights.h5"
# Their backbones are the whole network.
_WITHOUT_HEAD = ("DFineObjectDetector",)
_SHARDS_FILE = "model.weights.json"
_REASON = "stored with the model"


@dataclass(frozen=True)
class StoredPreparation:
    """The preprocessing that is stored with a model.

    Attributes:
        input_size: (height, width) in pixels; None if it doesn't resize pictures.
        fit: One of `gradcam_cli.pictures.fitting.FITS`.
        preprocess: The function applied to values in [0, 255].
    """

    input_size: tuple[int, int] | None
    fit: str
    preprocess: Preprocessing


def find_preparation(model: keras.Model) -> StoredPreparation | None:
    """Reads the preprocessor of a KerasHub task.

    Args:
        model: Any model of Keras 3 or 2.

    Returns:
        The preprocessing; None if the model isn't such a task or has no preprocessor.
    """
    hub = sys.modules.get(KERAS_HUB.module)
    if hub is None or not isinstance(
        model, (hub.models.ImageClassifier, hub.models.ImageSegmenter, hub.models.ObjectDetector)
    ):
        return None
    preprocessor = model.preprocessor
    if preprocessor is None:
        return None
    usual = (
        hub.models.ImageClassifierPreprocessor,
        hub.models.ImageSegmenterPreprocessor,
        hub.models.ObjectDetectorPreprocessor,
    )
    converter = getattr(preprocessor, "image_converter", None)
    is_usual = any(
        isinstance(preprocessor, kind) and type(preprocessor).call is kind.call for kind in usual
    )
    if is_usual and converter is None:
        return StoredPreparation(None, "squash", Preprocessing("none", _REASON))
    usual_converter = hub.layers.ImageConverter
    if (
        not is_usual
        or not isinstance(converter, usual_converter)
        or type(converter).call is not usual_converter.call
    ):
        kind = type(preprocessor if not is_usual else converter).__name__
        guess = f"a guess: the model's stored {kind} is unknown; set it with --preprocess"
        return StoredPreparation(None, "squash", Preprocessing("0-1", guess))
    fit = "squash"
    if converter.crop_to_aspect_ratio:
        fit = "cover"
    elif converter.pad_to_aspect_ratio:
        fit = "pad"
    scale, offset = _values(converter.scale), _values(converter.offset)
    mode = "scaled" if scale or offset else "none"
    size = converter.image_size
    return StoredPreparation(
        None if size is None else (int(size[0]), int(size[1])),
        fit,
        Preprocessing(mode, _REASON, scale, offset),
    )


def is_classifier(model: keras.Model) -> bool:
    """Returns whether a model is an image classifier of KerasHub."""
    hub = sys.modules.get(KERAS_HUB.module)
    return hub is not None and isinstance(model, hub.models.ImageClassifier)


def without_preprocessor(task: keras.Model) -> keras.Model:
    """Makes the network of a KerasHub task without its preprocessor.

    Args:
        task: The task, which isn't changed.
    """
    return keras.Model(task.input, task.output, name=task.name)


def is_preset(folder: Path) -> bool:
    """Returns whether a folder looks like a KerasHub preset."""
    return (folder / CONFIG_FILE).is_file()


def load_preset(folder: Path, objects: dict[str, Any], unsafe: bool) -> keras.Model:
    """Loads an image classifier from a folder that ``save_to_preset`` wrote.

    Args:
        folder: The folder.
        objects: The classes and functions that the user provides.
        unsafe: Whether it may contain code and name any class.

    Returns:
        The ``ImageClassifier``, ``ImageSegmenter`` or ``ObjectDetector`` of KerasHub, with its
        preprocessor.

    Raises:
        ModelFileError: The preset is incomplete, or KerasHub isn't installed.
        UnsafeModelError: The preset contains code, and `unsafe` isn't set.
        UnsupportedModelError: The preset isn't one of these.
    """
    backbone = read_json(folder / CONFIG_FILE)
    if not isinstance(backbone, dict) or "registered_name" not in backbone:
        raise ModelFileError(
            f"{folder}: its {CONFIG_FILE} is not KerasHub's; load the model with KerasHub and "
            f"save it with save_to_preset"
        )
    if not (folder / _TASK_FILE).is_file():
        why = (
            "a text model"
            if (folder / _TOKENIZER_FILE).is_file()
            else "a backbone without a classifier"
        )
        raise UnsupportedModelError(
            f"{folder}: contains a {backbone.get('class_name')} of KerasHub, {why} (no "
            f"{_TASK_FILE}); only an ImageClassifier, an ImageSegmenter or an ObjectDetector can "
            f"be explained"
        )
    task = read_json(folder / _TASK_FILE)
    if not is_of_kerashub(task):
        raise ModelFileError(f"{folder}: {_TASK_FILE} doesn't describe a KerasHub task")
    others = [read_json(path) for path in folder.glob("*.json")]
    objects = admit(folder, task, objects, unsafe, parts=[backbone, *others])
    if not unsafe:
        for path in folder.glob("*.h5"):
            check_weights(path)
        _check_shards(folder)
    # KerasHub would continue without them, with random weights.
    is_whole = task["class_name"] in _WITHOUT_HEAD and (folder / _WEIGHTS_FILE).is_file()
    if not is_whole and not (folder / _HEAD_FILE).is_file():
        raise ModelFileError(f"{folder}: has no weights for its classifier ({_HEAD_FILE})")
    kind = keras.saving.get_registered_object(task["registered_name"])
    try:
        with keras.saving.custom_object_scope(objects):
            # KerasHub can't mistake an absolute path for the name of a preset to download.
            return kind.from_preset(str(folder.resolve()))
    # Missing or damaged parts cause many kinds of errors deep inside KerasHub.
    except Exception as error:
        raise ModelFileError(
            f"{folder}: KerasHub cannot read this preset ({reason(error)})"
        ) from error


def _check_shards(folder: Path) -> None:
    """Refuses weights in files that `check_weights` doesn't check."""
    index = folder / _SHARDS_FILE
    shards = read_json(index).get("weight_map", {}).values() if index.is_file() else ()
    for names in shards:
        for name in names if isinstance(names, list) else [names]:
            if not isinstance(name, str) or Path(name).name != name or not name.endswith(".h5"):
                raise UnsafeModelError(
                    f"{folder}: refused, its {_SHARDS_FILE} names {name}, which isn't a .h5 file "
                    f"beside it; if you trust it, add --unsafe"
                )


def _values(values: Any) -> tuple[float, ...]:
    return () if values is None else tuple(np.ravel(values).astype(float).tolist())
