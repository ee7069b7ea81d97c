"""Reads ONNX files, which may come from strangers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradcam_cli.errors import (
    GradcamError,
    ModelFileError,
    UnsafeModelError,
    UnsupportedModelError,
    reason,
)
from gradcam_cli.files.text import LFS_POINTER, starts_as_lfs_pointer
from gradcam_cli.models.black_box_preparation import FoundPreparation, find_preparation
from gradcam_cli.models.input_start import axes_of
from gradcam_cli.models.onnx_graph import OnnxGraph
from gradcam_cli.networks.black_box import BlackBoxNetwork, BoxInput
from gradcam_cli.networks.onnx_network import OnnxSession
from gradcam_cli.runtime.extras import how_to_install, import_extra
from gradcam_cli.runtime.stderr import without_library_messages

_KIND = "an ONNX file"
_EXTRA = "onnx"
# Protobuf, in which ONNX files are written, can't hold more.
_MOST_BYTES = 2 * 10**9
# One gigabyte of float32. Networks of pictures have no larger tensors.
_MOST_VALUES = 2**28
_MOST_AXES = 16
# The domains of the operators that ONNX Runtime brings along.
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
_NO_OPERATOR = re.compile(
    r"(?:implementation for |No Op registered for |No opset import for domain |"
    r"is not a registered function/op[^:]*: ?)([\w.:]+)"
)


def read_onnx(path: Path, output: str | None = None) -> tuple[BlackBoxNetwork, FoundPreparation]:
    """Reads an ONNX file.

    Args:
        path: The file. Its weights may lie in files beside it.
        output: The name of the output with the class scores, if there are several.

    Returns:
        The network, and what was found out about its input.

    Raises:
        MissingExtraError: ONNX Runtime isn't installed.
        ModelFileError: The file can't be read, or ONNX Runtime has not all of its operators.
        UnsafeModelError: It refers to files elsewhere.
        UnsupportedModelError: It takes something else than numbers.
    """
    with without_library_messages():
        import_extra("onnxruntime", _EXTRA, str(path))
        onnx = import_extra("onnx", _EXTRA, str(path))
    try:
        return _read(path, output, onnx)
    except (GradcamError, MemoryError):
        raise
    # A damaged file may hold anything anywhere, such as a name that isn't text.
    except Exception as error:
        raise ModelFileError(f"{path}: damaged, or not valid ONNX ({reason(error)})") from error


def _read(path: Path, output: str | None, onnx: Any) -> tuple[BlackBoxNetwork, FoundPreparation]:
    model = _load(path, onnx)
    onnx.checker.check_model(model)
    graph = OnnxGraph(model)
    _check_sizes(path, model, graph)
    activations = {}
    names = {}
    for one in [one.name for one in model.graph.output]:
        last = graph.leave_out_activation(one)
        if last is not None:
            names[last[0]], activations[one] = one, last[1]
    parameters = sum(values.size for _, _, values in graph.weights())
    session = _open(path, model.SerializeToString(), names)
    weights = [*graph.weights()]
    beginnings = [graph.beginning(port) for port in session.inputs]
    inputs = [
        BoxInput(port, axes_of(port.shape, beginning), beginning.channels)
        for port, beginning in zip(session.inputs, beginnings, strict=True)
    ]
    chosen = next((number for number, one in enumerate(inputs) if one.axes), 0)
    found = find_preparation(
        path,
        channels=inputs[chosen].described().shape[-1] if inputs[chosen].axes else None,
        channels_first=inputs[chosen].has_channels_first,
        arithmetic=beginnings[chosen].arithmetic,
        quantized=beginnings[chosen].quantized,
        takes_pixels=inputs[chosen].port.is_integer,
        metadata={one.key: one.value for one in model.metadata_props},
        names=graph.names(),
    )
    inputs[chosen] = replace(inputs[chosen], is_reversed=found.is_reversed)
    network = BlackBoxNetwork(
        path.name,
        _KIND,
        session,
        inputs,
        output=output,
        activations=activations,
        parameters=parameters,
        weights=lambda: iter(weights),
        metadata={one.key: one.value for one in model.metadata_props},
    )
    return network, found


def _load(path: Path, onnx: Any) -> Any:
    """Reads the file and the weights beside it, within limits."""
    if starts_as_lfs_pointer(path):
        raise ModelFileError(f"{path}: {LFS_POINTER}")
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ModelFileError(
                f"{path}: has {size:,} bytes; ONNX files of up to {_MOST_BYTES:,} can be read"
            )
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ModelFileError(f"{path}: can't be read ({reason(error)})") from error
    if not model.HasField("graph") or not model.graph.output:
        raise ModelFileError(f"{path}: damaged, or not an ONNX file (it has no graph)")
    _check_operators(path, model)
    _load_beside(path, model, size, onnx)
    return model


def _check_operators(path: Path, model: Any) -> None:
    """Refuses operators that only a library of the author's own could run."""
    own = {(one.domain, one.name) for one in model.functions}
    for graph in _graphs(model):
        for node in graph.node:
            if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own:
                raise ModelFileError(
                    f"{path}: uses the operator {node.op_type} of {node.domain}, which ONNX "
                    f"Runtime doesn't have; export the model with standard operators"
                )


