"""Names result files so that nothing of the user's is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import count
from pathlib import PurePath

from gradcam_cli.errors import OutputError
from gradcam_cli.files.finding import InputPicture, ending_of
from gradcam_cli.files.input_texts import identity_of
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
    """Chooses the file names of each picture's results, all different.

    The result of ``photos/cat.jpg`` is ``cat_gradcam.png``. If that name is taken by another
    picture of this run, by an earlier result of another picture or by a file of the user's, the
    result is ``cat_jpg_gradcam.png``, then ``cat_jpg_2_gradcam.png`` and so on. An earlier
    result of the same picture with the same options is replaced.
    """

    def __init__(
        self,
        out: AnyPath | None = None,
        taken: Mapping[str, Set[str]] | None = None,
        variant: str = "",
    ) -> None:
        """Sets what the names depend on.

        Args:
            out: The folder for all results; None writes each beside its picture.
            taken: The existing names in folders of a store, by the folder's URL. Other folders
                of a store are listed when they are needed.
            variant: The options of the run, as stored in the marks of its files.
        """
        self._variant = variant
        self._out = out
        self._given: set[str] = set()
        self._taken: dict[str, Set[str]] = dict(taken or {})

    def with_variant(self, variant: str) -> OutputNamer:
        """Returns a namer for results of further options, which gives no name that this one gave.

        Args:
            variant: These options, as stored in the marks of files.
        """
        other = OutputNamer(self._out, variant=self._variant + variant)
        other._given, other._taken = self._given, self._taken
        return other

    def name(self, picture: InputPicture, patterns: Sequence[str]) -> list[AnyPath]:
        """Chooses the names of one picture's results.

        Args:
            picture: The picture.
            patterns: The file names, with "{stem}" in place of the picture's own
                ("{stem}_gradcam.png"). The first must be that of a file with a mark, which
                also identifies the others. A name without "{stem}" is used as it is, and
                replaces any earlier result of the tool.

        Returns:
            A path for each pattern.

        Raises:
            OutputError: A name without "{stem}" is taken by a file of the user's, or in this run.
        """
        is_exact = STEM_FIELD not in patterns[0]
        for paths in self._choices(picture, patterns):
            if self._are_free(paths, picture, is_exact):
                self._give(paths)
                return paths
        raise OutputError(
            f"{paths[0]}: exists already and was not written by gradcam; choose another name"
        )

    def has_all(self, picture: InputPicture, patterns: Sequence[str]) -> bool:
        """Returns whether an earlier run wrote all these results; if so, reserves their names.

        Args:
            picture: The picture.
            patterns: As for `name`.
        """
        for number, paths in enumerate(self._choices(picture, patterns)):
            exist = [self._exists(path) for path in paths]
            if all(exist) and self._are_free(paths, picture):
                self._give(paths)
                return True
            # Numbered names are only used if the first two are taken.
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

    def _are_free(
        self, paths: Sequence[AnyPath], picture: InputPicture, is_exact: bool = False
    ) -> bool:
        given = not self._given.isdisjoint(str(path).casefold() for path in paths)
        return not given and self._may_write(paths, picture, is_exact)

    def _give(self, paths: Iterable[AnyPath]) -> None:
        self._given.update(str(path).casefold() for path in paths)

    def _may_write(self, paths: Sequence[AnyPath], picture: InputPicture, is_exact: bool) -> bool:
        existing = [path for path in paths if self._exists(path)]
        variant = self._variant + identity_of(picture)
        if not existing or are_results_of(existing, picture.path, variant):
            return True
        return is_exact and all(map(is_marked, existing))

    def _exists(self, path: AnyPath) -> bool:
        if not is_remote(path):
            # A broken link belongs to the user too.
            return os.path.lexists(path)
        # A request to the store for each name would take longer than everything else.
        folder = path.parent
        if str(folder) not in self._taken:
            self._taken[str(folder)] = names_in(folder)
        return path.name in self._taken[str(folder)]


def result_folder(picture: InputPicture, out: AnyPath | None) -> AnyPath:
    """Returns the folder for the results of a picture.

    Args:
        picture: The picture.
        out: The folder for all results; None for beside each picture.
    """
    return picture.path.parent if out is None else out.joinpath(*picture.folder.parts)


def wanted_names(picture: InputPicture) -> tuple[str, str]:
    """Returns what a picture's result names begin with, and the alternative if they are taken.

    Further alternatives are the second one with a number.
    """
    name = file_name(picture.path)
    is_series = bool(picture.files) and picture.path not in picture.files
    ending = "" if is_series else ending_of(PurePath(name))
    return name[: len(name) - len(ending)], name.replace(".", "_")


def check_places(pictures: Iterable[InputPicture], out: AnyPath | None) -> None:
    """Checks before a run that its results can be written.

    Args:
        pictures: The pictures.
        out: The folder for all results; None for beside each picture.

    Raises:
        UsageError: The results would go to a read-only place, such as the web.
        OutputError: The folder can't be written to.
    """
    if out is not None:
        check_writable(out)
        if not is_remote(out):
            check_folder(out, f"--out {out.absolute()}")
        return
    for picture in pictures:
        check_writable(picture.path)


def _shortened(stem: str, longest: int) -> str:
    """Cuts characters off the beginning of a stem until it fits into ``longest`` bytes."""
    while len(os.fsencode(stem)) > longest:
        stem = stem[1:]
    return stem


def _stems(picture: InputPicture) -> Iterator[str]:
    stem, with_suffix = wanted_names(picture)
    yield stem
    yield with_suffix
    for number in count(2):
        yield f"{with_suffix}_{number}"
