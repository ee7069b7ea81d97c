"""Writes files atomically."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gradcam_cli.errors import OutputError, reason
from gradcam_cli.files.storage import AnyPath, is_remote, put_whole


@contextlib.contextmanager
def written_whole(path: AnyPath, option: str = "--out") -> Iterator[IO[bytes]]:
    """Opens a file for writing; it appears under its name only when it is complete.

    Args:
        path: The file.
        option: The option that chooses another folder, for the error message.

    Raises:
        OutputError: The file or its folder can't be written.
    """
    if is_remote(path):
        with put_whole(path) as file:
            yield file
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        nameless = _open_nameless(path.parent)
        if nameless is not None:
            with nameless:
                yield nameless
                nameless.flush()
                _give_name(nameless, path)
            return
        temporary = _temporary_name(path)
        try:
            with open(temporary, "xb") as file:
                yield file
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({reason(error)}); choose another folder with {option}"
        ) from error


def check_folder(folder: Path, named: str) -> None:
    """Fails early if nothing can be written to a folder.

    Args:
        folder: The folder, which need not exist.
        named: What the user named, for the error message.

    Raises:
        OutputError: No file can be created there.
    """
    try:
        folder = folder.absolute()
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OutputError(
            f"{named}: cannot be written ({reason(error)}); choose another folder"
        ) from error


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{uuid.uuid4().hex}.tmp")


def _open_nameless(folder: Path) -> IO[bytes] | None:
    """Opens an unnamed file that disappears with the process; None if not supported."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        return open(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666), "wb")
    except OSError:
        return None


def _give_name(file: IO[bytes], path: Path) -> None:
    # See open(2): this needs AT_SYMLINK_FOLLOW, which Python sets only with a folder descriptor.
    source = f"/proc/self/fd/{file.fileno()}"
    folder = os.open(path.parent, os.O_DIRECTORY)
    try:
        try:
            os.link(source, path.name, dst_dir_fd=folder)
        except FileExistsError:
            temporary = _temporary_name(path)
            try:
                os.link(source, temporary.name, dst_dir_fd=folder)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    finally:
        os.close(folder)
