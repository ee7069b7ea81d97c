"""Where results about a folder of pictures go if the user names no place."""

from __future__ import annotations

from pathlib import Path

from gradcam_cli.errors import UsageError
from gradcam_cli.files.storage import is_remote, to_path


def usual_folder(first: str, ending: str) -> Path:
    """Returns the folder beside the pictures for results about all of them.

    Args:
        first: The first path of the pictures, as the user wrote it.
        ending: What its name has after that of the folder of pictures.

    Raises:
        UsageError: It is in a store, or has no folder beside it.
    """
    path = to_path(first)
    if is_remote(path):
        raise UsageError(f"{first} is not on this machine; say where to write with --out FOLDER")
    folder = path if path.is_dir() else path.parent
    named = folder if folder.name not in ("", "..") else folder.resolve()
    if not named.name:
        raise UsageError(f"{first} has no folder beside it; say where to write with --out FOLDER")
    return named.with_name(f"{named.name}{ending}")
