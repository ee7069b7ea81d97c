"""What pictures really show: the classes that a network should have found."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from gradcam_cli.errors import TruthError, UnknownClassError, UsageError, suggestion, unreadable
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath, file_name, is_remote, readable, to_path
from gradcam_cli.files.tables import read_cell
from gradcam_cli.files.text import bounded_lines
from gradcam_cli.models.labels import Labels

FOLDERS = "folders"
# Of each name that fits several classes, where several names are wrong.
_MATCHES_OF_EACH = 4
_LIKENESS = 0.8
_ROWS = "each row should hold a picture and its class"


@dataclass(frozen=True)
class NamedClass:
    """What is said about a picture, before anybody knows the classes of the model.

    Attributes:
        name: An index, a WordNet id or a name, as a user writes it.
        place: Where that is said, for the message of an error.
    """

    name: str
    place: str


class TruthNames:
    """The name of the true class of each picture: its folder's, or what a table says."""

    def __init__(self, source: str) -> None:
        """Reads the source of the truth.

        Args:
            source: "folders" (a picture's class is the name of its folder) or the path of
                a CSV file (or its URL) with a picture and its class in each row, under a heading or
                not. Pictures are named by their path, from the table's folder, the
                current one or the one that is searched, or by their file name alone.

        Raises:
            UsageError: The table can't be read.
        """
        self.source = source
        self._table = None if source == FOLDERS else _read_table(to_path(source))

    def of(self, picture: InputPicture) -> NamedClass | None:
        """Gives the name of the class that a picture really shows; None if the table lacks it."""
        if self._table is None:
            return NamedClass(_folder_name(picture.path.parent), f"{picture.path.parent}: ")
        path = picture.path
        keys = (path.resolve(), picture.folder / path.name, Path(file_name(path)))
        return next((self._table[key] for key in keys if key in self._table), None)

    def check(self, pictures: Iterable[InputPicture]) -> None:
        """Finds out whether it tells of any picture at all.

        Args:
            pictures: All pictures.

        Raises:
            UsageError: It doesn't.
        """
        if self._table is not None and all(self.of(picture) is None for picture in pictures):
            raise UsageError(
                f"--truth {self.source}: has none of the pictures; name them by their paths or "
                f"their file names"
            )


