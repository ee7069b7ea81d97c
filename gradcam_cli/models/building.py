"""Builds the networks of the catalogue and loads their weights."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from gradcam_cli.errors import GradcamError, UsageError, WeightsError
from gradcam_cli.models.catalogue import DEFAULT_MODEL, CatalogueModel
from gradcam_cli.models.containers import check_weights

_WEIGHTS_SUFFIXES = (".h5", ".keras")
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def build_with_weights(entry: CatalogueModel, weights: Path | None) -> keras.Model:
    """Builds a network of the catalogue with pretrained weights.

    Args:
        entry: The model.
        weights: The file with its weights; None for its package, or Keras's own download.

    Raises:
        WeightsError: The weights can't be read or downloaded.
    """
    if weights is not None:
        model = build_network(entry)
        _load_weights(model, entry.name, weights)
        if entry.divides_twice:
            _complete_normalization(model)
        return model
    try:
        return build_network(entry, "imagenet")
    except GradcamError:
        raise
    # Keras reports a failed download with a bare Exception.
    except Exception as error:
        reason = getattr(error.__context__, "reason", None) or _first_line(error)
        raise WeightsError(
            f"{entry.name}: its weights could not be downloaded ({reason}); "
            f"give a file that has them with --weights FILE, or use the built-in model with "
            f"--model {DEFAULT_MODEL}"
        ) from error


@contextlib.contextmanager
def _channels_last() -> Iterator[None]:
    """Makes Keras build channels-last networks, whatever the user's configuration is."""
    previous = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(previous)


def build_network(entry: CatalogueModel, weights: str | None = None) -> keras.Model:
    """Builds a network of the catalogue.

    Args:
        entry: The model.
        weights: Which weights to load, in the words of Keras; None for random ones.
    """
    module, _, function = entry.builder.partition(":")
    options = {"input_tensor": keras.Input((None, None, 3))} if entry.any_size else {}
    with _channels_last(), contextlib.redirect_stdout(_DownloadMessages()):
        model: keras.Model = getattr(importlib.import_module(module), function)(
            weights=weights, **options
        )
    return model


class _DownloadMessages(io.TextIOBase):
    """Writes Keras's messages about a download to standard error, without the first line.

    Keras announces a download on standard output, which is reserved for results, and before
    it knows whether there is a connection.
    """

    def __init__(self) -> None:
        self._announced = False

    def write(self, text: str) -> int:
        """Drops the announcement; the progress bar that follows is enough."""
        if self._announced:
            sys.stderr.write(text)
        self._announced = self._announced or "\n" in text
        return len(text)

    def flush(self) -> None:
        """Shows the progress immediately."""
        sys.stderr.flush()


def check_weights_file(path: Path) -> None:
    """Checks that a file may contain weights, by its name.

    Args:
        path: The file.

    Raises:
        UsageError: It has another extension, or isn't a file.
    """
    if path.suffix not in _WEIGHTS_SUFFIXES:
        raise UsageError(
            f"--weights {path}: not a supported weights file; its name should end in "
            f".weights.h5, .h5 or .keras"
        )
    if not path.is_file():
        raise UsageError(f"--weights {path}: is not a file")


def _load_weights(model: keras.Model, name: str, path: Path) -> None:
    check_weights(path)
    try:
        model.load_weights(path)
    # A damaged or foreign file causes many kinds of errors in HDF5 and Keras.
    except Exception as error:
        raise WeightsError(
            f"{path}: does not contain weights of {name} ({_first_line(error)}); check the file "
            f"and --model"
        ) from error


def _complete_normalization(model: keras.Model) -> None:
    """Adds what Keras adds to EfficientNetB0 to B7 only when it downloads their weights.

    With these weights, Keras divides by the square root of ImageNet's standard deviation once
    more, after the Normalization layer. A network without them has no statistics there.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and np.any(layer.adapt_mean):
            layer.adapt_variance.assign(layer.adapt_variance * _IMAGENET_DEVIATION)
            layer.finalize_state()


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0].partition(" Example error message")[0]
    return line.rstrip(".") or type(error).__name__
