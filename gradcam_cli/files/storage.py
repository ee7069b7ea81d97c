"""Accesses the user's files in any storage: in local folders, or in a store by URL.

Local files are `pathlib.Path` objects. URLs are `upath.UPath` objects, which fsspec reads and
writes. fsspec is imported at the first URL.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from gradcam_cli.errors import (
    GradcamError,
    OutputError,
    StorageError,
    UsageError,
    reason,
    unreadable,
)
from gradcam_cli.files.downloads import WEB, Downloads
from gradcam_cli.files.web_folders import find_on_web

if TYPE_CHECKING:
    from typing_extensions import TypeIs
    from upath import UPath

AnyPath: TypeAlias = "Path | UPath"

# A single letter before a colon is a Windows drive; "zip://::file.zip" chains stores.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL = frozenset({"file", "local"})
# Stores in which writing a file is atomic; in others, the file is written and then renamed.
_OBJECT_STORES = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a", "tos"}
)
_READ_ONLY = WEB | {"data", "git", "github", "libarchive", "reference", "tar", "zip"}
_PACKAGES = {
    **dict.fromkeys(("abfs", "abfss", "adl", "az"), "adlfs"),
    **dict.fromkeys(("gcs", "gs"), "gcsfs"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "smb": "smbprotocol",
}


def is_url(name: str) -> bool:
    """Returns whether a user's name for a file or folder is a URL, such as s3://bucket/photos."""
    return _URL.match(name) is not None


def is_elsewhere(name: str) -> bool:
    """Returns whether a user's name for a file is a URL that isn't local."""
    return is_url(name) and _protocol(name) not in _LOCAL


def to_path(name: str | AnyPath) -> AnyPath:
    """Converts a user's name for a file or folder to a path; file:// URLs become local paths.

    Raises:
        UsageError: No installed package can read this kind of URL.
    """
    if not isinstance(name, str):
        return name
    if not is_url(name):
        return Path(name)
    protocol = _protocol(name)
    import fsspec

    if protocol in _LOCAL:
        return Path(fsspec.core.strip_protocol(name))
    from upath import UPath

    try:
        fsspec.get_filesystem_class(protocol)
        path = UPath(name)
        # Some stores import what they need only when they are opened.
        _ = path.fs
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        advice = f"pip install {package}" if package else reason(error)
        raise UsageError(
            f"{name}: {protocol}:// needs a package that isn't installed: {advice}"
        ) from error
    except ValueError as error:
        raise UsageError(f"{name}: {protocol}:// URLs are not supported") from error
    except Exception as error:
        raise StorageError(f"{name}: cannot be reached ({reason(error)})") from error
    return path


def _protocol(url: str) -> str:
    return url.partition(":")[0].lower()


def check_is_there(option: str, path: str | Path) -> None:
    """Finds out whether a local file or folder that an option names exists.

    Args:
        option: The option, for the message of an error.
        path: The file.

    Raises:
        UsageError: It doesn't, or its folder may not be searched.
    """
    try:
        os.stat(path)
    except (OSError, ValueError) as error:
        raise unreadable(f"{option} {path}", error) from error


def is_remote(path: AnyPath) -> TypeIs[UPath]:
    """Returns whether a path is a URL."""
    return not isinstance(path, Path)


def file_name(path: AnyPath) -> str:
    """Returns the last part of a path; for a web address, without query and fragment."""
    if is_remote(path) and path.protocol in WEB:
        return posixpath.basename(urlsplit(str(path)).path)
    return path.name


def relative_place(source: AnyPath, folder: AnyPath) -> str:
    """Returns the path of a file relative to a folder, or its whole URL from another store.

    Args:
        source: The file.
        folder: The folder. The file, the folder or both are in a store.
    """
    if is_remote(source) and is_remote(folder) and source.fs == folder.fs:
        return posixpath.relpath(source.path, folder.path)
    return str(source) if is_remote(source) else str(source.resolve())


def is_folder(path: UPath) -> bool:
    """Returns whether a store has a folder of this name.

    Raises:
        StorageError: The store can't be reached.
    """
    if path.protocol in WEB:
        # The web has no folders, but a server may list the files below such an address.
        return urlsplit(str(path)).path.endswith("/")
    with _storage_errors(path, "read"):
        return bool(path.fs.isdir(path.path))


