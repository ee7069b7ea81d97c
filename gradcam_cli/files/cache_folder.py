"""The folder in which gradcam keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from gradcam_cli.files.own_files import belongs_to_user


def cache_folder() -> Path:
    """Returns the user's cache folder for gradcam, whether it exists or not."""
    return user_cache_path("gradcam", appauthor=False)


def describe_folder(folder: Path) -> str:
    """Says whether a folder can be used, and how much is in it.

    Args:
        folder: The folder. It is not created.
    """
    # Without a home, the user's folder would be one called "~" in the current one.
    if not folder.is_absolute():
        return "cannot be used: the user has no home folder"
    try:
        if not folder.exists():
            parent = next(path for path in folder.parents if path.exists())
            is_writable = os.access(parent, os.W_OK | os.X_OK)
            return "not created yet" if is_writable else "cannot be created: no permission"
        if not folder.is_dir():
            return "cannot be used: it is a file"
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    plural = "" if len(sizes) == 1 else "s"
    content = f"{len(sizes)} file{plural}, {sum(sizes) / 1e6:.1f} MB"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{content}, read-only"
    if not belongs_to_user(folder):
        return f"{content}, not used: other users can write to it"
    return f"{content}, writable"
