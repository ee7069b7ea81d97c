"""Finds the pictures that a user names, one by one or by their folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gradcam_cli.files.marks import RESULTS_FOLDER_MARK, is_own_result
from gradcam_cli.files.storage import AnyPath, is_folder, is_remote, list_below, to_path

if TYPE_CHECKING:
    from upath import UPath

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
)
# Its path as the user would name it, and the class that is asked for of it alone.
PictureKey: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True)
class InputPicture:
    """A picture to be explained.

    Attributes:
        path: The file as the user would name it.
        folder: Its folder below the one that was named; empty if the file itself was.
        target: The class to explain, as a user names it; None for what the run says.
        redo: Explain it although its results exist: something else about it is missing.
    """

    path: AnyPath
    folder: Path
    target: str | None = None
    redo: bool = False

    @property
    def key(self) -> PictureKey:
        """What tells it from the other pictures of a run."""
        return str(self.path), self.target


def find_pictures(paths: Iterable[str | AnyPath]) -> Iterator[InputPicture]:
    """Finds the pictures that are meant, folder by folder in the order of their names.

    Folders are searched with all below them for the usual endings of picture files.
    Hidden files, and what this tool wrote itself, are passed over. Each file comes once,
    however often it is named. A path that doesn't exist is passed on, so that it is
    reported where it would have been read.

    Args:
        paths: Files and folders, local or in a store by their URL.

    Raises:
        UsageError: A URL is of a kind that nothing installed can read.
        StorageError: A store can't be asked what is in a folder.
    """
    found: set[str] = set()
    for root in map(to_path, paths):
        for picture in _find(root):
            path = picture.path
            key = str(path) if is_remote(path) else os.path.realpath(path)
            if key not in found:
                found.add(key)
                yield picture


def _find(root: AnyPath) -> Iterable[InputPicture]:
    if is_remote(root):
        # A store is asked about a name only where that doesn't look like a picture's.
        if root.suffix.lower() not in SUFFIXES and is_folder(root):
            return _find_in_store(root)
    # Path.is_dir fails for names that are too long for the system.
    elif os.path.isdir(root):
        return _find_below(root)
    return [InputPicture(root, Path())]


def _find_in_store(root: UPath) -> Iterator[InputPicture]:
    listed = list_below(root)
    results = {parts[:-1] for parts in listed if parts[-1] == RESULTS_FOLDER_MARK}
    for parts in listed:
        if any(part.startswith(".") for part in parts):
            continue
        if any(parts[:depth] in results for depth in range(len(parts))):
            continue
        path = root.joinpath(*parts)
        if path.suffix.lower() in SUFFIXES and not is_own_result(path):
            yield InputPicture(path, Path(*parts[:-1]))


def _find_below(root: Path) -> Iterator[InputPicture]:
    unreadable: list[str] = []
    for folder, subfolders, names in os.walk(root, onerror=lambda e: unreadable.append(e.filename)):
        if RESULTS_FOLDER_MARK in names:
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            if not is_own_result(path):
                yield InputPicture(path, Path(folder).relative_to(root))
    # They are told of where pictures would be read.
    for name in unreadable:
        yield InputPicture(Path(name), Path())
