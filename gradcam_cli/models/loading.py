"""From a model's name to a classifier that is ready to run."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import keras

from gradcam_cli.errors import UsageError, WeightsError
from gradcam_cli.models import efficientnet_lite
from gradcam_cli.models.catalogue import DEFAULT_MODEL, CatalogueModel, find_model
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.labels import imagenet_labels

WEIGHTS_SUFFIXES = (".h5", ".keras")


def load_classifier(name: str = DEFAULT_MODEL, weights: Path | None = None) -> Classifier:
    """Builds a model of the catalogue with its pretrained weights.

    Args:
        name: A name that the catalogue knows.
        weights: A file to read the weights from (.weights.h5, .h5 or .keras); None for
            the package that carries them or, for the models of ``keras.applications``,
            Keras's own download at the first use.

    Returns:
        The classifier, with the labels of ImageNet.

    Raises:
        UnknownModelError: The catalogue has no such model.
        UsageError: The weights file isn't of a kind that can be read.
        WeightsError: The weights can't be had, or don't fit the model.
    """
    entry = find_model(name)
    return Classifier(
        name=entry.name,
        model=_build(entry, None if weights is None else _check_weights_file(weights)),
        input_size=(entry.input_size, entry.input_size),
        any_size=entry.any_size,
        preprocessing=entry.preprocessing,
        labels=imagenet_labels(),
    )


def build_untrained(name: str) -> keras.Model:
    """Builds a model of the catalogue without its weights, to look at its layers.

    Raises:
        UnknownModelError: The catalogue has no such model.
    """
    entry = find_model(name)
    if entry.builder is None:
        return efficientnet_lite.build(entry.name)
    return _build_keras(entry, None)


def _build(entry: CatalogueModel, weights: Path | None) -> keras.Model:
    if weights is not None:
        model = build_untrained(entry.name)
        _load_weights(model, entry.name, weights)
    elif entry.builder is None:
        model = efficientnet_lite.build(entry.name)
        efficientnet_lite.load_pretrained(model)
    else:
        try:
            model = _build_keras(entry, "imagenet")
        # Keras reports a failed download with a bare Exception.
        except Exception as error:
            raise WeightsError(
                f"{entry.name}: its weights could not be downloaded ({_first_line(error)}); "
                f"give a file that has them with --weights FILE, or use the built-in model with "
                f"--model {DEFAULT_MODEL}"
            ) from error
    return model


def _build_keras(entry: CatalogueModel, weights: str | None) -> keras.Model:
    options = {"input_tensor": keras.Input((None, None, 3))} if entry.any_size else {}
    # Keras tells of a download on standard output, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        return getattr(keras.applications, str(entry.builder))(weights=weights, **options)


def _check_weights_file(path: Path) -> Path:
    if path.suffix not in WEIGHTS_SUFFIXES:
        raise UsageError(
            f"--weights {path}: not a weights file that can be read; it should end in "
            f".weights.h5, .h5 or .keras"
        )
    if not path.is_file():
        raise UsageError(f"--weights {path}: there is no such file")
    return path


def _load_weights(model: keras.Model, name: str, path: Path) -> None:
    try:
        model.load_weights(path)
    # A damaged or foreign file makes HDF5 and Keras fail in many ways.
    except Exception as error:
        raise WeightsError(
            f"{path}: these are not weights of {name} ({_first_line(error)}); check the file "
            f"and --model"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
