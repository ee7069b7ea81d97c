"""Runs ONNX models with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_cli.networks.black_box import Port
from gradcam_cli.runtime.cores import MOST_STREAMS, usable_cores
from gradcam_cli.runtime.stderr import without_library_messages

# Their names in ONNX Runtime, without "tensor(...)".
_DTYPES = {
    "float": "float32",
    "float16": "float16",
    "double": "float64",
    "uint8": "uint8",
    "int8": "int8",
    "uint16": "uint16",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
}
_FATAL = 4
_NO_MEMORY = "Failed to allocate memory"


class OnnxSession:
    """A model in ONNX Runtime, which may be run from several threads at once.

    Attributes:
        inputs: Its inputs.
        outputs: Its outputs of numbers. Other types, such as texts and sequences, are left out.
    """

    def __init__(self, content: bytes, named: Mapping[str, str] | None = None) -> None:
        """Loads a model.

        Args:
            content: The file, with all weights in it.
            named: The names by which some of its outputs go here.

        Raises:
            Exception: ONNX Runtime can't load it. The errors have no common class.
            ValueError: An input takes something else than numbers.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Several batches run in parallel, each in its own thread.
        options.intra_op_num_threads = _threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        with without_library_messages():
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        self.inputs: Sequence[Port] = [_port(one) for one in self._session.get_inputs()]
        named = named or {}
        found = [_port(one) for one in self._session.get_outputs() if _dtype(one) is not None]
        self.outputs: Sequence[Port] = [
            replace(one, name=named.get(one.name, one.name)) for one in found
        ]
        self._names = dict(
            zip((one.name for one in self.outputs), (one.name for one in found), strict=True)
        )

    def run(self, values: Sequence[np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        """Runs the model; see `gradcam_cli.networks.black_box.Runtime`."""
        fed = {
            port.name: _converted(value, port.dtype)
            for port, value in zip(self.inputs, values, strict=True)
        }
        wanted = [self._names[one] for one in outputs]
        try:
            found: list[np.ndarray] = self._session.run(wanted, fed)
        # Its errors have no common class.
        except Exception as error:
            if _NO_MEMORY in str(error):
                raise MemoryError(str(error)) from error
            raise
        return found


def _threads() -> int:
    """Returns the number of threads for one batch; see `gradcam_cli.networks.streams`."""
    cores = usable_cores()
    return cores if tf.config.list_physical_devices("GPU") else cores // min(cores, MOST_STREAMS)


def _dtype(node: Any) -> str | None:
    return _DTYPES.get(str(node.type).removeprefix("tensor(").removesuffix(")"))


def _port(node: Any) -> Port:
    dtype = _dtype(node)
    if dtype is None:
        raise ValueError(f"its input {node.name} takes {node.type}, not numbers")
    shape = tuple(
        length if isinstance(length, int) and length > 0 else None for length in node.shape
    )
    return Port(node.name, shape, dtype)


def _converted(value: np.ndarray, dtype: str) -> np.ndarray:
    wanted = np.dtype(dtype)
    if np.issubdtype(wanted, np.integer):
        limits = np.iinfo(wanted)
        value = np.clip(np.rint(value), limits.min, limits.max)
    return value.astype(wanted, copy=False)
