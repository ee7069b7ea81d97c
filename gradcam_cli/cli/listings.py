"""The JSON output of the commands that list or describe something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcam_cli.cam.methods.table import DEFAULT_METHOD, METHODS
from gradcam_cli.evaluation.table import ALL_METRICS
from gradcam_cli.models.catalogue import CATALOGUE, DEFAULT_MODEL

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.networks.layers import LayerInfo


def models_record() -> dict[str, Any]:
    """Returns the JSON object of ``gradcam models``."""
    models = [
        {
            "name": model.name,
            "input_size": [model.input_size, model.input_size],
            "any_size": model.any_size,
            "parameters": model.parameters,
            # The table has percent with one decimal.
            "top1_accuracy": round(model.top1 / 100, 3),
            "weights": model.weights,
            "default": model.name == DEFAULT_MODEL,
        }
        for model in CATALOGUE.values()
    ]
    return {"models": models}


def methods_record() -> dict[str, Any]:
    """Returns the JSON object of ``gradcam methods``."""
    methods = [
        {
            "name": name,
            "title": info.title,
            "summary": info.summary,
            "passes": info.cost,
            "paper": info.paper,
            "needs_layer": info.needs_layer,
            "signed": info.has_sign,
            "bases": list(info.bases),
            "default": name == DEFAULT_METHOD,
        }
        for name, info in METHODS.items()
    ]
    return {"methods": methods}


def metrics_record() -> dict[str, Any]:
    """Returns the JSON object of ``gradcam metrics``."""
    metrics = [
        {
            "name": name,
            "title": info.title,
            "summary": info.summary,
            "paper": info.paper,
            "higher_is_better": info.higher_is_better,
            "needs_annotations": info.needs_objects,
            "default": info.is_measured_by_default,
        }
        for name, info in ALL_METRICS.items()
    ]
    return {"metrics": metrics}


def layers_record(classifier: Classifier) -> dict[str, Any]:
    """Returns the JSON object of ``gradcam layers``."""
    layers = [
        {
            "index": layer.node.index,
            **_layer_record(layer),
            "type": layer.node.kind,
            "parameters": layer.node.parameters,
            "usable": layer.usable,
            "default": layer.default,
        }
        for layer in classifier.layers()
    ]
    inputs = inputs_record(classifier)
    return {"model": classifier.name, **({"inputs": inputs} if inputs else {}), "layers": layers}


def inputs_record(classifier: Classifier) -> list[dict[str, Any]]:
    """Returns an object for each input; none if there is only one."""
    return [
        {
            "name": one.name,
            "shape": list(one.shape),
            "dtype": one.dtype,
            "takes": one.takes,
            "explained": one.is_explained,
            "preprocessing": None if one.preprocess is None else one.preprocess.description,
        }
        for one in classifier.describe_inputs()
    ]


def info_record(classifier: Classifier) -> dict[str, Any]:
    """Returns the JSON object of ``gradcam info``, with the names of all classes."""
    labels = classifier.labels
    classes = []
    for index in range(len(labels)):
        wnid = labels.wnid(index)
        named = {"index": index, "name": labels.name(index)}
        classes.append(named if wnid is None else named | {"wnid": wnid})
    default = next((layer for layer in classifier.layers() if layer.default), None)
    inputs = inputs_record(classifier)
    return {
        "model": classifier.name,
        **({"inputs": inputs} if inputs else {}),
        "input_size": list(classifier.input_size),
        "any_size": classifier.any_size,
        "channels": classifier.channels,
        **({"length": classifier.length} if classifier.takes_stacks else {}),
        "preprocessing": classifier.preprocess.description,
        "task": classifier.task,
        "task_reason": classifier.task_reason,
        "class_names": labels.origin or None,
        **({} if classifier.decoder is None else {"boxes": classifier.decoder.description}),
        "class_score": classifier.describe_score(),
        "default_layer": None
        if default is None
        else _layer_record(default) | {"reason": default.reason},
        "parameters": classifier.network.parameters,
        "classes": classes,
    }


def _layer_record(layer: LayerInfo) -> dict[str, Any]:
    grid = layer.grid
    return {
        "name": layer.node.path,
        "output_shape": None if layer.output_shape is None else list(layer.output_shape),
        "cells": None if grid is None else list(grid.size),
        "feature_maps": None if grid is None else grid.number_of_channels,
    }