def list_below(folder: UPath) -> list[tuple[str, ...]]:
    """Lists all files in a folder of a store recursively, by their path components.

    The order is that of walking a local folder: the files of a folder in the order of their
    names, then its subfolders.

    Raises:
        StorageError: The store can't be listed.
    """
    root = folder.path.rstrip("/") + "/"
    with _storage_errors(folder, "listed"):
        if folder.protocol in WEB:
            found = find_on_web(folder)
        else:
            folder.fs.invalidate_cache(folder.path)
            # Some stores report that they can't be reached only when listing, not searching.
            found = folder.fs.find(folder.path) or folder.fs.ls(folder.path, detail=False)[:0]
    listed = [tuple(name.removeprefix(root).strip("/").split("/")) for name in found]
    return sorted(listed, key=lambda parts: [(n < len(parts), p) for n, p in enumerate(parts, 1)])


def names_in(folder: UPath) -> set[str]:
    """Returns the names in a folder of a store by one request; the folder may not exist.

    Raises:
        StorageError: The store can't be listed.
    """
    with _storage_errors(folder, "listed"):
        folder.fs.invalidate_cache(folder.path)
        try:
            listed = folder.fs.ls(folder.path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return set()
    return {posixpath.basename(name.rstrip("/")) for name in listed}


def is_pipe_or_device(path: AnyPath) -> bool:
    """Returns whether a path is a pipe or device, from which reading may block or never end."""
    return not is_remote(path) and os.path.exists(path) and not path.is_file() and not path.is_dir()


def readable(path: AnyPath, downloads: Downloads | None = None) -> Path | io.BytesIO:
    """Returns what Pillow opens: a local path, or the content of a file in a store.

    Args:
        path: The file.
        downloads: Downloads it from a store; None for the default limits.

    Raises:
        FileNotFoundError: The store has no such file.
        PermissionError: The file may not be read.
        StorageError: The store can't be reached, or the file exceeds a limit.
    """
    if not is_remote(path):
        return path
    try:
        return (downloads or Downloads()).fetch(path)
    except (FileNotFoundError, IsADirectoryError, PermissionError, StorageError):
        raise
    except Exception as error:
        raise StorageError(f"{path}: cannot be read ({reason(error)})") from error


def remove(path: AnyPath) -> None:
    """Removes an existing file.

    Raises:
        OutputError: The file can't be removed.
    """
    try:
        if is_remote(path):
            path.fs.rm_file(path.path)
        else:
            path.unlink()
    except Exception as error:
        raise OutputError(f"{path}: cannot be removed ({reason(error)})") from error


def check_writable(path: AnyPath) -> None:
    """Refuses locations that are read-only, such as the web.

    Raises:
        UsageError: Nothing can be written there.
    """
    if is_remote(path) and path.protocol in _READ_ONLY:
        raise UsageError(
            f"{path}: {path.protocol}:// addresses are read-only; choose a folder for the results "
            f"with --out"
        )


@contextlib.contextmanager
def put_whole(path: UPath) -> Iterator[IO[bytes]]:
    """Opens a file in a store for writing; it appears under its name only when complete.

    Raises:
        OutputError: The file can't be written.
    """
    buffer = io.BytesIO()
    yield buffer
    try:
        if path.protocol in _OBJECT_STORES:
            path.fs.pipe_file(path.path, buffer.getvalue())
        else:
            _write_and_rename(path, buffer.getvalue())
    except Exception as error:
        raise OutputError(
            f"{path}: cannot be written ({reason(error)}); choose another folder with --out"
        ) from error


def _write_and_rename(path: UPath, content: bytes) -> None:
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    path.fs.makedirs(path.parent.path, exist_ok=True)
    try:
        path.fs.pipe_file(temporary.path, content)
        path.fs.mv(temporary.path, path.path)
    except BaseException:
        with contextlib.suppress(Exception):
            path.fs.rm_file(temporary.path)
        raise


@contextlib.contextmanager
def _storage_errors(path: UPath, done: str) -> Iterator[None]:
    """Converts any error of a store's own library to a one-line error."""
    try:
        yield
    except GradcamError:
        raise
    except FileNotFoundError as error:
        raise StorageError(f"{path}: there is no such folder") from error
    except Exception as error:
        raise StorageError(f"{path}: cannot be {done} ({reason(error)})") from error
