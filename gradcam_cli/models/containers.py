"""Checks the files that models are stored in: their real format and their contents.

A file can be two things at once, such as HDF5 with a zip archive at its end. So the first bytes
decide the format once. The name has to agree, because Keras goes by the name. The size of the
content is checked before unpacking: a file of one megabyte can contain gigabytes of zeros.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import mmap
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from gradcam_cli.errors import GradcamError, ModelFileError, UnsafeModelError, reason
from gradcam_cli.files.text import LFS_POINTER, is_lfs_pointer

_ZIP_START, _HDF5_START = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_BEGINNING = 64
_ZIP_ENDINGS: tuple[str, ...] = (".keras",)
_HDF5_ENDINGS = (".h5", ".hdf5")
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MEMBERS = frozenset({_CONFIG, _METADATA, _WEIGHTS})
# The architecture of EfficientNetV2L has 1.2 MB.
_MOST_JSON = 32 * 2**20
# Each level of nested models takes five levels of JSON.
_DEEPEST = 200
# Trained weights hardly compress; zeros and pruned weights do. Anything that unpacks to less than
# the second limit is harmless.
_MOST_UNPACKED = 50
_HARMLESS = 64 * 2**20
_AT_ONCE = 2**16
_MOST_STRINGS = 2**30
_HEAP = re.compile(rb"GCOL\x01\0\0\0(.{8})", re.DOTALL)


@dataclass(frozen=True)
class StoredArchitecture:
    """The description of a model in its file.

    Attributes:
        config: The architecture, as serialized by Keras.
        keras_version: The version of Keras that wrote it.
        training: The options of ``compile()``, as JSON; None if the model wasn't compiled, or
            they can't be read.
    """

    config: Any
    keras_version: str
    training: Any = None


def read_architecture(path: Path, unsafe: bool = False) -> StoredArchitecture:
    """Reads the architecture from a .keras or .h5 file, and checks the rest of the file.

    Args:
        path: The file.
        unsafe: Whether it may contain and refer to anything, and unpack to any size.

    Raises:
        ModelFileError: The file isn't a complete model, or is damaged.
        UnsafeModelError: The file isn't what its name says, refers to other files, or unpacks
            to far more than its size.
    """
    with _model_file_errors(path, "not a Keras model"):
        is_zip = _is_zip(path)
        if not unsafe:
            _check(path, is_zip)
        return _read_zip(path) if is_zip else _read_hdf5(path)


def check_weights(path: Path) -> None:
    """Checks a weights file like `read_architecture` does.

    Args:
        path: A .h5 or .keras file.

    Raises:
        ModelFileError: The file is damaged, or not a weights file.
        UnsafeModelError: As for `read_architecture`.
    """
    with _model_file_errors(path, "no weights"):
        _check(path, _is_zip(path))


def read_json(path: Path) -> Any:
    """Reads a JSON file of a model that consists of several files.

    Raises:
        ModelFileError: The file can't be read, isn't JSON, or is far too large.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_JSON + 1)
        _check_json_size(path, path.name, len(content))
        return _parse(content)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: damaged, or can't be read ({reason(error)})") from error


def _parse(text: str | bytes) -> Any:
    content = json.loads(text)
    level = [content]
    for _ in range(_DEEPEST):
        level = [
            part
            for whole in level
            if isinstance(whole, dict | list)
            for part in (whole.values() if isinstance(whole, dict) else whole)
        ]
    # Deeper nesting would exhaust the recursion of Keras, and of our own checks.
    if level:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    return content


