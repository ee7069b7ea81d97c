"""Names result files so that nothing of the user's is lost, and writes them whole."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import IO

from gradcam_cli.errors import OutputError
from gradcam_cli.inputs import InputPicture
from gradcam_cli.provenance import MARKED_SUFFIXES, is_companion, is_result_of

# In bytes, on the usual file systems.
_LONGEST_NAME = 255


class OutputNamer:
    """Gives every input picture file names of its own.

    ``photos/cat.jpg`` becomes ``cat_gradcam.png``. If that name is taken, by another
    picture of this run, another picture's earlier result or a file of the user's, it
    becomes ``cat_jpg_gradcam.png``, then ``cat_jpg_2_gradcam.png`` and so on. An earlier
    result of the same picture is replaced.
    """

    def __init__(self, out: Path | None = None) -> None:
        """Takes the folder for all results; None puts each beside its picture."""
        self._out = out
        self._given: set[str] = set()

    def name(self, picture: InputPicture, suffixes: Sequence[str]) -> list[Path]:
        """Names the results of one picture.

        Args:
            picture: The picture.
            suffixes: What each name ends in ("_gradcam.png"); the first must be that of
                a picture with a mark, which says whose the others are.

        Returns:
            A path for each suffix, all with the same beginning.
        """
        folder = picture.path.parent if self._out is None else self._out / picture.folder
        room = _LONGEST_NAME - max(len(os.fsencode(suffix)) for suffix in suffixes)
        for stem in _stems(picture.path):
            paths = [folder / f"{_shortened(stem, room)}{suffix}" for suffix in suffixes]
            keys = {str(path).casefold() for path in paths}
            if keys.isdisjoint(self._given) and _may_write(paths, picture.path):
                self._given |= keys
                return paths
        raise AssertionError("there is always another name")


def _shortened(stem: str, room: int) -> str:
    """Takes as much of a name's end as a file system has room for."""
    while len(os.fsencode(stem)) > room:
        stem = stem[1:]
    return stem


def _stems(path: Path) -> Iterator[str]:
    yield path.stem
    with_suffix = path.name.replace(".", "_")
    yield with_suffix
    for number in count(2):
        yield f"{with_suffix}_{number}"


def _may_write(paths: Sequence[Path], source: Path) -> bool:
    # A link that leads nowhere is the user's too.
    existing = [path for path in paths if os.path.lexists(path)]
    return all(
        is_result_of(path, source)
        if path.suffix in MARKED_SUFFIXES
        else is_result_of(paths[0], source) and is_companion(path, paths[0])
        for path in existing
    )


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file for writing that appears under its name only when it is complete.

    Raises:
        OutputError: The file or its folder can't be written.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                yield file
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another folder with "
            f"--out"
        ) from error
