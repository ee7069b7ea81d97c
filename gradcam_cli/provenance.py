"""The mark by which the tool knows the pictures that it wrote itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, PngImagePlugin

from gradcam_cli import __version__

OVERLAY_SUFFIX = "_gradcam"
HEATMAP_SUFFIX = "_heatmap"
FIGURE_SUFFIX = f"{OVERLAY_SUFFIX}_figure"
COMPOSITE_SUFFIX = f"{OVERLAY_SUFFIX}_composite"
# A file by this name says that a folder holds nothing but results.
RESULTS_FOLDER_MARK = ".gradcam-report"
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


def printable(text: str) -> str:
    """Writes the bytes of a file name that are no text as escapes, as JSON reads them."""
    return text.encode("utf-8", "backslashreplace").decode()


def mark(
    source: Path, folder: Path, title: str, companions: Iterable[Path] = ()
) -> PngImagePlugin.PngInfo:
    """Makes the text chunks for a PNG that is written.

    Args:
        source: The picture that was explained.
        folder: Where the PNG will lie.
        title: What it shows, for people.
        companions: Files without room for a mark that are written with it.
    """
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", title)
    info.add_text("Source", printable(source.name))
    info.add_text("Software", f"gradcam {__version__}")
    info.add_text(_KEY, " ".join([source_id(source, folder), *map(_name_id, companions)]))
    return info


def is_result_of(path: Path, source: Path) -> bool:
    """Says whether a PNG is the tool's own, made from this picture."""
    return _read_mark(path)[:1] == [source_id(source, path.parent)]


def is_companion(path: Path, result: Path) -> bool:
    """Says whether a file was written together with a PNG of the tool's own."""
    return _name_id(path) in _read_mark(result)[1:]


def _name_id(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]


def _read_mark(path: Path) -> list[str]:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return str(image.info.get(_KEY, "")).split()
    # A file that can't be read isn't known to be the tool's own.
    except Exception:
        return []


def is_own_result(path: Path) -> bool:
    """Says whether a file is a picture that the tool wrote, whatever it is of."""
    # Looking into every picture of a large folder would take long.
    named_so = OVERLAY_SUFFIX in path.stem or HEATMAP_SUFFIX in path.stem
    return named_so and bool(_read_mark(path))
