"""Reads a user's own model from any supported file format."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from gradcam_cli.errors import ModelFileError, UnsafeModelError, UnsupportedModelError, UsageError
from gradcam_cli.files.text import LFS_POINTER, starts_as_lfs_pointer
from gradcam_cli.models.architecture import admit, custom_names, needs_code
from gradcam_cli.models.catalogue import BLACK_BOX_FORMATS, OTHER_FORMATS
from gradcam_cli.models.containers import read_architecture
from gradcam_cli.models.hub import (
    CONFIG_FILE,
    StoredPreparation,
    find_preparation,
    is_preset,
    load_preset,
    without_preprocessor,
)
from gradcam_cli.models.hub_detection import find_decoder
from gradcam_cli.models.saved_model_file import GRAPH_FILE, check_saved_model
from gradcam_cli.models.task_detection import TaskEvidence, task_evidence
from gradcam_cli.networks.detection import BoxDecoder
from gradcam_cli.networks.forward import Network
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.networks.saved_model import GraphNetwork

_DEFAULT_SIGNATURE = "serving_default"
_OF_PYTORCH = (".pt", ".pth")


@dataclass(frozen=True)
class ModelFile:
    """The content of a model file or folder.

    Attributes:
        network: The model.
        stored: The preprocessing stored with the model; None if there is none.
        evidence: What the file says about the meaning of the outputs.
        names: The names of the classes that are stored in it.
        decoder: For a detector of a known kind, what reads its boxes; None for other models.
    """

    network: Network
    stored: StoredPreparation | None = None
    evidence: TaskEvidence = field(default_factory=TaskEvidence)
    names: Sequence[str] = ()
    decoder: BoxDecoder | None = None


def read_model(
    path: Path,
    *,
    output: str | None = None,
    unsafe: bool = False,
    custom_objects: Path | None = None,
) -> ModelFile:
    """Reads a model: a .keras or .h5 file, a SavedModel, a KerasHub preset, ONNX or TFLite.

    Files of Keras 2 are read by Keras 2 (the package tf-keras), which wrote them. ONNX and
    TensorFlow Lite files are run by libraries of their own, and are black boxes.

    Args:
        path: The file or folder.
        output: The name of the output with the class scores, if there are several.
        unsafe: Whether to read the file even if it contains code.
        custom_objects: A Python file with the classes and functions that the model needs.
            It is executed, so it needs `unsafe`.

    Raises:
        MissingExtraError: The library that runs the file isn't installed.
        ModelFileError: The file isn't a complete model, or can't be read.
        UnsafeModelError: The file contains code, and `unsafe` isn't set.
        UnsupportedModelError: The model has no input.
        UsageError: The model needs no custom objects.
    """
    if custom_objects is not None and not unsafe:
        raise UnsafeModelError(f"--custom-objects runs the code in {custom_objects}; add --unsafe")
    if custom_objects is not None and (path / GRAPH_FILE).is_file():
        raise UsageError(
            f"--custom-objects {custom_objects}: a SavedModel is a graph, which needs no code; "
            f"leave it out"
        )
    if custom_objects is not None and path.suffix.lower() in BLACK_BOX_FORMATS:
        raise UsageError(
            f"--custom-objects {custom_objects}: an {path.suffix} file is a graph, which needs no "
            f"code; leave it out"
        )
    objects = {} if custom_objects is None else _load_objects(custom_objects)
    if path.is_dir():
        _check_downloaded(path)
        if (path / GRAPH_FILE).is_file():
            return ModelFile(_read_saved_model(path, output, unsafe))
        if not is_preset(path):
            raise ModelFileError(
                f"--model {path}: this folder is neither a SavedModel (no {GRAPH_FILE}) nor a "
                f"KerasHub preset (no {CONFIG_FILE})"
            )
        # A preset stores no loss; KerasHub compiles it with one of its own.
        return describe_keras_model(load_preset(path, objects, unsafe), {}, output)
    if path.suffix.lower() in BLACK_BOX_FORMATS:
        return _read_black_box(path, output)
    if path.suffix.lower() in OTHER_FORMATS:
        suffix = path.suffix.lower()
        remedy = "save the whole model in Keras with model.save('model.keras')"
        if suffix in _OF_PYTORCH:
            remedy = "export it with torch.onnx.export(model, pictures, 'model.onnx')"
        raise ModelFileError(f"{path}: {OTHER_FORMATS[suffix]}; {remedy}")
    model, training = _load_keras_model(path, objects, unsafe)
    return describe_keras_model(model, training, output)


def describe_keras_model(
    model: keras.Model, training: Any = None, output: str | None = None
) -> ModelFile:
    """Describes a model of Keras as if it had been read from a file.

    Args:
        model: The model, of Keras 3 or 2, which isn't changed.
        training: As for `gradcam_cli.models.task_detection.task_evidence`.
        output: The name of the output with the class scores, if there are several.

    Raises:
        UnsupportedModelError: It is a detector of an unknown kind.
    """
    evidence = task_evidence(model, training, output)
    stored, decoder = find_preparation(model), find_decoder(model)
    if stored is not None or decoder is not None:
        model = without_preprocessor(model)
    network = KerasNetwork(model, output, is_detector=decoder is not None)
    return ModelFile(network, stored, evidence, decoder=decoder)


def _read_black_box(path: Path, output: str | None) -> ModelFile:
    # Most users have no such files.
    if path.suffix.lower() == ".onnx":
        from gradcam_cli.models.onnx_file import read_onnx as read
    else:
        from gradcam_cli.models.tflite_file import read_tflite as read
    network, found = read(path, output)
    return ModelFile(network, found.stored, names=found.names)


def _check_downloaded(folder: Path) -> None:
    """Refuses a SavedModel or preset of which Git LFS hasn't downloaded a file."""
    for pattern in ("*", "variables/*"):
        for file in sorted(folder.glob(pattern)):
            if starts_as_lfs_pointer(file):
                raise ModelFileError(f"{file}: {LFS_POINTER}")


