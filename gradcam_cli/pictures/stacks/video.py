"""Reads videos frame by frame with PyAV."""

from __future__ import annotations

from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.stacks.stack import Stack


def open_video(path: AnyPath, downloads: Downloads | None = None) -> Stack:
    """Opens a video; see `gradcam_cli.pictures.stacks.opening.open_stack`."""
    raise NotImplementedError
