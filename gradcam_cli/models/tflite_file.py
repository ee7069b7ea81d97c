"""Reads TensorFlow Lite files, which may come from strangers."""

from __future__ import annotations

import importlib
import math
import struct
import zlib
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from gradcam_cli.errors import ModelFileError, UnsafeModelError, UnsupportedModelError, reason
from gradcam_cli.files.text import LFS_POINTER, starts_as_lfs_pointer
from gradcam_cli.models.black_box_preparation import FoundPreparation, find_preparation
from gradcam_cli.models.input_start import Arithmetic, axes_of, step_with
from gradcam_cli.networks.black_box import BlackBoxNetwork, BoxInput
from gradcam_cli.networks.tflite_network import TfliteInterpreters
from gradcam_cli.runtime.extras import import_extra
from gradcam_cli.runtime.stderr import without_library_messages

_KIND = "a TensorFlow Lite file"
_IDENTIFIER = b"TFL3"
# Flatbuffers, in which these files are written, can't hold more.
_MOST_BYTES = 2**31 - 1
# One gigabyte of float32. Networks of pictures have no larger tensors.
_MOST_VALUES = 2**28
_LONGEST_LABELS = 10_000_000
_FLEX = "Flex"
# The end of the detectors that TensorFlow's API for object detection exports. LiteRT has it.
_DETECTIONS = "TFLite_Detection_PostProcess"
_NUMBERS_OF_DETECTIONS = ("max_detections", "max_classes_per_detection", "detections_per_class")
_MOST_DETECTIONS = 10_000
_ACTIVATIONS = {"SOFTMAX": "Softmax", "LOG_SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}
# Operations after the last activation that leave the numbers as they are.
_TRANSPARENT = frozenset({"CAST", "DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE"})
_ARITHMETIC = frozenset({"ADD", "DIV", "MUL", "SUB"})
_BEFORE = frozenset({"CAST", "DEQUANTIZE", "PAD", "QUANTIZE", "RESIZE_BILINEAR"}) | _ARITHMETIC
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
# Types of tensors in the schema: float32; int32 and int64.
_FLOAT = 0
_WHOLE = (2, 4)


@dataclass(frozen=True)
class _Operation:
    """One operation of the main graph.

    Attributes:
        kind: Its name in the schema, such as "CONV_2D".
        inputs: The indices of its input tensors.
        outputs: Those of its output tensors.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class _Structure:
    """What a file says about its main graph.

    Attributes:
        operations: Its operations, in their order.
        parameters: The number of values in its constants.
        activations: The operations, "Softmax" or "Sigmoid", that were left out before outputs, by
            the number of the output.
        arithmetic: What it computes first with its first input; None for nothing.
        quantized: The (lowest, highest) value that its first quantization of the first input can
            hold; None if there is none.
        names: The names of the layers in the names of its tensors, as Keras writes them.
        reach: How far values from 0 to 1 can move the outputs of its first convolution; None if
            it doesn't begin with one.
    """

    operations: list[_Operation]
    parameters: int
    activations: dict[int, str]
    arithmetic: Arithmetic | None
    quantized: tuple[float, float] | None
    names: set[str]
    reach: float | None


def read_tflite(path: Path, output: str | None = None) -> tuple[BlackBoxNetwork, FoundPreparation]:
    """Reads a TensorFlow Lite file.

    Args:
        path: The file.
        output: The name of the output with the class scores, if there are several.

    Returns:
        The network, and what was found out about its input.

    Raises:
        MissingExtraError: LiteRT isn't installed.
        ModelFileError: The file can't be read, or LiteRT has not all of its operations.
        UnsafeModelError: It refers to other files.
        UnsupportedModelError: It takes something else than numbers.
    """
    with without_library_messages():
        import_extra("ai_edge_litert.interpreter", "tflite", str(path))
    content = _read(path)
    try:
        structure = _look(path, content)
    # Any offset of a damaged file may point anywhere.
    except (ValueError, IndexError, TypeError, OverflowError, struct.error) as error:
        raise ModelFileError(
            f"{path}: damaged, or not a TensorFlow Lite file ({reason(error)})"
        ) from error
    interpreters = _open(path, bytes(content))
    ports = interpreters.inputs
    inputs = [BoxInput(port, axes_of(port.shape, first="NHWC")) for port in ports]
    chosen = next((number for number, one in enumerate(inputs) if one.axes), 0)
    found = find_preparation(
        path,
        channels=inputs[chosen].described().shape[-1] if inputs[chosen].axes else None,
        channels_first=inputs[chosen].has_channels_first,
        arithmetic=structure.arithmetic,
        quantized=interpreters.ranges()[chosen] or (None if chosen else structure.quantized),
        takes_pixels=inputs[chosen].port.is_integer and interpreters.ranges()[chosen] is None,
        names=structure.names,
        reach=None if chosen else structure.reach,
    )
    inputs[chosen] = replace(inputs[chosen], is_reversed=found.is_reversed)
    network = BlackBoxNetwork(
        path.name,
        _KIND,
        interpreters,
        inputs,
        output=output,
        activations={
            interpreters.outputs[number].name: kind
            for number, kind in structure.activations.items()
        },
        parameters=structure.parameters,
    )
    return network, found if found.names else replace(found, names=_labels_inside(content))


def _labels_inside(content: bytearray) -> tuple[str, ...]:
    """Reads the names of the classes that TensorFlow Lite's tools append to a file, as a ZIP.

    Returns:
        The names; empty if there are none, or if they can't be read.
    """
    try:
        with ZipFile(BytesIO(content)) as archive:
            lists = [
                one
                for one in archive.infolist()
                if "label" in one.filename.lower() and one.filename.lower().endswith(".txt")
            ]
            if not lists:
                return ()
            # Names in other languages have longer file names, such as "labels-en.txt".
            chosen = min(lists, key=lambda one: (len(one.filename), one.filename))
            with archive.open(chosen) as file:
                text = file.read(_LONGEST_LABELS + 1)
        if len(text) > _LONGEST_LABELS:
            return ()
        return tuple(line.strip() for line in text.decode("utf-8-sig").strip().splitlines())
    # Any part of it may be damaged, locked or compressed in an unknown way.
    except (BadZipFile, EOFError, OSError, RuntimeError, ValueError, zlib.error):
        return ()


def _read(path: Path) -> bytearray:
    if starts_as_lfs_pointer(path):
        raise ModelFileError(f"{path}: {LFS_POINTER}")
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ModelFileError(
                f"{path}: has {size:,} bytes; TensorFlow Lite files have at most {_MOST_BYTES:,}"
            )
        content = bytearray(path.read_bytes())
    except OSError as error:
        raise ModelFileError(f"{path}: can't be read ({reason(error)})") from error
    if content[4:8] != _IDENTIFIER:
        raise ModelFileError(f"{path}: damaged, or not a TensorFlow Lite file (no {_IDENTIFIER!r})")
    return content


def _look(path: Path, content: bytearray) -> _Structure:
    """Reads the main graph, and moves outputs to before their softmax or sigmoid.

    Args:
        path: The file, for messages.
        content: Its content. The index of an output's tensor is changed in place.
    """
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = schema.Model.GetRootAs(content, 0)
    if model.ExternalBufferGroupsLength():
        raise UnsafeModelError(
            f"{path}: refused, its weights are in other files; convert the model into one file"
        )
    kinds = []
    for number in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(number)
        value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if value == schema.BuiltinOperator.CUSTOM:
            kind = (code.CustomCode() or b"").decode(errors="replace")
            if kind != _DETECTIONS:
                _refuse_custom(path, kind)
            kinds.append(kind)
        else:
            kinds.append(names.get(value, str(value)))
    graph = model.Subgraphs(0)
    if graph is None:
        raise ValueError("it has no graph")
    operations = []
    for number in range(graph.OperatorsLength()):
        one = graph.Operators(number)
        if kinds[one.OpcodeIndex()] == _DETECTIONS:
            _check_detections(one.CustomOptionsAsNumpy())
        operations.append(
            _Operation(
                kinds[one.OpcodeIndex()],
                _indices(one.Inputs, one.InputsLength()),
                _indices(one.Outputs, one.OutputsLength()),
            )
        )
    parameters = 0
    layers: set[str] = set()
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        layers.update(_layers_in((tensor.Name() or b"").decode(errors="replace")))
        values = math.prod(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))
        if not 0 <= values <= _MOST_VALUES:
            # LiteRT would reserve the memory and compute for hours.
            raise ValueError(f"one of its tensors has {values:,} values")
        # Whole numbers that stand for themselves are sizes and axes.
        is_index = tensor.Type() in _WHOLE and not _is_quantized(tensor)
        if model.Buffers(tensor.Buffer()).DataLength() and not is_index:
            parameters += values
    makers = {index: one for one in operations for index in one.outputs}
    activations = {}
    outputs = graph.OutputsAsNumpy()
    for number in range(graph.OutputsLength()):
        index = graph.Outputs(number)
        for _ in operations:
            maker = makers.get(index)
            if maker is None or not maker.inputs:
                break
            index = maker.inputs[0]
            if maker.kind in _ACTIVATIONS:
                activations[number] = _ACTIVATIONS[maker.kind]
                outputs[number] = index
                break
            if maker.kind not in _TRANSPARENT:
                break
    start = graph.Inputs(0) if graph.InputsLength() else -1
    arithmetic = _arithmetic(model, graph, operations, start)
    first = next((one for one in operations if start in one.inputs), None)
    quantized = None if first is None else _first_range(schema, graph, first)
    reach = None if first is None else _reach(schema, model, graph, operations, first)
    return _Structure(operations, parameters, activations, arithmetic, quantized, layers, reach)


def _layers_in(name: str) -> set[str]:
    """Returns the names of layers in that of a tensor, also without the number of a copy.

    Keras appends "_1" where it exports a model.
    """
    parts = {part for one in name.split(";") for part in one.split("/")}
    return parts | {part.removesuffix("_1") for part in parts}


def _check_detections(options: Any) -> None:
    """Refuses a choice of boxes that would need much memory.

    Raises:
        ValueError: Its options are damaged, or ask for too many boxes.
    """
    flexbuffers = importlib.import_module("flatbuffers.flexbuffers")
    values = flexbuffers.Loads(bytes(options)) if isinstance(options, np.ndarray) else None
    if not isinstance(values, dict):
        raise ValueError(f"{_DETECTIONS} has no options")
    numbers = [int(values.get(name, 1)) for name in _NUMBERS_OF_DETECTIONS]
    if not all(0 < one <= _MOST_DETECTIONS for one in numbers) or (
        math.prod(numbers[:2]) > _MOST_DETECTIONS
    ):
        raise ValueError(f"{_DETECTIONS} asks for {max(numbers):,} boxes")


def _first_range(schema: Any, graph: Any, first: _Operation) -> tuple[float, float] | None:
    """Returns the range of values to which an input of real numbers is quantized at once.

    Args:
        schema: LiteRT's module of that name.
        graph: The main graph.
        first: The first operation with the input.
    """
    if first.kind != "QUANTIZE":
        return None
    tensor = graph.Tensors(first.outputs[0])
    kinds = schema.TensorType
    names = {kinds.INT8: "int8", kinds.UINT8: "uint8", kinds.INT16: "int16"}
    dtype = names.get(tensor.Type())
    quantization = tensor.Quantization()
    if dtype is None or not _is_quantized(tensor) or not quantization.ZeroPointLength():
        return None
    scale, zero = float(quantization.Scale(0)), int(quantization.ZeroPoint(0))
    limits = np.iinfo(np.dtype(dtype))
    return (limits.min - zero) * scale, (limits.max - zero) * scale


def _is_quantized(tensor: Any) -> bool:
    quantization = tensor.Quantization()
    return quantization is not None and quantization.ScaleLength() > 0


def _indices(read: Any, number: int) -> tuple[int, ...]:
    return tuple(int(read(place)) for place in range(number))


def _refuse_custom(path: Path, name: str) -> None:
    if name.startswith(_FLEX):
        raise ModelFileError(
            f"{path}: needs the operation {name.removeprefix(_FLEX)} of TensorFlow itself, which "
            f"LiteRT doesn't have; convert the model with TFLITE_BUILTINS alone, or explain the "
            f"model that it was made from"
        )
    raise ModelFileError(
        f"{path}: uses the custom operation {name}, which LiteRT doesn't have; convert the model "
        f"without it"
    )


def _arithmetic(
    model: Any, graph: Any, operations: list[_Operation], start: int
) -> Arithmetic | None:
    """Finds what the main graph computes with its first input before anything else."""
    found = None
    tensor = start
    for one in operations:
        if tensor not in one.inputs:
            continue
        if one.kind not in _BEFORE or not one.outputs:
            break
        if one.kind in _ARITHMETIC and len(one.inputs) > 1:
            is_first = one.inputs[0] == tensor
            constant = _constant(model, graph.Tensors(one.inputs[1 if is_first else 0]))
            if constant is None:
                break
            step = step_with(one.kind.title(), constant, is_first=is_first)
            joined = step if found is None or step is None else found.followed_by(step)
            if joined is None:
                break
            found = joined
        tensor = one.outputs[0]
    return found


def _reach(
    schema: Any, model: Any, graph: Any, operations: list[_Operation], first: _Operation
) -> float | None:
    """Returns how far values from 0 to 1 can move an output of the first convolution.

    Args:
        schema: LiteRT's module of that name.
        model: The file.
        graph: The main graph.
        operations: Its operations.
        first: The first of them with the input.

    Returns:
        The sum of the absolute weights of a filter, the median of all filters; None if the graph
        doesn't begin with a convolution.
    """
    if first.kind not in _CONVOLUTIONS or len(first.inputs) < 2:
        return None
    index = first.inputs[1]
    for one in operations:
        # Weights of float16 are converted by an operation of their own.
        if one.kind == "DEQUANTIZE" and index in one.outputs:
            index = one.inputs[0]
            break
    tensor = graph.Tensors(index)
    kinds = schema.TensorType
    dtype = {kinds.FLOAT32: np.float32, kinds.FLOAT16: np.float16, kinds.INT8: np.int8}.get(
        tensor.Type()
    )
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    if dtype is None or not isinstance(data, np.ndarray):
        return None
    axis = 0 if first.kind == _CONVOLUTIONS[0] else 3
    shape = [tensor.Shape(number) for number in range(tensor.ShapeLength())]
    weights = np.moveaxis(data.view(dtype).reshape(shape), axis, 0).astype(np.float64)
    sums = np.abs(weights).reshape(len(weights), -1).sum(axis=1)
    if dtype is np.int8:
        if not _is_quantized(tensor):
            return None
        sums = sums * np.resize(tensor.Quantization().ScaleAsNumpy(), len(sums))
    return float(np.median(sums))


def _constant(model: Any, tensor: Any) -> np.ndarray | None:
    if tensor.Type() != _FLOAT:
        return None
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    if not isinstance(data, np.ndarray) or not data.size or data.size % 4:
        return None
    values = data.view(np.float32)
    shape = [tensor.Shape(axis) for axis in range(tensor.ShapeLength())]
    return values.reshape(shape)


def _open(path: Path, content: bytes) -> TfliteInterpreters:
    try:
        return TfliteInterpreters(content)
    except MemoryError:
        raise
    # LiteRT raises ValueError for what it can't read and RuntimeError for what it can't prepare.
    except Exception as error:
        if isinstance(error, ValueError) and "not numbers" in str(error):
            raise UnsupportedModelError(f"{path}: {error}") from error
        raise ModelFileError(
            f"{path}: damaged, or LiteRT can't run it ({reason(error)})"
        ) from error