def _load_keras_model(path: Path, objects: dict[str, Any], unsafe: bool) -> tuple[keras.Model, Any]:
    """Loads a model, and its training configuration as plain values."""
    stored = read_architecture(path, unsafe)
    is_new = stored.keras_version.startswith("3")
    library = keras if is_new else importlib.import_module("tf_keras")
    objects = admit(path, stored.config, objects, unsafe, library=library)
    try:
        model = library.models.load_model(path, objects, compile=False, safe_mode=not unsafe)
        return model, stored.training or {}
    # Missing or damaged parts cause many kinds of errors deep inside Keras.
    except Exception as error:
        custom = custom_names(stored.config) - objects.keys()
        if custom:
            raise needs_code(path, custom) from error
        reason = str(error).strip().partition("\n")[0]
        hint = _how_to_read(stored.keras_version, library)
        raise ModelFileError(f"{path}: Keras cannot read this model ({reason}){hint}") from error


def _how_to_read(written_by: str, library: Any) -> str:
    """Says what helps if a newer Keras than the one that is installed wrote a file."""
    written, installed = (
        tuple(map(int, re.findall(r"\d{1,4}", version)[:2]))
        for version in (written_by, library.__version__)
    )
    if written <= installed:
        return ""
    newer, older = (".".join(map(str, version)) for version in (written, installed))
    package = library.__name__.replace("_", "-")
    return f"; Keras {newer} wrote it and {older} is installed: pip install --upgrade {package}"


def _load_objects(path: Path) -> dict[str, Any]:
    """Runs a Python file and collects the classes and functions that it defines."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelFileError(f"--custom-objects {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ModelFileError(
            f"--custom-objects {path}: fails with {type(error).__name__}: {error}"
        ) from error
    return {
        name: value
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def _read_saved_model(path: Path, output: str | None, unsafe: bool) -> GraphNetwork:
    if not unsafe:
        check_saved_model(path)
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelFileError(f"{path}: damaged, or not a SavedModel ({reason})") from error
    if not loaded.signatures:
        raise ModelFileError(f"{path}: the SavedModel has no signature; export it for serving")
    signatures = loaded.signatures
    function = signatures.get(_DEFAULT_SIGNATURE) or next(iter(signatures.values()))
    _, inputs = function.structured_input_signature
    if not inputs:
        raise UnsupportedModelError(f"{path}: the model has no input")
    return GraphNetwork(path.resolve().name, function, output)
