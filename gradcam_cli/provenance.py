"""The mark by which the tool knows the pictures that it wrote itself."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from PIL import Image, PngImagePlugin

from gradcam_cli import __version__

OVERLAY_SUFFIX = "_gradcam"
HEATMAP_SUFFIX = "_heatmap"
_KEY = "gradcam-source"


def source_id(source: Path, folder: Path) -> str:
    """Identifies a picture as seen from the folder of a result, without naming folders.

    Results that are moved together with their pictures keep it.

    Args:
        source: The picture that was explained.
        folder: Where the result lies.
    """
    try:
        place = os.path.relpath(os.path.realpath(source), os.path.realpath(folder))
    except ValueError:  # Another drive on Windows.
        place = os.path.realpath(source)
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:16]


def mark(source: Path, folder: Path, title: str) -> PngImagePlugin.PngInfo:
    """Makes the text chunks for a PNG written to a folder."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", title)
    info.add_text("Source", source.name)
    info.add_text("Software", f"gradcam {__version__}")
    info.add_text(_KEY, source_id(source, folder))
    return info


def read_mark(path: Path) -> str | None:
    """Reads the `source_id` in a PNG; None for any other file."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return image.info.get(_KEY)
    # A file that can't be read isn't known to be the tool's own.
    except Exception:
        return None


def is_own_result(path: Path) -> bool:
    """Says whether a file is a picture that the tool wrote, whatever it is of."""
    # Looking into every picture of a large folder would take long.
    named_so = OVERLAY_SUFFIX in path.stem or HEATMAP_SUFFIX in path.stem
    return named_so and read_mark(path) is not None
