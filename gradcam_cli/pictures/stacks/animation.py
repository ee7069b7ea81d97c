"""Reads animations (GIF, WebP, PNG) and the pages of TIFF files."""

from __future__ import annotations

from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.stacks.stack import Stack


def open_animation(path: AnyPath, downloads: Downloads | None = None) -> Stack | None:
    """Opens an animation; see `gradcam_cli.pictures.stacks.opening.open_stack`."""
    raise NotImplementedError
