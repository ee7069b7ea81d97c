"""Loads and caches the models and explainers that a notebook uses again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import keras

from gradcam_cli.cam.detection import ObjectExplainer
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.score_weights import ScoreWeights
from gradcam_cli.cam.usual_method import usual_method
from gradcam_cli.errors import LabelsError, UnsupportedModelError, UsageError
from gradcam_cli.models.catalogue import DEFAULT_MODEL
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.files import describe_keras_model
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.models.preprocessing import parse_preprocessing
from gradcam_cli.networks.black_box import BlackBoxNetwork
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.networks.tasks import BINARY

# A name, a file, a model in memory, or one that was loaded before.
AnyModel: TypeAlias = str | Path | keras.Model | Classifier
_KEPT = 4
# Without the lock, threads that need the same model would each load it.
_MAKING = Lock()


def load_model(model: str = DEFAULT_MODEL, **options: Any) -> keras.Model:
    """Loads a model to explain with `GradCAM` and the other explainers.

    Args:
        model: A name that ``gradcam models`` lists, or a .keras or .h5 file.
        **options: Options of `gradcam_cli.models.options.ModelOptions`.

    Returns:
        The Keras model. The built-in model takes RGB pictures in [0, 255]. Models of
        ``keras.applications`` take pictures preprocessed as Keras documents it.

    Raises:
        GradcamError: The model can't be loaded (see `gradcam_cli.errors`).
    """
    network = load_classifier(ModelOptions(model, **options)).network
    if not isinstance(network, KerasNetwork):
        kind = network.kind if isinstance(network, BlackBoxNetwork) else "a SavedModel"
        raise UnsupportedModelError(
            f"{model}: {kind} has no Keras layers; explain it with "
            f"explain_image(picture, model=...) or the command line"
        )
    return network.model


def find_explainer(
    model: AnyModel | None,
    labels: Sequence[str] | None,
    preprocess: str | None,
    layer: str | int | Sequence[str | int] | None,
    method: str | None,
    *,
    fusion: str,
    smoothing: bool,
    weights: Callable[[Labels], ScoreWeights],
    signed: bool,
    task: str | None = None,
    explained_input: str | None = None,
    box_format: str | None = None,
) -> Explainer:
    """Makes an explainer, or returns the cached one for the same arguments.

    Args:
        model: A name, a file, a Keras model or a classifier; None for the built-in model.
        labels: The names of the classes; None for the model's own.
        preprocess: The preprocessing, as for ``--preprocess``; None to detect it.
        layer: The layer or layers, as for `Explainer`.
        method: The name of the method; None for the usual one of the model.
        fusion: How to fuse the maps of several layers.
        smoothing: Whether to smooth the maps.
        weights: Chooses which scores are added or subtracted, given the classes of the model.
        signed: Whether maps keep what speaks against a class.
        task: What the outputs mean, as for ``--task``; None to find it out.
        explained_input: The input whose pictures are explained; None for the first.
        box_format: For a detector, the format of its boxes, as for ``--box-format``; None to find
            it out.

    Raises:
        GradcamError: The model can't be loaded, or the layer can't be explained.
    """
    if isinstance(layer, Sequence) and not isinstance(layer, str):
        layer = tuple(layer)
    with _MAKING:
        classifier = _find_classifier(model, labels, preprocess, task, explained_input, box_format)
        method = method or usual_method(classifier)
        chosen = weights(classifier.labels)
        return _make_explainer(classifier, layer, method, fusion, smoothing, chosen, signed)


def find_classifier(
    model: AnyModel | None,
    labels: Sequence[str] | None = None,
    preprocess: str | None = None,
    task: str | None = None,
    explained_input: str | None = None,
) -> Classifier:
    """Makes a classifier, or returns the cached one for the same arguments.

    Args:
        model: As for `find_explainer`, like the other arguments.
        labels: The names of the classes.
        preprocess: The preprocessing.
        task: What the outputs mean.
        explained_input: The input whose pictures are explained.

    Raises:
        GradcamError: The model can't be loaded.
    """
    with _MAKING:
        return _find_classifier(model, labels, preprocess, task, explained_input)


def _find_classifier(
    model: AnyModel | None,
    labels: Sequence[str] | None,
    preprocess: str | None,
    task: str | None,
    explained_input: str | None,
    box_format: str | None = None,
) -> Classifier:
    if isinstance(model, Classifier):
        if task not in (None, model.task):
            raise UsageError(f"the classifier was made for {model.task}; load it with the task")
        if box_format is not None:
            raise UsageError("the classifier knows the format of its boxes; leave out box_format")
        return model if explained_input is None else model.explaining(explained_input)
    if isinstance(model, Path):
        model = str(model)
    names = None if labels is None else tuple(labels)
    chosen_model = DEFAULT_MODEL if model is None else model
    return _make_classifier(chosen_model, names, preprocess, task, explained_input, box_format)


@lru_cache(maxsize=_KEPT)
def _make_explainer(
    classifier: Classifier,
    layer: Any,
    method: str,
    fusion: str,
    smoothing: bool,
    weights: ScoreWeights,
    signed: bool,
) -> Explainer:
    return Explainer(
        classifier,
        layer,
        method,
        fusion=fusion,
        smoothing=smoothing,
        weights=weights,
        signed=signed,
    )


@lru_cache(maxsize=_KEPT)
def _make_classifier(
    model: str | keras.Model,
    labels: tuple[str, ...] | None,
    preprocess: str | None,
    task: str | None,
    explained_input: str | None,
    box_format: str | None,
) -> Classifier:
    explained = () if explained_input is None else (explained_input,)
    if isinstance(model, str):
        options = ModelOptions(
            model, preprocess=preprocess, task=task, box_format=box_format, inputs=explained
        )
        classifier = load_classifier(options, names=labels or ())
    else:
        chosen = None if preprocess is None else parse_preprocessing(preprocess)
        described = describe_keras_model(model)
        classifier = inspect_network(
            model.name,
            described.network,
            preprocess=chosen,
            stored=described.stored,
            evidence=described.evidence,
            task=task,
            box_format=box_format,
            decoder=described.decoder,
            explained=explained,
            names=labels or (),
        )
    if labels is None:
        return classifier
    known = classifier.labels
    if len(labels) != len(known):
        hint = ""
        if classifier.is_task_guess and (len(labels), len(known)) == (2, 1):
            hint = f'; if it tells two classes apart, add task="{BINARY}"'
        raise LabelsError(
            f"{len(labels)} labels, but {classifier.name} has {len(known)} "
            f"{known.noun if len(known) == 1 else known.plural}{hint}"
        )
    doubt = "" if classifier.is_task_guess else classifier.task_doubt
    return replace(classifier, labels=known.renamed(labels), task_doubt=doubt)


@lru_cache(maxsize=_KEPT)
def find_object_explainer(explainer: Explainer) -> ObjectExplainer:
    """Makes what finds and explains the objects in pictures, or returns it if it is cached.

    Args:
        explainer: The explainer of a detector.
    """
    return ObjectExplainer([explainer])
