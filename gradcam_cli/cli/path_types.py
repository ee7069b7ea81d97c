"""Options that take a file or folder: any place, or only one on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from gradcam_cli.errors import GradcamError
from gradcam_cli.files.storage import is_elsewhere, is_url, to_path


class StoragePath(click.Path):
    """A local path, or a URL that fsspec reaches."""

    def __init__(self, **restrictions: bool) -> None:
        super().__init__(path_type=Path, **restrictions)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Leaves the two slashes of a URL alone, which `pathlib.Path` would join."""
        if not (isinstance(value, str) and is_url(value)):
            return super().convert(value, param, ctx)
        try:
            return to_path(value)
        except GradcamError as error:
            self.fail(str(error), param, ctx)


class LocalPath(StoragePath):
    """A path on this machine; a URL is refused instead of being taken for a file's name."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Refuses what isn't on this machine."""
        if isinstance(value, str) and is_elsewhere(value):
            self.fail(f"{value} is not on this machine; give a local file", param, ctx)
        return super().convert(value, param, ctx)
