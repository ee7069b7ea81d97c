"""Checks what the architecture in a model file refers to, and whether it may be loaded.

Keras looks up whatever a file names, and some of its versions import it. So the names are
checked first, without running anything.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from gradcam_cli.errors import ModelFileError, UnsafeModelError, UnsupportedModelError
from gradcam_cli.models.admitted import is_admitted, what_is_named
from gradcam_cli.models.packages import KERAS_HUB, OTHERS, Package, namespaces_of

_KERAS = frozenset({"keras", "tf_keras"})
# The ways in which Keras 2 stores calls of TensorFlow.
_WAYS_TO_CALL = frozenset(
    {"ClassMethod", "InstanceMethod", "InstanceProperty", "SlicingOpLambda", "TFOpLambda"}
    | {"TensorFlowOpLayer"}
)
# KerasHub's functions, not layers, that networks use.
_HUB_FUNCTIONS = frozenset({"gelu_approximate"})
# Importing KerasHub registers the classes of these packages.
_HUB_MODULES = frozenset({"keras_hub", "tensorflow_text"})


def admit(
    path: Path,
    model: Any,
    objects: dict[str, Any],
    unsafe: bool,
    parts: Sequence[Any] = (),
    library: Any = keras,
) -> dict[str, Any]:
    """Checks an architecture for code, and imports the packages whose classes it needs.

    Args:
        path: The file of the architecture.
        model: The architecture.
        objects: The classes and functions that the user provides.
        unsafe: Whether it may contain code and name any class.
        parts: Architectures of parts of the model that are read in addition.
        library: The library that reads the file, ``keras`` or ``tf_keras``.

    Returns:
        The classes and functions to pass to Keras, including the user's.

    Raises:
        UnsafeModelError: It contains code, or names something that isn't known to compute only
            on tensors, and `unsafe` isn't set.
        ModelFileError: A package isn't installed, or doesn't contain what is named.
        UnsupportedModelError: It is a KerasHub model without classes, or not for pictures.
    """
    config = [model, *parts]
    if not unsafe and any(entry["class_name"] == "Lambda" for entry in entries(config)):
        raise UnsafeModelError(
            f"{path}: refused, it contains a Lambda layer: Python code that would run on your "
            f"machine; if you trust the file, add --unsafe"
        )
    found: dict[str, Any] = {}
    for package in OTHERS:
        names = _listed(_names_of(package, config) - objects.keys())
        if names and not unsafe:
            raise UnsafeModelError(
                f"{path}: needs {names} of {package.title}; if you trust the file, install the "
                f"package ({package.install}) and add --unsafe"
            )
        if names:
            found |= package.load(f"{path}: needs {names}")
    names = _listed(_names_of(KERAS_HUB, config) - objects.keys())
    if names:
        KERAS_HUB.load(f"{path}: needs {names}")
        whole = _whole_class(model)
        if whole is not None:
            _check_task(path, whole)
            # A .h5 file names the class of the whole model without its package.
            found[whole.__name__] = whole
    if not unsafe:
        _check_names(path, config, found, library)
    # A Python program may have imported KerasHub before, for other models.
    if KERAS_HUB.module in sys.modules:
        _check_hub(path, config, unsafe)
    return found | objects


def entries(config: Any) -> Iterator[dict[str, Any]]:
    """Yields every serialized object in an architecture."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config
        for value in config.values():
            yield from entries(value)
    elif isinstance(config, list):
        for value in config:
            yield from entries(value)


def custom_names(config: Any) -> set[str]:
    """Collects the classes and functions in an architecture that no known package provides."""
    names = set()
    for entry in entries(config):
        name = entry["class_name"]
        if any(package.names(entry) for package in (KERAS_HUB, *OTHERS)):
            continue
        if _is_in(entry.get("module"), _KERAS):
            continue
        if name == "function":
            names.add(_name(entry))
        elif entry.get("registered_name") or ">" in name:
            names.add(name.rpartition(">")[2])
        elif "module" not in entry and "inbound_nodes" in entry and not hasattr(keras.layers, name):
            names.add(name)
    return names - {"Functional", "Sequential", "Model"} - _WAYS_TO_CALL


def needs_code(path: Path, names: Iterable[str]) -> UnsafeModelError:
    """Makes the error for a file that needs code from its author.

    Args:
        path: The file.
        names: The classes and functions that it needs.
    """
    return UnsafeModelError(
        f"{path}: needs its own code ({', '.join(sorted(names))}); give the Python file that "
        f"defines it with --custom-objects FILE --unsafe"
    )


