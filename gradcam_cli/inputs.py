"""Finds the pictures that a user names, one by one or by their folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gradcam_cli.images import SUFFIXES
from gradcam_cli.provenance import RESULTS_FOLDER_MARK, is_own_result


@dataclass(frozen=True)
class InputPicture:
    """A picture to be explained.

    Attributes:
        path: The file as the user would name it.
        folder: Its folder below the one that was named; empty if the file itself was.
    """

    path: Path
    folder: Path


def find_pictures(paths: Iterable[str | Path]) -> Iterator[InputPicture]:
    """Finds the pictures that are meant, folder by folder in the order of their names.

    Folders are searched with all below them for the usual endings of picture files.
    Hidden files, and what this tool wrote itself, are passed over. Each file comes once,
    however often it is named. A path that doesn't exist is passed on, so that it is
    reported where it would have been read.

    Args:
        paths: Files and folders.
    """
    found: set[str] = set()
    for root in map(Path, paths):
        for picture in _find_below(root) if root.is_dir() else [InputPicture(root, Path())]:
            identity = os.path.realpath(picture.path)
            if identity not in found:
                found.add(identity)
                yield picture


def _find_below(root: Path) -> Iterator[InputPicture]:
    for folder, subfolders, names in os.walk(root):
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