class Truth:
    """The true class of each picture, as an index."""

    def __init__(self, names: TruthNames, labels: Labels) -> None:
        """Takes what is said about the pictures.

        Args:
            names: The names of their true classes.
            labels: The classes of the model.
        """
        self._names = names
        self._labels = labels
        self._indices: dict[str, int] = {}

    def of(self, picture: InputPicture) -> int:
        """Gives the index of the class that a picture really shows.

        Raises:
            TruthError: The table lacks the picture.
            UnknownClassError: There is no such class.
        """
        named = self._names.of(picture)
        if named is None:
            raise TruthError(f"{picture.path}: the table of --truth doesn't have this picture")
        try:
            return self._find(named.name)
        except UnknownClassError as error:
            raise UnknownClassError(f"{picture.path}: {error.message}", error.details) from error

    def check(self, pictures: Iterable[InputPicture]) -> None:
        """Finds out whether the model has the true classes of all pictures.

        Args:
            pictures: The pictures; those that the table lacks don't matter here.

        Raises:
            UnknownClassError: It lacks some, or names fit several classes; all are listed.
        """
        wrong: dict[str, tuple[NamedClass, UnknownClassError]] = {}
        names: dict[str, NamedClass] = {}
        for picture in _one_of_each_folder(pictures) if self._by_folders else pictures:
            said = self._names.of(picture)
            if said is None:
                continue
            names[said.name] = said
            try:
                self._find(said.name)
            except UnknownClassError as error:
                wrong.setdefault(said.name, (said, error))
        if self._by_folders and len(names) == 1 and not wrong:
            # A folder of all pictures, whose name ("val") may be a part of a class's ("valley").
            ((name, named),) = names.items()
            try:
                self._labels.find(name, by_part=False)
            except UnknownClassError as error:
                wrong[name] = named, error
        if wrong:
            raise self._describe(list(wrong.values()), len(names))

    def describe_guesses(self) -> str | None:
        """Lists the names that were understood because they are a part of a class's name.

        Returns:
            A warning in one line; None if all names seen so far are whole.
        """
        guesses = [
            f"{name!r} as {self._labels.name(index)!r} ({index})"
            for name, index in self._indices.items()
            if not self._is_whole(name)
        ]
        if not guesses:
            return None
        more = len(guesses) - _MATCHES_OF_EACH
        rest = f" and {more} more" if more > 0 else ""
        return (
            f"--truth {self._names.source}: understood {', '.join(guesses[:_MATCHES_OF_EACH])}"
            f"{rest}; if that is wrong, use the whole name or the index of the class"
        )

    def _is_whole(self, name: str) -> bool:
        try:
            self._labels.find(name, by_part=False)
        except UnknownClassError:
            return False
        return True

    def _find(self, name: str) -> int:
        if name not in self._indices:
            self._indices[name] = self._labels.find(name)
        return self._indices[name]

    @property
    def _by_folders(self) -> bool:
        return self._names.source == FOLDERS

    def _describe(
        self, wrong: Sequence[tuple[NamedClass, UnknownClassError]], names: int
    ) -> UnknownClassError:
        source = f"--truth {self._names.source}"
        if self._by_folders and self._labels.are_numbers:
            return UnknownClassError(
                f"{source}: the model's {len(self._labels)} classes have no names, and there "
                f"{'is 1 folder' if names == 1 else f'are {names} folders'}; give names with "
                f"--labels FILE"
            )
        if len(wrong) == 1:
            ((named, error),) = wrong
            advice = ""
            if self._by_folders and names == 1 and not error.details:
                advice = " (put the pictures of each class into a folder with its name)"
            return UnknownClassError(
                f"{source}: {named.place}{error.message}{advice}", error.details
            )
        lines = []
        for named, error in wrong:
            below = error.first_details(_MATCHES_OF_EACH)
            lines += [f"{named.place}{error.message}", *(f"  {line}" for line in below)]
        return UnknownClassError(
            f"{source}: the model doesn't know {len(wrong)} of {names} classes:", lines
        )


def labels_from_folders(pictures: Sequence[InputPicture], labels: Labels) -> Labels:
    """Names classes by the folders of their pictures, in alphabetical order as Keras does.

    Args:
        pictures: All pictures.
        labels: What the classes are called so far.

    Returns:
        The new labels; the old ones if there are more or fewer folders than classes.
    """
    folders = {picture.path.parent for picture in pictures}
    names = sorted({_folder_name(folder) for folder in folders})
    return Labels([[name] for name in names]) if len(names) == len(labels) else labels


def _one_of_each_folder(pictures: Iterable[InputPicture]) -> Iterable[InputPicture]:
    return {picture.path.parent: picture for picture in pictures}.values()


def _folder_name(folder: AnyPath) -> str:
    return folder.resolve().name


def _read_table(path: AnyPath) -> dict[AnyPath, NamedClass]:
    table: dict[AnyPath, NamedClass] = {}
    try:
        with _open_text(path) as file:
            reader = csv.reader(bounded_lines(file))
            for row in filter(any, reader):
                if len(row) < 2:
                    raise UsageError(f"--truth {path}: {_ROWS}")
                name, label, *_ = row
                picture = to_path(read_cell(name.strip()))
                keys = {picture, picture.resolve()}
                if not is_remote(picture):
                    keys.add(path.parent.joinpath(*picture.parts).resolve())
                named = NamedClass(read_cell(label.strip()), f"line {reader.line_num}: ")
                for key in keys:
                    table[key] = named
    except (OSError, ValueError, csv.Error) as error:
        hint = suggestion(str(path), [FOLDERS], likeness=_LIKENESS)
        raise UsageError(f"{unreadable(f'--truth {path}', error)}{hint}") from error
    if not table:
        raise UsageError(f"--truth {path}: {_ROWS}")
    return table


def _open_text(path: AnyPath) -> IO[str]:
    content = readable(path)
    if isinstance(content, Path):
        return content.open(encoding="utf-8-sig", newline="")
    return TextIOWrapper(content, encoding="utf-8-sig", newline="")
