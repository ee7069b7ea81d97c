"""A folder of results that replaces its own earlier content, and nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Self

from gradcam_cli.errors import OutputError, reason
from gradcam_cli.files.marks import RESULTS_FOLDER_MARK
from gradcam_cli.files.text import read_small_text
from gradcam_cli.files.writing import check_folder, written_whole

_FIRST_LINE = "Results of gradcam {}, which replaces the files that are named here."
# A hundred thousand names take less.
_MEGABYTES = 16


class ResultFolder:
    """A folder whose files are written elsewhere first, and appear in it together.

    A mark in the folder names its files, so that a later run replaces them and leaves what the
    user has put beside them. The search for pictures skips the folder.

    Attributes:
        path: The folder.
        making: The folder beside it in which the files are made.
    """

    def __init__(self, path: Path, kind: str, names: Collection[str]) -> None:
        """Checks that the results may be written to a folder.

        Args:
            path: The folder. It needn't exist.
            kind: What the results are, a word ("audit").
            names: The names of all files and folders that may be written directly into it.

        Raises:
            OutputError: It is a file, it holds something else, or it can't be written.
        """
        self.path = path
        self._kind = kind
        self._names = names
        check_folder(path, f"--out {path}")
        self._earlier = self._read_earlier()
        absolute = path.absolute()
        self.making = absolute.with_name(f".{absolute.name}.{uuid.uuid4().hex}.tmp")

    def __enter__(self) -> Self:
        try:
            self.making.mkdir(parents=True)
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.making, ignore_errors=True)

    def publish(self) -> list[Path]:
        """Moves the files into the folder, and removes those of an earlier run.

        Returns:
            The files directly in the folder.

        Raises:
            OutputError: They can't be written.
        """
        below = [path for path in self.making.rglob("*") if path.is_file()]
        made = [path.relative_to(self.making).as_posix() for path in below]
        # What a page shows has to be there before the page.
        made.sort(key=lambda name: (-name.count("/"), name))
        try:
            # Whatever interrupts the following leaves only files that a later run may replace.
            self._write_mark([*made, *(name for name in self._earlier if name not in made)])
            for name in made:
                place = self.path / name
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self.making / name, place)
            for name in self._earlier:
                if name not in made:
                    self._remove(name)
            self._write_mark(made)
        except OSError as error:
            raise self._unwritable(error) from error
        return [self.path / name for name in made if "/" not in name]

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.path}: cannot be written ({reason(error)}); choose another folder with --out"
        )

    def _write_mark(self, names: Sequence[str]) -> None:
        lines = [_FIRST_LINE.format(self._kind), *names]
        with written_whole(self.path / RESULTS_FOLDER_MARK) as file:
            file.write(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))

    def _remove(self, name: str) -> None:
        path = self.path / name
        path.unlink(missing_ok=True)
        if path.parent != self.path:
            # It stays if it holds anything else.
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    def _read_earlier(self) -> list[str]:
        """Returns the names of the files that an earlier run wrote, relative to the folder.

        Raises:
            OutputError: The folder holds something else.
        """
        path = self.path
        if not os.path.lexists(path):
            return []
        if not path.is_dir():
            raise OutputError(f"--out {path}: is a file; name a folder for the {self._kind}")
        try:
            present = set(os.listdir(path))
            lines = []
            if RESULTS_FOLDER_MARK in present:
                named = f"--out {path}"
                lines = read_small_text(path / RESULTS_FOLDER_MARK, _MEGABYTES, named).splitlines()
        except (OSError, ValueError) as error:
            raise OutputError(f"--out {path}: cannot be read ({reason(error)})") from error
        earlier = [name for name in lines[1:] if self._may_be_own(name)]
        is_own = lines[:1] == [_FIRST_LINE.format(self._kind)]
        own = {PurePosixPath(name).parts[0] for name in earlier}
        if (present and not is_own) or (present & set(self._names)) - own:
            raise OutputError(
                f"--out {path}: holds files that aren't from an earlier {self._kind}; choose "
                f"another folder"
            )
        return earlier

    def _may_be_own(self, name: str) -> bool:
        """Says whether a name in a mark, which anyone may have written, is below the folder."""
        parts = PurePosixPath(name).parts
        if not parts or parts[0] not in self._names or ".." in parts:
            return False
        return (self.path / name).parent.resolve().is_relative_to(self.path.resolve())
