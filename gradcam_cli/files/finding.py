"""Finds the pictures that a user names, as files or by their folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeAlias

from gradcam_cli.files.marks import RESULTS_FOLDER_MARK, is_named_as_result, is_own_result
from gradcam_cli.files.storage import AnyPath, is_folder, is_remote, list_below, to_path
from gradcam_cli.files.video_containers import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from PIL import Image
    from upath import UPath

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
    | {".dcm", ".dicom"}
)
_PACKED = ".gz"
ARRAY_SUFFIX = ".npy"
VOLUME_SUFFIXES = frozenset({".nii", f".nii{_PACKED}"})
WITH_VIDEOS = SUFFIXES | VIDEO_SUFFIXES
STACK_SUFFIXES = WITH_VIDEOS | VOLUME_SUFFIXES
# The picture's path as the user would write it, with the values of the model's other inputs if
# there are any, and the class that is requested for it alone.
PictureKey: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True, eq=False)
class Part:
    """A picture of a file that holds several, in memory.

    Attributes:
        number: Its place in the file, from 0.
        title: What it is, for people: "frame 12".
        image: The picture, as `gradcam_cli.pictures.reading.read_picture` returns one.
    """

    number: int
    title: str
    image: Image.Image


@dataclass(frozen=True)
class InputPicture:
    """A picture to explain.

    Attributes:
        path: The file as the user would write it.
        folder: Its folder relative to the folder that the user named; empty if the user named
            the file itself.
        target: The class to explain, as the user wrote it; None for the class of the run.
        values: The values of the model's other inputs, by name, as the user wrote them. Before
            the model is known, all further columns of a list.
        redo: Whether to explain it even if its results exist, because something else of it is
            missing.
        files: If it is a series of DICOM files, these; `path` is then their folder, or the first
            of them if the folder holds others too.
        part: If the file holds several pictures, the one to explain; None for a file with one.
    """

    path: AnyPath
    folder: Path
    target: str | None = None
    values: tuple[tuple[str, str], ...] = ()
    redo: bool = False
    files: tuple[AnyPath, ...] = ()
    part: Part | None = None

    @property
    def name(self) -> str:
        """What messages call it: "clip.mp4, frame 12"."""
        return str(self.path) if self.part is None else f"{self.path}, {self.part.title}"

    @property
    def key(self) -> PictureKey:
        """What distinguishes it from the other pictures of a run."""
        return make_key(str(self.path), self.target, dict(self.values))


def ending_of(path: PurePath | UPath) -> str:
    """Returns the extension of a file in lower case; of a packed file both: ".nii.gz"."""
    ending = path.suffix.lower()
    return path.with_suffix("").suffix.lower() + ending if ending == _PACKED else ending


def make_key(path: str, target: str | None, values: Mapping[str, str]) -> PictureKey:
    """Returns what distinguishes a picture from the other pictures of a run.

    Args:
        path: The file as the user would write it.
        target: The class that is requested for it alone.
        values: The values of the model's other inputs.
    """
    # No path contains a null character.
    return f"{path}\0{json.dumps(values, sort_keys=True)}" if values else path, target


def find_pictures(
    paths: Iterable[str | AnyPath], suffixes: frozenset[str] = SUFFIXES
) -> Iterator[InputPicture]:
    """Finds pictures, folder by folder in the order of their names.

    Folders are searched recursively for files with the usual picture extensions. Hidden files and
    files written by this tool are skipped. Each file is found only once, even if it is named
    several times. A path that doesn't exist is yielded too, so that the error is reported when
    it is read. Arrays (.npy) are found in a folder only if it has nothing else to explain,
    because they may be anything.

    Args:
        paths: Local files and folders, or URLs of files and folders in stores.
        suffixes: The extensions of the files to find in folders, in lower case: `SUFFIXES` for
            pictures, `WITH_VIDEOS` for videos too.

    Raises:
        UsageError: No installed package can read this kind of URL.
        StorageError: A folder of a store can't be listed.
    """
    found: set[str] = set()
    for root in map(to_path, paths):
        for picture in _find_or_arrays(root, suffixes):
            path = picture.path
            key = str(path) if is_remote(path) else os.path.realpath(path)
            if key not in found:
                found.add(key)
                yield picture


def _find_or_arrays(root: AnyPath, suffixes: frozenset[str]) -> Iterator[InputPicture]:
    is_empty = True
    for picture in _find(root, suffixes):
        is_empty = False
        yield picture
    if is_empty:
        for array in _find(root, frozenset({ARRAY_SUFFIX})):
            if not is_named_as_result(array.path):
                yield array


def _find(root: AnyPath, suffixes: frozenset[str]) -> Iterable[InputPicture]:
    if is_remote(root):
        # A request to the store is needed only for names that don't look like pictures.
        if ending_of(root) not in suffixes and is_folder(root):
            return _find_in_store(root, suffixes)
    # Path.is_dir raises an error for names that are too long for the system.
    elif os.path.isdir(root):
        return _find_below(root, suffixes)
    return [InputPicture(root, Path())]


def _find_in_store(root: UPath, suffixes: frozenset[str]) -> Iterator[InputPicture]:
    listed = list_below(root)
    results = {parts[:-1] for parts in listed if parts[-1] == RESULTS_FOLDER_MARK}
    for parts in listed:
        if any(part.startswith(".") for part in parts):
            continue
        if any(parts[:depth] in results for depth in range(len(parts))):
            continue
        path = root.joinpath(*parts)
        if ending_of(path) in suffixes and not is_own_result(path):
            yield InputPicture(path, Path(*parts[:-1]))


def _find_below(root: Path, suffixes: frozenset[str]) -> Iterator[InputPicture]:
    unreadable: list[str] = []
    for folder, subfolders, names in os.walk(root, onerror=lambda e: unreadable.append(e.filename)):
        if RESULTS_FOLDER_MARK in names:
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or ending_of(path) not in suffixes:
                continue
            if not is_own_result(path):
                yield InputPicture(path, Path(folder).relative_to(root))
    # They are reported when they are read as pictures.
    for name in unreadable:
        yield InputPicture(Path(name), Path())
