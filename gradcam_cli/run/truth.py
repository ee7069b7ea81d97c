"""What pictures really show: the classes that a network should have found."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from gradcam_cli.errors import TruthError, UnknownClassError, UsageError, unreadable
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath, file_name, is_remote, readable, to_path
from gradcam_cli.files.tables import read_cell
from gradcam_cli.files.text import bounded_lines
from gradcam_cli.models.labels import Labels

FOLDERS = "folders"
_ROWS = "each row should hold a picture and its class"


class Truth:
    """The true class of each picture, from its folder's name or from a table."""

    def __init__(self, source: str, labels: Labels) -> None:
        """Reads the source of the truth.

        Args:
            source: "folders" (a picture's class is the name of its folder) or the path of
                a CSV file (or its URL) with a picture and its class in each row, under a heading or
                not. Pictures are named by their path, from the table's folder, the
                current one or the one that is searched, or by their file name alone.
            labels: The classes.

        Raises:
            UsageError: The table can't be read.
        """
        self._labels = labels
        self._table = None if source == FOLDERS else _read_table(to_path(source))

    def of(self, picture: InputPicture) -> int:
        """Gives the index of the class that a picture really shows.

        Raises:
            TruthError: The table lacks the picture, or there is no such class.
        """
        if self._table is None:
            name = picture.path.resolve().parent.name
            where = "its folder's name"
        else:
            below = picture.folder / picture.path.name
            keys = (picture.path.resolve(), below, Path(file_name(picture.path)))
            name = next((self._table[key] for key in keys if key in self._table), "")
            where = "the table of --truth"
            if not name:
                raise TruthError(f"{picture.path}: {where} doesn't have this picture")
        try:
            return self._labels.find(name, by_part=False)
        except UnknownClassError as error:
            raise TruthError(f"{picture.path}: {where} is no class of the model: {error}") from None


def labels_from_folders(pictures: Sequence[InputPicture], labels: Labels) -> Labels:
    """Names classes by the folders of their pictures, in alphabetical order as Keras does.

    Args:
        pictures: All pictures.
        labels: What the classes are called so far.

    Returns:
        The new labels; the old ones if there are more or fewer folders than classes.
    """
    names = sorted({picture.path.resolve().parent.name for picture in pictures})
    return Labels([[name] for name in names]) if len(names) == len(labels) else labels


def _read_table(path: AnyPath) -> dict[AnyPath, str]:
    table: dict[AnyPath, str] = {}
    try:
        with _open_text(path) as file:
            for row in filter(any, csv.reader(bounded_lines(file))):
                if len(row) < 2:
                    raise UsageError(f"--truth {path}: {_ROWS}")
                name, label, *_ = row
                picture = to_path(read_cell(name.strip()))
                keys = {picture, picture.resolve()}
                if not is_remote(picture):
                    keys.add(path.parent.joinpath(*picture.parts).resolve())
                for key in keys:
                    table[key] = read_cell(label.strip())
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(f"--truth {path}", error) from error
    if not table:
        raise UsageError(f"--truth {path}: {_ROWS}")
    return table


def _open_text(path: AnyPath) -> IO[str]:
    content = readable(path)
    if isinstance(content, Path):
        return content.open(encoding="utf-8-sig", newline="")
    return TextIOWrapper(content, encoding="utf-8-sig", newline="")
