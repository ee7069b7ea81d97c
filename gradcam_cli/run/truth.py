"""The true classes of pictures, from the names of their folders or from a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gradcam_cli.errors import TruthError, UnknownClassError, UsageError, suggestion, unreadable
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath, file_name, is_remote, readable, to_path
from gradcam_cli.files.tables import read_cell
from gradcam_cli.files.text import OtherText, bounded_lines, spellings
from gradcam_cli.models.labels import Labels

FOLDERS = "folders"
# For each name that matches several classes, if several names are wrong.
_MATCHES_OF_EACH = 4
_LIKENESS = 0.8
_ROWS = "each row must contain a picture and its class"


@dataclass(frozen=True)
class NamedClass:
    """The name of a picture's true class, before the classes of the model are known.

    Attributes:
        name: An index, a WordNet id or a name, as the user wrote it.
        place: Where it is written, as the beginning of an error message: "line 3: ".
    """

    name: str
    place: str


class TruthNames:
    """The name of each picture's true class: that of its folder, or the one in a table."""

    def __init__(self, source: str) -> None:
        """Reads the table, if the source is one.

        Args:
            source: "folders" (the class of a picture is the name of its folder), or the path or URL
                of a CSV file with a picture and its class in each row, with or without a heading.
                A picture is given by its path, relative to the table's folder, the current folder
                or the folder that is searched, or by its file name alone.

        Raises:
            UsageError: The table can't be read.
        """
        self.source = source
        self._table = None if source == FOLDERS else _read_table(to_path(source))

    def of(self, picture: InputPicture) -> NamedClass | None:
        """Returns the name of a picture's true class; None if the table lacks the picture."""
        if self._table is None:
            return NamedClass(_folder_name(picture.path.parent), f"{picture.path.parent}: ")
        path = picture.path
        keys = (path.resolve(), picture.folder / path.name, Path(file_name(path)))
        return next((self._table[key] for key in keys if key in self._table), None)

    def check(self, pictures: Iterable[InputPicture]) -> None:
        """Checks that the table contains at least one of the pictures.

        Args:
            pictures: All pictures.

        Raises:
            UsageError: It contains none.
        """
        if self._table is not None and all(self.of(picture) is None for picture in pictures):
            raise UsageError(
                f"--truth {self.source}: the table contains none of the pictures; list them by "
                f"path or by file name"
            )


class Truth:
    """The index of each picture's true class."""

    def __init__(self, names: TruthNames, labels: Labels) -> None:
        """Combines the names of true classes with the classes of a model.

        Args:
            names: The names of the true classes.
            labels: The classes of the model.
        """
        self._names = names
        self._labels = labels
        self._indices: dict[str, int] = {}

    def of(self, picture: InputPicture) -> int:
        """Returns the index of a picture's true class.

        Raises:
            TruthError: The table lacks the picture.
            UnknownClassError: The model has no such class, or the name matches several.
        """
        named = self._names.of(picture)
        if named is None:
            raise TruthError(f"{picture.name}: not in the table of --truth")
        try:
            return self._find(named.name)
        except UnknownClassError as error:
            raise UnknownClassError(f"{picture.name}: {error.message}", error.details) from error

    def check(self, pictures: Iterable[InputPicture]) -> None:
        """Checks that the model has the true classes of all pictures.

        Args:
            pictures: The pictures. Those that the table lacks are ignored.

        Raises:
            UnknownClassError: The model lacks some of them, or names match several classes. The
                message lists all of these.
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
            # A single folder with all pictures, whose name may be part of a class name: "val" is
            # in "valley".
            ((name, named),) = names.items()
            try:
                self._labels.find(name, by_part=False)
            except UnknownClassError as error:
                wrong[name] = named, error
        if wrong:
            raise self._describe(list(wrong.values()), len(names))

    def describe_guesses(self) -> str | None:
        """Lists the names that matched a class only because they are part of its name.

        Returns:
            A warning in one line; None if all names so far are full names or indices.
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
            f"--truth {self._names.source}: took {', '.join(guesses[:_MATCHES_OF_EACH])}{rest}; "
            f"if that is wrong, use the full name or the index of the class"
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
                f"{'is 1 folder' if names == 1 else f'are {names} folders'}; name the classes with "
                f"--labels FILE"
            )
        if len(wrong) == 1:
            ((named, error),) = wrong
            advice = ""
            if self._by_folders and names == 1 and not error.details:
                advice = " (put the pictures of each class into a folder named after it)"
            return UnknownClassError(
                f"{source}: {named.place}{error.message}{advice}", error.details
            )
        lines = []
        for named, error in wrong:
            below = error.first_details(_MATCHES_OF_EACH)
            lines += [f"{named.place}{error.message}", *(f"  {line}" for line in below)]
        return UnknownClassError(
            f"{source}: {len(wrong)} of {names} classes are not classes of the model:", lines
        )


def labels_from_folders(pictures: Sequence[InputPicture], labels: Labels) -> Labels:
    """Names classes after the folders of the pictures, in alphabetical order like Keras.

    Args:
        pictures: All pictures.
        labels: The current names of the classes.

    Returns:
        The new labels; the current ones if the numbers of folders and classes differ.
    """
    folders = {picture.path.parent for picture in pictures}
    names = sorted({_folder_name(folder) for folder in folders})
    return labels.renamed(names) if len(names) == len(labels) else labels


def _one_of_each_folder(pictures: Iterable[InputPicture]) -> Iterable[InputPicture]:
    return {picture.path.parent: picture for picture in pictures}.values()


def _folder_name(folder: AnyPath) -> str:
    return folder.resolve().name


def _read_table(path: AnyPath) -> dict[AnyPath, NamedClass]:
    table: dict[AnyPath, NamedClass] = {}
    other = OtherText(f"--truth {path}")
    try:
        with _open(path) as file:
            reader = csv.reader(bounded_lines(file))
            for row in filter(any, reader):
                if len(row) < 2:
                    raise UsageError(f"--truth {path}: {_ROWS}")
                name, label, *_ = row
                label = other.read(read_cell(label.strip()))
                named = NamedClass(label, f"line {reader.line_num}: ")
                for spelling in spellings(name):
                    table.update(dict.fromkeys(_keys(path, spelling), named))
    except (OSError, ValueError, csv.Error) as error:
        hint = suggestion(str(path), [FOLDERS], likeness=_LIKENESS)
        raise UsageError(f"{unreadable(f'--truth {path}', error)}{hint}") from error
    if not table:
        raise UsageError(f"--truth {path}: {_ROWS}")
    return table


def _keys(table: AnyPath, name: str) -> set[AnyPath]:
    """Returns the paths that a picture in a table may have."""
    picture = to_path(read_cell(name.strip()))
    keys = {picture, picture.resolve()}
    if not is_remote(picture):
        keys.add(table.parent.joinpath(*picture.parts).resolve())
    return keys


def _open(path: AnyPath) -> IO[bytes]:
    content = readable(path)
    return content.open("rb") if isinstance(content, Path) else content