def _check_sizes(path: Path, model: Any, graph: OnnxGraph) -> None:
    """Refuses constants that take few bytes in the file and fill the memory."""
    sizes = [
        math.prod(sparse.dims)
        for one in _graphs(model)
        for sparse in getattr(one, "sparse_initializer", ())
    ]
    for node in model.graph.node:
        shape = graph.constant(node.input[0]) if node.op_type == "ConstantOfShape" else None
        if shape is not None:
            sizes.append(math.prod(int(length) for length in shape.ravel()[:_MOST_AXES]))
    largest = max(sizes, default=0)
    if largest > _MOST_VALUES:
        raise UnsafeModelError(
            f"{path}: refused, a constant of it has {largest:,} values, which would fill the memory"
        )


def _load_beside(path: Path, model: Any, size: int, onnx: Any) -> None:
    """Loads the weights that lie in files beside the model.

    Raises:
        UnsafeModelError: A file is elsewhere.
        ModelFileError: One is missing or too large.
    """
    folder = path.resolve().parent
    files = {}
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        place = next((one.value for one in tensor.external_data if one.key == "location"), "")
        file = folder / place
        if (
            not place
            or Path(place).is_absolute()
            or ".." in Path(place).parts
            or not file.resolve().is_relative_to(folder)
        ):
            raise UnsafeModelError(
                f"{path}: refused, its weights are in {place or 'a file without a name'}, which "
                f"isn't beside it"
            )
        if not file.is_file():
            raise ModelFileError(
                f"{path}: its weights are in {place}, which is missing; put this file beside it"
            )
        if starts_as_lfs_pointer(file):
            raise ModelFileError(f"{file}: {LFS_POINTER}")
        files[place] = file.stat().st_size
    if not files:
        return
    total = size + sum(files.values())
    if total > _MOST_BYTES:
        raise ModelFileError(
            f"{path}: has {total:,} bytes with its weights; up to {_MOST_BYTES:,} can be read"
        )
    try:
        onnx.load_external_data_for_model(model, str(folder))
    except Exception as error:
        raise ModelFileError(
            f"{path}: its weights beside it can't be read ({reason(error)})"
        ) from error


def _graphs(model: Any) -> Iterator[Any]:
    """Yields the graph, the functions and all graphs inside of them."""
    pending = [model.graph, *model.functions]
    while pending:
        graph = pending.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                pending.extend([attribute.g] if attribute.HasField("g") else [])
                pending.extend(attribute.graphs)


def _tensors(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                if attribute.HasField("sparse_tensor"):
                    yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)


def _open(path: Path, content: bytes, names: dict[str, str]) -> OnnxSession:
    try:
        return OnnxSession(content, names)
    except MemoryError:
        raise
    except ValueError as error:
        raise UnsupportedModelError(f"{path}: {error}") from error
    # ONNX Runtime's errors have no common class.
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        unknown = _NO_OPERATOR.search(text)
        if unknown is not None:
            raise ModelFileError(
                f"{path}: uses the operator {unknown[1]}, which this ONNX Runtime doesn't have; "
                f"export the model with a usual opset, such as 17, or update it: "
                f"{how_to_install(_EXTRA)} --upgrade"
            ) from error
        raise ModelFileError(f"{path}: ONNX Runtime can't load it ({text})") from error
