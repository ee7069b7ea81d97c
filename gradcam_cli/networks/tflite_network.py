"""Runs TensorFlow Lite models with LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from gradcam_cli.networks.black_box import Port
from gradcam_cli.networks.forward import USUAL_LENGTH
from gradcam_cli.runtime.stderr import without_library_messages


@dataclass(frozen=True)
class _Quantization:
    """How whole numbers stand for real ones: (number - zero) times scale."""

    scale: float
    zero: int


class TfliteInterpreters:
    """A model in LiteRT. An interpreter serves one thread at a time, so there may be several.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs.
    """

    def __init__(self, content: bytes) -> None:
        """Loads a model.

        Args:
            content: The file.

        Raises:
            ValueError: LiteRT can't load it, or it takes something else than numbers.
            RuntimeError: LiteRT can't prepare it.
        """
        self._content = content
        self._lock = Lock()
        interpreter = self._make()
        self._idle = [interpreter]
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        self.inputs: Sequence[Port] = [_port(one) for one in self._inputs]
        self.outputs: Sequence[Port] = [_port(one) for one in self._outputs]

    def ranges(self) -> list[tuple[float, float] | None]:
        """Returns the (lowest, highest) value that each input can hold; None if not quantized."""
        found: list[tuple[float, float] | None] = []
        for details in self._inputs:
            quantization = _quantization(details)
            if quantization is None:
                found.append(None)
                continue
            limits = np.iinfo(details["dtype"])
            found.append(
                (
                    (limits.min - quantization.zero) * quantization.scale,
                    (limits.max - quantization.zero) * quantization.scale,
                )
            )
        return found

    def run(self, values: Sequence[np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Runs the model; see `gradcam_cli.networks.black_box.Runtime`."""
        with self._lock:
            interpreter = self._idle.pop() if self._idle else None
        interpreter = interpreter or self._make()
        try:
            return self._run(interpreter, values, outputs)
        finally:
            with self._lock:
                self._idle.append(interpreter)

    def _run(
        self, interpreter: Any, values: Sequence[np.ndarray], outputs: Sequence[str]
    ) -> list[np.ndarray]:
        is_changed = False
        for details, value in zip(interpreter.get_input_details(), values, strict=True):
            if tuple(details["shape"]) != value.shape:
                interpreter.resize_tensor_input(details["index"], value.shape)
                is_changed = True
        if is_changed:
            with without_library_messages():
                interpreter.allocate_tensors()
        for details, value in zip(self._inputs, values, strict=True):
            interpreter.set_tensor(details["index"], _quantized(value, details))
        interpreter.invoke()
        wanted = {port.name: one for port, one in zip(self.outputs, self._outputs, strict=True)}
        return [
            _real(interpreter.get_tensor(wanted[name]["index"]), wanted[name]) for name in outputs
        ]

    def _make(self) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        # It announces its delegate on standard error.
        with without_library_messages():
            # Several batches run in parallel, each in its own thread.
            interpreter = Interpreter(model_content=self._content, num_threads=1)
            for details in interpreter.get_input_details():
                shape = _usual_shape(details)
                if shape is not None:
                    interpreter.resize_tensor_input(details["index"], shape)
            interpreter.allocate_tensors()
        return interpreter


def _usual_shape(details: Any) -> list[int] | None:
    """Returns a shape for an input of any size, which the file stores with sides of 1.

    Few networks can be prepared for a picture of one pixel.
    """
    signature = details.get("shape_signature", ())
    if not any(length < 0 for length in signature[1:]):
        return None
    return [1, *(int(length) if length > 0 else USUAL_LENGTH for length in signature[1:])]


def _port(details: Any) -> Port:
    dtype = np.dtype(details["dtype"])
    if dtype.kind not in "fiub":
        raise ValueError(f"its tensor {details['name']} holds {dtype}, not numbers")
    signature = details.get("shape_signature")
    shape = details["shape"] if signature is None or not len(signature) else signature
    lengths = tuple(int(length) if length > 0 else None for length in shape)
    return Port(details["name"].removesuffix(":0"), lengths, dtype.name)


def _quantization(details: Any) -> _Quantization | None:
    scale, zero = details["quantization"]
    is_integer = np.dtype(details["dtype"]).kind in "iu"
    return _Quantization(float(scale), int(zero)) if scale and is_integer else None


def _quantized(value: np.ndarray, details: Any) -> np.ndarray:
    dtype = np.dtype(details["dtype"])
    if dtype.kind == "f":
        return np.asarray(value, dtype)
    quantization = _quantization(details)
    if quantization is not None:
        value = value / quantization.scale + quantization.zero
    if dtype.kind == "b":
        return value.astype(dtype)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(value), limits.min, limits.max), dtype)


def _real(value: np.ndarray, details: Any) -> np.ndarray:
    quantization = _quantization(details)
    real = value.astype(np.float32)
    if quantization is None:
        return real
    return np.asarray((real - quantization.zero) * quantization.scale, np.float32)
