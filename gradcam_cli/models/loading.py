"""Loads a classifier from what a user gives as a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from gradcam_cli.errors import UsageError, WeightsError
from gradcam_cli.models.building import build_network, build_with_weights, check_weights_file
from gradcam_cli.models.catalogue import CatalogueModel, find_model, is_model_path
from gradcam_cli.models.checkpoint import find_checkpoint
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.files import read_model
from gradcam_cli.models.input_choice import parse_inputs
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.models.labels import IMAGENET_CLASSES, imagenet_labels, read_labels
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.models.preprocessing import Preprocessing, parse_preprocessing
from gradcam_cli.networks.deferred import DeferredNetwork
from gradcam_cli.networks.folding import MOST_PARAMETERS
from gradcam_cli.networks.forward import Network
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.networks.tasks import CLASSIFICATION


def load_classifier(
    options: ModelOptions | None = None, *, deferred: bool = False, names: Sequence[str] = ()
) -> Classifier:
    """Loads a pretrained model by its name, or a user's own model from a file.

    Args:
        options: The model and how to load it; None for the built-in model.
        deferred: Whether to delay building a network with a known name and weights until it is
            needed. It isn't needed if its graph is cached. Errors are then raised later.
        names: The names of the classes of a model from a file, which say how many there are where
            the file doesn't; empty for those that are stored in it.

    Returns:
        The classifier.

    Raises:
        GradcamError: The model, its weights or its labels can't be loaded; see
            `gradcam_cli.errors`.
    """
    options = options or ModelOptions()
    options.check_files()
    model, weights = options.name, options.weights
    preprocess = options.preprocess
    chosen = None if preprocess is None else parse_preprocessing(preprocess)
    if is_model_path(model):
        if weights is not None:
            raise UsageError("--weights needs a model's name; a model file has its own weights")
        file = read_model(
            Path(model),
            output=options.output,
            unsafe=options.unsafe,
            custom_objects=options.custom_objects,
        )
        return inspect_network(
            model,
            file.network,
            options.size,
            chosen,
            options.labels,
            file.stored,
            evidence=file.evidence,
            task=options.task,
            box_format=options.box_format,
            decoder=file.decoder,
            file=Path(model),
            explained=parse_inputs(options.inputs).explained,
            names=names or file.names,
        )
    if options.box_format is not None:
        raise UsageError("--box-format needs the file of a detector; the named models classify")
    if options.inputs:
        raise UsageError("--input needs a model file; the named models have a single input")
    if options.output is not None:
        raise UsageError("--head needs a model file; the named models have a single output")
    entry = find_model(model)
    _check_task(entry, options.task)
    if weights is not None:
        check_weights_file(weights)
    network = (deferred and _defer(entry, weights)) or KerasNetwork(
        build_with_weights(entry, weights)
    )
    return _from_catalogue(entry, network, chosen, options.labels)


def load_architecture(options: ModelOptions) -> Classifier:
    """Loads a model to inspect its layers; named models are built without weights.

    Args:
        options: The model and how to load it.

    Raises:
        GradcamError: As for `load_classifier`.
    """
    options.check_files()
    if options.weights is not None or is_model_path(options.name):
        return load_classifier(options)
    entry = find_model(options.name)
    _check_task(entry, options.task)
    return _from_catalogue(entry, KerasNetwork(build_network(entry)), None, None)


def _check_task(entry: CatalogueModel, task: str | None) -> None:
    if task not in (None, CLASSIFICATION):
        raise UsageError(
            f"--task {task}: {entry.name} is made for classification; --task is for your own models"
        )


def _defer(entry: CatalogueModel, weights: Path | None) -> DeferredNetwork | None:
    """Delays building a network; None if its graph wouldn't be cached, or it has no identity."""
    # Only Keras knows where it stores what it downloads.
    if entry.parameters > MOST_PARAMETERS or (weights is None and entry.package is None):
        return None
    try:
        path = weights or find_checkpoint(entry.name, str(entry.package))
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    # Errors of the file are reported when the network is built.
    except (OSError, WeightsError):
        return None
    identity = f"{entry.name} with {path.suffix} {digest}"
    return DeferredNetwork(lambda: KerasNetwork(build_with_weights(entry, weights)), identity)


def _from_catalogue(
    entry: CatalogueModel, network: Network, preprocess: Preprocessing | None, labels: Path | None
) -> Classifier:
    return Classifier(
        name=entry.name,
        network=network,
        input_size=(entry.input_size, entry.input_size),
        channels=3,
        any_size=entry.any_size,
        default_fit="keep" if entry.any_size else "squash",
        preprocess=preprocess or Preprocessing(entry.preprocessing, "what the model expects"),
        labels=imagenet_labels() if labels is None else read_labels(labels, IMAGENET_CLASSES),
    )
