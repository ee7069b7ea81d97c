"""Where a page may be written, and the folder beside it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote

from gradcam_cli.errors import OutputError
from gradcam_cli.files.marks import RESULTS_FOLDER_MARK
from gradcam_cli.files.writing import check_folder, written_whole

GENERATOR = "gradcam"
_ASSETS_SUFFIX = "_files"
# The generator is named within this many bytes from the start of a page.
_HEAD = 2048
_ASSET_NAME = re.compile(r"[0-9a-f]{24}\.(webp|js)")


def check_may_replace(path: Path) -> None:
    """Checks that a report may be written to a path.

    Raises:
        OutputError: Another file has this name, or the path can't be read or written.
    """
    check_folder(path.parent, str(path))
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file for the report, like report.html")
    if not path.exists():
        return
    try:
        with open(path, "rb") as file:
            own = f'name="generator" content="{GENERATOR} '.encode() in file.read(_HEAD)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    if not own:
        raise OutputError(
            f"{path}: exists and is not a report of this tool; choose another name for the report"
        )


class AssetFolder:
    """The folder beside a page with the files that it loads."""

    def __init__(self, page: Path, option: str, content: str) -> None:
        """Makes the folder.

        Args:
            page: The page.
            option: The option that chooses another place, for error messages.
            content: What the folder holds, in words that begin a sentence.

        Raises:
            OutputError: Another folder has its name, or it can't be written.
        """
        self._path = page.with_name(f"{page.stem}{_ASSETS_SUFFIX}")
        self._option = option
        self._written: set[str] = set()
        self._new: set[str] = set()
        mark = self._path / RESULTS_FOLDER_MARK
        if self._path.exists() and not mark.exists():
            raise OutputError(
                f"{self._path}: is not a folder of this tool; choose another name for the report"
            )
        with written_whole(mark, option) as file:
            file.write(f"{content}. gradcam writes and removes them.\n".encode())

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self._path.name

    def write(self, data: bytes, suffix: str) -> str:
        """Writes a file, named by its content: a new page doesn't change what an earlier one loads.

        Args:
            data: Its content.
            suffix: ".webp" or ".js".

        Returns:
            Its address relative to the page.

        Raises:
            OutputError: It can't be written.
        """
        name = f"{hashlib.sha256(data).hexdigest()[:24]}{suffix}"
        if name not in self._written:
            self._written.add(name)
            path = self._path / name
            if not path.exists():
                self._new.add(name)
            with written_whole(path, self._option) as file:
                file.write(data)
        return f"{quote(os.fsencode(self._path.name))}/{name}"

    def remove_unused(self) -> None:
        """Removes the files of earlier pages that this one doesn't load."""
        for path in self._path.iterdir():
            if _ASSET_NAME.fullmatch(path.name) and path.name not in self._written:
                path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Removes the files that were written in vain; those of an earlier page stay."""
        for name in self._new:
            (self._path / name).unlink(missing_ok=True)