@contextmanager
def _model_file_errors(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except GradcamError:
        raise
    # A damaged archive can raise many kinds of errors.
    except Exception as error:
        raise ModelFileError(f"{path}: damaged, or {what} ({reason(error)})") from error


def _check(path: Path, is_zip: bool) -> None:
    if is_zip:
        with zipfile.ZipFile(path) as archive:
            _check_archive(path, archive)
    else:
        with (
            h5py.File(path, "r") as file,
            open(path, "rb") as raw,
            mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            _check_hdf5(path, file, content)


def _is_zip(path: Path) -> bool:
    if not path.is_file():
        raise ModelFileError(f"{path}: not a file")
    with open(path, "rb") as file:
        start = file.read(_BEGINNING)
    if is_lfs_pointer(start):
        raise ModelFileError(f"{path}: {LFS_POINTER}")
    if start.startswith(_ZIP_START):
        kind, endings = "a zip archive, as .keras files are", _ZIP_ENDINGS
    elif start.startswith(_HDF5_START):
        kind, endings = "HDF5, as .h5 files are", _HDF5_ENDINGS
    else:
        raise ModelFileError(
            f"{path}: damaged, or not a Keras model or its weights; expected a .keras or .h5 file "
            f"or a SavedModel folder"
        )
    # Keras goes by the name, and its case matters.
    if not path.name.endswith(endings):
        raise ModelFileError(
            f"{path}: is {kind}, but its name doesn't say so; rename it to {path.stem}{endings[0]}"
        )
    return endings is _ZIP_ENDINGS


def _read_zip(path: Path) -> StoredArchitecture:
    with zipfile.ZipFile(path) as archive:
        version = json.loads(archive.read(_METADATA))["keras_version"]
        config = _parse(archive.read(_CONFIG))
        # Keras doesn't read the training configuration either, because of ``compile=False``.
        training = config.pop("compile_config", None)
        return StoredArchitecture(config, str(version), training)


def _read_hdf5(path: Path) -> StoredArchitecture:
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ModelFileError(
                f"{path}: contains weights without an architecture; name the model with --model "
                f"and give this file with --weights"
            )
        config = file.attrs["model_config"]
        version = file.attrs.get("keras_version", "2")
        training = None
        # The model can be explained without it.
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            training = _parse(file.attrs.get("training_config", "null"))
        return StoredArchitecture(_parse(config), str(version), training)


def _check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    others = sorted({entry.filename for entry in archive.infolist()} - _MEMBERS)
    if others:
        raise UnsafeModelError(
            f"{path}: refused, it contains {others[0]}, which is no part of a network for "
            f"pictures; if you trust the file, add --unsafe"
        )
    if len(archive.infolist()) > len(set(archive.namelist())):
        raise ModelFileError(f"{path}: damaged, it contains the same file several times")
    for entry in archive.infolist():
        # Other methods unpack everything at once, whatever size the archive states.
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelFileError(
                f"{path}: its {entry.filename} is compressed in a way that Keras doesn't use; "
                f"save the model again"
            )
        if entry.filename != _WEIGHTS:
            _check_json_size(path, entry.filename, entry.file_size)
            _unpack(path, archive, entry)
            continue
        _check_unpacked(path, entry.file_size, path.stat().st_size)
        # Seeking back in an archive means reading it again from its start, and Keras reads
        # all of it too.
        weights = _unpack(path, archive, entry)
        with h5py.File(weights, "r") as file, weights.getbuffer() as content:
            _check_hdf5(path, file, content)


def _unpack(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> io.BytesIO:
    """Unpacks a member, unless it is larger than stated: Keras would unpack all of it."""
    unbounded = copy.copy(entry)
    unbounded.file_size += _AT_ONCE
    content = io.BytesIO()
    with archive.open(unbounded) as member:
        while part := member.read(_AT_ONCE):
            content.write(part)
            if content.tell() > entry.file_size:
                raise UnsafeModelError(
                    f"{path}: refused, its {entry.filename} unpacks to more than it states; if "
                    f"you trust the file, add --unsafe"
                )
    content.seek(0)
    return content


def _check_hdf5(path: Path, file: h5py.File, content: memoryview | mmap.mmap) -> None:
    stored = path.stat().st_size
    unpacked = 0
    strings = 0
    for item in (file, *_items(path, file)):
        for name in item.attrs:
            attribute = item.attrs.get_id(name)
            elements = math.prod(attribute.shape or ())
            _check_json_size(path, name, elements * attribute.dtype.itemsize)
            strings = max(strings, elements if attribute.dtype.hasobject else 0)
        if not isinstance(item, h5py.Dataset):
            continue
        if item.external or item.is_virtual:
            raise _refers_elsewhere(path, item.name)
        if item.dtype.hasobject:
            raise UnsafeModelError(
                f"{path}: refused, its dataset {item.name} contains something other than numbers; "
                f"if you trust the file, add --unsafe"
            )
        # A chunk is unpacked as a whole, and may be larger than its data.
        elements = max(math.prod(item.shape or ()), math.prod(item.chunks or (0,)))
        unpacked += elements * item.dtype.itemsize
        _check_unpacked(path, unpacked, stored)
    # A long string may be stored once and referenced by any number of elements.
    if strings > 1 and strings * _longest_string(content) > _MOST_STRINGS:
        raise UnsafeModelError(
            f"{path}: refused, its attributes may unpack to gigabytes; if you trust the file, add "
            f"--unsafe"
        )


def _longest_string(content: memoryview | mmap.mmap) -> int:
    """Returns an upper bound: the size of the largest heap of strings in bytes.

    See "Global Heap" in the HDF5 File Format Specification, version 3.
    """
    return max((int.from_bytes(heap[1], "little") for heap in _HEAP.finditer(content)), default=0)


def _items(path: Path, file: h5py.File) -> Iterator[h5py.Group | h5py.Dataset]:
    pending: list[h5py.Group] = [file]
    seen = set()
    while pending:
        group = pending.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _refers_elsewhere(path, f"{group.name}/{name}")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append(item)
            if isinstance(item, h5py.Group | h5py.Dataset):
                yield item


def _refers_elsewhere(path: Path, name: str) -> UnsafeModelError:
    return UnsafeModelError(
        f"{path}: refused, its {name} is stored elsewhere, maybe in another file; if you trust "
        f"the file, add --unsafe"
    )


def _check_unpacked(path: Path, unpacked: int, stored: int) -> None:
    if unpacked > max(_HARMLESS, _MOST_UNPACKED * stored):
        raise UnsafeModelError(
            f"{path}: refused, its {stored / 1e6:.1f} MB unpack to {unpacked / 1e6:.0f} MB or "
            f"more, as no trained model does; if you trust the file, add --unsafe"
        )


def _check_json_size(path: Path, name: str, size: int) -> None:
    if size > _MOST_JSON:
        raise UnsafeModelError(
            f"{path}: refused, its {name} is larger than {_MOST_JSON // 2**20} MB, as no "
            f"architecture is; if you trust the file, add --unsafe"
        )