def is_of_kerashub(entry: Any) -> bool:
    """Returns whether something is a serialized KerasHub object."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("class_name"), str)
        and KERAS_HUB.names(entry)
    )


def _check_names(path: Path, config: Any, found: dict[str, Any], library: Any) -> None:
    """Refuses every object that Keras might create or call for a file, unless it is admitted."""
    foreign, refused = set(), set()
    for entry in entries(config):
        # A Python program may have registered its own classes.
        if is_admitted(entry) or _is_itself(entry, _registered(entry, library)):
            continue
        name = _name(entry).rpartition(">")[2]
        is_of_keras = _is_of_keras(entry, name)
        # KerasHub's objects are checked separately, and so are names that it doesn't have.
        if KERAS_HUB.names(entry) and _is_in(entry.get("module"), KERAS_HUB.namespaces):
            found_there = _of_kerashub(entry)
            is_missing = found_there is None and not is_of_keras
            if is_missing or _is_itself(entry, found_there):
                continue
        if name in found:
            continue
        if is_of_keras:
            refused.add(what_is_named(entry))
        else:
            foreign.add(name)
    if refused:
        raise UnsafeModelError(
            f"{path}: refused, it names {_listed(refused)}, which may do more than compute; add "
            f"--unsafe to let it run on your machine if you trust the file"
        )
    if foreign:
        raise needs_code(path, foreign)


def _is_of_keras(entry: dict[str, Any], name: str) -> bool:
    """Returns whether a refused object belongs to Keras or Python rather than to a user."""
    module = entry.get("module")
    if (
        _is_in(module, _KERAS)
        or name in _WAYS_TO_CALL
        or hasattr(keras.layers, name)
        or name.startswith("__")
    ):
        return True
    return entry["class_name"] == "function" and hasattr(builtins, name) and module == "builtins"


def _whole_class(model: Any) -> type | None:
    """Finds the KerasHub class of a whole model; None if it is another model."""
    if not isinstance(model, dict) or not isinstance(model.get("class_name"), str):
        return None
    found = _registered(model)
    if not list(namespaces_of(model)):
        found = keras.saving.get_registered_object(f"keras_hub>{model['class_name']}")
    is_hubs = isinstance(found, type) and _is_in(found.__module__, KERAS_HUB.namespaces)
    return found if is_hubs else None


def _check_task(path: Path, kind: type) -> None:
    """Refuses KerasHub models that can't be explained."""
    import keras_hub

    if issubclass(kind, _tasks(keras_hub.models)):
        return
    if issubclass(kind, keras_hub.models.Backbone):
        why = "a backbone without a classifier"
    else:
        why = "which doesn't say what is in pictures"
    raise UnsupportedModelError(
        f"{path}: contains a {kind.__name__} of KerasHub, {why}; only an ImageClassifier, an "
        f"ImageSegmenter or an ObjectDetector can be explained"
    )


def _tasks(models: Any) -> tuple[type, ...]:
    return models.ImageClassifier, models.ImageSegmenter, models.ObjectDetector


def _check_hub(path: Path, config: Any, unsafe: bool) -> None:
    """Refuses KerasHub's objects other than the parts of networks for pictures.

    Other objects read files when they are created, or make Keras read them from a store.
    """
    missing, refused = set(), set()
    for entry in entries(config):
        if not set(namespaces_of(entry)) & KERAS_HUB.namespaces:
            continue
        found = _of_kerashub(entry)
        if found is None:
            missing.add(_name(entry).rpartition(">")[2])
        elif not _is_harmless(found):
            refused.add(_name(entry).rpartition(">")[2])
    registered = keras.saving.get_custom_objects()
    for name in _strings(config):
        # Keras also finds functions by the last part of their registered names.
        for key in (name, f"keras_hub>{name}", f"keras_nlp>{name}"):
            if key in registered and not _is_harmless(registered[key]):
                refused.add(name.rpartition(">")[2])
    if missing:
        raise ModelFileError(
            f"{path}: the installed KerasHub has no {_listed(missing)}; a newer version may: "
            f"pip install --upgrade keras-hub"
        )
    if refused and not unsafe:
        raise UnsafeModelError(
            f"{path}: refused, it names {_listed(refused)} of KerasHub, which is no part of a "
            f"network for pictures; if you trust the file, add --unsafe"
        )


def _is_harmless(candidate: Any) -> bool:
    import keras_hub

    if not _is_in(candidate.__module__, _HUB_MODULES):
        return True
    if not isinstance(candidate, type):
        return candidate.__name__ in _HUB_FUNCTIONS
    models = keras_hub.models
    if issubclass(candidate, models.Task):
        return issubclass(candidate, _tasks(models))
    if issubclass(candidate, models.Preprocessor):
        kinds = (
            models.ImageClassifierPreprocessor,
            models.ImageSegmenterPreprocessor,
            models.ObjectDetectorPreprocessor,
        )
        return issubclass(candidate, kinds)
    return issubclass(candidate, keras.layers.Layer) and not issubclass(
        candidate, keras_hub.tokenizers.Tokenizer
    )


def _registered(entry: dict[str, Any], library: Any = keras) -> Any:
    name = entry.get("registered_name", entry["class_name"])
    if entry["class_name"] == "function":
        name = entry.get("config")
    return library.saving.get_registered_object(name) if isinstance(name, str) else None


def _of_kerashub(entry: dict[str, Any]) -> Any:
    found = _registered(entry)
    if found is None:
        # Keras would import the module. KerasHub's import has loaded all that networks need.
        found = getattr(sys.modules.get(str(entry.get("module"))), entry["class_name"], None)
    return found


def _is_itself(entry: dict[str, Any], found: Any) -> bool:
    """Returns whether all ways of looking up an object lead to the same one.

    Some of Keras's readers use the registered name and others the class name. A harmless
    object under one name must not vouch for the other name.
    """
    return getattr(found, "__name__", None) == _name(entry).rpartition(">")[2]


def _names_of(package: Package, config: Any) -> set[str]:
    return {_name(entry).rpartition(">")[2] for entry in entries(config) if package.names(entry)}


def _name(entry: dict[str, Any]) -> str:
    return str(entry.get("config") if entry["class_name"] == "function" else entry["class_name"])


def _strings(config: Any) -> Iterator[str]:
    if isinstance(config, str):
        yield config
    elif isinstance(config, dict):
        for value in config.values():
            yield from _strings(value)
    elif isinstance(config, list):
        for value in config:
            yield from _strings(value)


def _is_in(module: Any, packages: Iterable[str]) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in packages


def _listed(names: set[str], most: int = 3) -> str:
    """Lists the first few names."""
    shown = sorted(names)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if shown[most:] else "")
