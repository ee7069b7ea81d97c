"""Names result files so that nothing of the user's is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import count
from pathlib import PurePath

from gradcam_cli.errors import OutputError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.marks import are_results_of, is_marked
from gradcam_cli.files.name_pattern import STEM_FIELD
from gradcam_cli.files.storage import (
    AnyPath,
    check_writable,
    file_name,
    is_remote,
    names_in,
)
from gradcam_cli.files.writing import check_folder

# In bytes, on the usual file systems.
_LONGEST_NAME = 255


class OutputNamer:
    """Gives every input picture file names of its own.

    The result of ``photos/cat.jpg`` is called ``cat_gradcam.png``. If that name is taken,
    by another picture of this run, by another picture's earlier result or by a file of the
    user's, it is ``cat_jpg_gradcam.png``, then ``cat_jpg_2_gradcam.png`` and so on. An
    earlier result of the same picture and the same options is replaced.
    """

    def __init__(
        self,
        out: AnyPath | None = None,
        taken: Mapping[str, Set[str]] | None = None,
        variant: str = "",
    ) -> None:
        """Takes what the names depend on.

        Args:
            out: The folder for all results; None puts each beside its picture.
            taken: The names of what is in folders of a store, by the folder's URL; other
                folders are listed when they are needed.
            variant: The options of the run, as in the mark of its files.
        """
        self._variant = variant
        self._out = out
        self._given: set[str] = set()
        self._taken: dict[str, Set[str]] = dict(taken or {})

    def name(self, picture: InputPicture, patterns: Sequence[str]) -> list[AnyPath]:
        """Names the results of one picture.

        Args:
            picture: The picture.
            patterns: The names with "{stem}" for that of the picture
                ("{stem}_gradcam.png"). The first must be that of a picture with a mark,
                which says whose the others are. Names without "{stem}" are taken as they
                are, and replace any earlier result of the tool.

        Returns:
            A path for each pattern.

        Raises:
            OutputError: A name without "{stem}" is taken by a file of the user's.
        """
        is_exact = STEM_FIELD not in patterns[0]
        for paths in self._choices(picture, patterns):
            if self._are_free(paths, picture.path, is_exact):
                self._give(paths)
                return paths
        raise OutputError(
            f"{paths[0]}: exists already, and gradcam didn't write it; choose another name"
        )

    def has_all(self, picture: InputPicture, patterns: Sequence[str]) -> bool:
        """Says whether an earlier run wrote these results; if so, they keep their names.

        Args:
            picture: The picture.
            patterns: As for `name`.
        """
        for number, paths in enumerate(self._choices(picture, patterns)):
            exist = [self._exists(path) for path in paths]
            if all(exist) and self._are_free(paths, picture.path):
                self._give(paths)
                return True
            # Further names are taken only where these two are.
            if number > 0 and not any(exist):
                break
        return False

    def _choices(self, picture: InputPicture, patterns: Sequence[str]) -> Iterator[list[AnyPath]]:
        folder = result_folder(picture, self._out)
        if STEM_FIELD not in patterns[0]:
            yield [folder / pattern for pattern in patterns]
            return
        taken = max(len(os.fsencode(pattern)) for pattern in patterns) - len(STEM_FIELD)
        for stem in _stems(picture):
            shortened = _shortened(stem, _LONGEST_NAME - taken)
            yield [folder / pattern.replace(STEM_FIELD, shortened) for pattern in patterns]

    def _are_free(self, paths: Sequence[AnyPath], source: AnyPath, is_exact: bool = False) -> bool:
        given = not self._given.isdisjoint(str(path).casefold() for path in paths)
        return not given and self._may_write(paths, source, is_exact)

    def _give(self, paths: Iterable[AnyPath]) -> None:
        self._given.update(str(path).casefold() for path in paths)

    def _may_write(self, paths: Sequence[AnyPath], source: AnyPath, is_exact: bool) -> bool:
        existing = [path for path in paths if self._exists(path)]
        if not existing or are_results_of(existing, source, self._variant):
            return True
        return is_exact and all(map(is_marked, existing))

    def _exists(self, path: AnyPath) -> bool:
        if not is_remote(path):
            # A link that leads nowhere is the user's too.
            return os.path.lexists(path)
        # Asking a store about every single name would take longer than all else.
        folder = path.parent
        if str(folder) not in self._taken:
            self._taken[str(folder)] = names_in(folder)
        return path.name in self._taken[str(folder)]


def result_folder(picture: InputPicture, out: AnyPath | None) -> AnyPath:
    """Says where the results of a picture go.

    Args:
        picture: The picture.
        out: The folder for all results; None for beside each picture.
    """
    return picture.path.parent if out is None else out.joinpath(*picture.folder.parts)


def wanted_names(picture: InputPicture) -> tuple[str, str]:
    """Gives what the names of a picture's results begin with, and if that is taken, begin with.

    Further names are the second one with numbers.
    """
    name = file_name(picture.path)
    return PurePath(name).stem, name.replace(".", "_")


def check_places(pictures: Iterable[InputPicture], out: AnyPath | None) -> None:
    """Refuses early to write where nothing can be written, as beside pictures on the web.

    Args:
        pictures: The pictures.
        out: The folder for all results; None for beside each picture.

    Raises:
        UsageError: Results need another place.
        OutputError: The folder can't be written.
    """
    if out is not None:
        check_writable(out)
        if not is_remote(out):
            check_folder(out, f"--out {out.absolute()}")
        return
    for picture in pictures:
        check_writable(picture.path)


def _shortened(stem: str, room: int) -> str:
    """Takes as much of a name's end as a file system has room for."""
    while len(os.fsencode(stem)) > room:
        stem = stem[1:]
    return stem


def _stems(picture: InputPicture) -> Iterator[str]:
    stem, with_suffix = wanted_names(picture)
    yield stem
    yield with_suffix
    for number in count(2):
        yield f"{with_suffix}_{number}"
