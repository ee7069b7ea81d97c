"""Reads a list of pictures, with an optional class for each."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

from gradcam_cli.errors import ImageError, UsageError, reason, unreadable
from gradcam_cli.files.finding import SUFFIXES, InputPicture, PictureKey, find_pictures
from gradcam_cli.files.storage import AnyPath, is_remote, to_path
from gradcam_cli.files.tables import read_cell
from gradcam_cli.files.text import OtherText, bounded_lines, spellings

STANDARD_INPUT = "-"
_PATH, _CLASS = "path", "class"


def gather_pictures(
    paths: Sequence[str],
    lists: Sequence[str] = (),
    column: str = _PATH,
    *,
    suffixes: frozenset[str] = SUFFIXES,
) -> list[InputPicture]:
    """Finds all pictures that a user names, each once.

    Args:
        paths: Pictures and folders.
        lists: As for `read_manifest`.
        column: As for `read_manifest`.
        suffixes: The extensions of the files to find in folders, in lower case.

    Raises:
        ImageError: There are no pictures.
        UsageError: A list can't be read.
    """
    named: dict[PictureKey, InputPicture] = {}
    listed = (read_manifest(name, column, suffixes) for name in lists)
    for picture in chain(find_pictures(paths, suffixes), *listed):
        named.setdefault(picture.key, picture)
    if not named:
        raise ImageError(
            f"no pictures in {', '.join((*paths, *lists))} "
            f"(looked for {', '.join(sorted(suffixes))})"
        )
    return list(named.values())


def gather_given(pictures: str | AnyPath | Iterable[str | AnyPath]) -> list[InputPicture]:
    """Finds the pictures that a caller in Python names.

    Args:
        pictures: Folders, files or URLs, or one of them.

    Raises:
        ImageError: There are no pictures.
        UsageError: A file doesn't exist.
    """
    if isinstance(pictures, str) or not isinstance(pictures, Iterable):
        pictures = [pictures]
    return gather_pictures([str(path) for path in pictures])


def read_manifest(
    name: str, column: str = _PATH, suffixes: frozenset[str] = SUFFIXES
) -> Iterator[InputPicture]:
    """Finds the pictures in a list.

    Args:
        name: A text file with one picture or folder per line, or a table (CSV) with the column
            "path" and optionally "class" for the class to explain; "-" for standard input.
            Relative paths are relative to the current folder, and their results go into
            folders of the same names. Further columns may be values of the model's inputs.
        column: The column of a table that may take the place of "path".
        suffixes: The extensions of the files to find in folders, in lower case.

    Yields:
        The pictures in the order of the list, each once, or once for each of its classes and
        values.

    Raises:
        UsageError: The file doesn't exist, isn't text, or is a table without paths.
    """
    found: set[PictureKey] = set()
    for row in _read(name, column):
        for picture in find_pictures([row.path], suffixes):
            folder = _own_folder(to_path(row.path), picture)
            listed = replace(picture, folder=folder, target=row.target, values=row.values)
            if listed.key not in found:
                found.add(listed.key)
                yield listed


def _own_folder(named: AnyPath, picture: InputPicture) -> Path:
    """Returns the subfolder of the folder for results into which a picture's results go."""
    if is_remote(named) or named.is_absolute() or ".." in named.parts:
        return picture.folder
    above = named.parent if picture.path == named else named
    return above / picture.folder


class _Row(NamedTuple):
    path: str
    target: str | None = None
    values: tuple[tuple[str, str], ...] = ()


def _read(name: str, column: str) -> Iterator[_Row]:
    try:
        if name == STANDARD_INPUT:
            yield from _rows(name, sys.stdin.buffer, column)
        else:
            with open(name, "rb") as file:
                yield from _rows(name, file, column)
    except OSError as error:
        raise unreadable(f"--from-file {name}", error) from None
    except csv.Error as error:
        raise UsageError(f"--from-file {name}: is not a table ({reason(error)})") from None
    except ValueError as error:
        raise UsageError(
            f"--from-file {name}: is not a list of pictures ({reason(error)})"
        ) from None


def _rows(name: str, file: IO[bytes], column: str) -> Iterator[_Row]:
    lines, other = bounded_lines(file), OtherText(f"--from-file {name}")
    first = next(lines, "").rstrip("\r\n")
    columns = [cell.strip() for cell in next(csv.reader([first]), [])]
    folded = [cell.casefold() for cell in columns]
    paths = next((folded.index(one) for one in (_PATH, column.casefold()) if one in folded), None)
    if paths is not None:
        classes = folded.index(_CLASS) if _CLASS in folded else None
        for cells in csv.reader(lines):
            if len(cells) <= paths or not cells[paths]:
                continue
            values = [read_cell(cell.strip()) for cell in cells]
            named = zip(columns, values, strict=False)
            target = "" if classes is None or len(values) <= classes else values[classes]
            yield _Row(
                _existing(read_cell(cells[paths])),
                other.read(target) or None,
                tuple(
                    (heading, _existing(value))
                    for place, (heading, value) in enumerate(named)
                    if place not in (paths, classes) and heading and value
                ),
            )
        return
    if name.lower().endswith(".csv"):
        raise UsageError(
            f'--from-file {name}: has no column "path" in its first line (for a model with several '
            f"inputs, --input NAME names the column of the explained pictures)"
        )
    for line in chain([first], lines):
        path = line.rstrip("\r\n")
        if path:
            yield _Row(_existing(path))


def _existing(path: str) -> str:
    first, *others = spellings(path)
    return first if not others or os.path.lexists(first) else others[0]
