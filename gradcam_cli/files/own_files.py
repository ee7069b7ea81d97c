"""Files that only the user can have written, such as those in the cache folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

# Systems on which files have owners. On others, the user's folders belong to the user anyway.
_HAVE_OWNERS = hasattr(os, "geteuid")
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FOLDER_OF_OWNER, _FILE_OF_OWNER = 0o700, 0o600


def make_own_folder(folder: Path) -> None:
    """Makes a folder that only its owner can access, or restricts an existing one.

    Raises:
        OSError: The folder can't be made, or belongs to another user.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if _HAVE_OWNERS:
        folder.chmod(_FOLDER_OF_OWNER)


def make_own_file(file: IO[bytes]) -> None:
    """Restricts an open file so that only its owner can read and write it.

    Args:
        file: The file, open for writing.
    """
    if _HAVE_OWNERS:
        os.fchmod(file.fileno(), _FILE_OF_OWNER)


def read_own_file(path: Path, largest: int) -> bytes | None:
    """Reads a file if only the user can have written it.

    Args:
        path: The file.
        largest: The largest size in bytes.

    Returns:
        The content. None if the file doesn't exist, can't be read, is too large or isn't a
        regular file, or if another user owns or can write the file or its folder.
    """
    try:
        # The checks use the opened file, because the name may refer to another one a moment
        # later. Opening a pipe must not block.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        flags |= getattr(os, "O_BINARY", 0)
        if not _HAVE_OWNERS:
            return _read(os.open(path, flags), largest)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if not _is_own(os.fstat(folder)):
                return None
            return _read(os.open(path.name, flags, dir_fd=folder), largest)
        finally:
            os.close(folder)
    except OSError:
        return None


def belongs_to_user(path: Path) -> bool:
    """Says whether a file or folder is the user's, and nobody else may write to it.

    Raises:
        OSError: It can't be looked at.
    """
    return _is_own(path.stat())


def _read(descriptor: int, largest: int) -> bytes | None:
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        is_regular = stat.S_ISREG(status.st_mode) and status.st_size <= largest
        return file.read(largest) if is_regular and _is_own(status) else None


def _is_own(status: os.stat_result) -> bool:
    if not _HAVE_OWNERS:
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE
