"""Types for options that accept a file or folder, anywhere or only on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gradcam_cli.errors import GradcamError
from gradcam_cli.files.storage import is_elsewhere, is_url, to_path


class StoragePath(click.Path):
    """A local path, or a URL that fsspec supports."""

    def __init__(self, **restrictions: bool) -> None:
        super().__init__(path_type=Path, **restrictions)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Converts a URL without joining its two slashes, as `pathlib.Path` would do."""
        if not (isinstance(value, str) and is_url(value)):
            return super().convert(value, param, ctx)
        try:
            return to_path(value)
        except GradcamError as error:
            self.fail(str(error), param, ctx)


class LocalPath(StoragePath):
    """A path on this machine. A URL is refused rather than taken as the name of a file."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Converts a local path and refuses other places."""
        if isinstance(value, str) and is_elsewhere(value):
            self.fail(f"{value} is not on this machine; give a local file", param, ctx)
        return super().convert(value, param, ctx)
