"""The mark by which the tool knows the pictures that it wrote itself."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, PngImagePlugin

from gradcam_cli.files.storage import (
    AnyPath,
    file_name,
    is_pipe_or_device,
    is_remote,
    readable,
    relative_place,
)
from gradcam_cli.version import __version__

OVERLAY_SUFFIX = "_gradcam"
HEATMAP_SUFFIX = "_heatmap"
FIGURE_SUFFIX = f"{OVERLAY_SUFFIX}_figure"
COMPOSITE_SUFFIX = f"{OVERLAY_SUFFIX}_composite"
SHEET_SUFFIX = f"{OVERLAY_SUFFIX}_methods"
# A file by this name says that a folder holds nothing but results.
RESULTS_FOLDER_MARK = ".gradcam-report"
_KEY = "gradcam-source"
_SOFTWARE_NAME = f"gradcam {__version__}"
# Exif 2.32, tables 4 and 7.
_IMAGE_DESCRIPTION, _DOCUMENT_NAME, _SOFTWARE = 0x010E, 0x010D, 0x0131
_EXIF_FOLDER, _MAKER_NOTE = 0x8769, 0x927C


def source_id(source: AnyPath, folder: AnyPath) -> str:
    """Identifies a picture as seen from the folder of a result, without naming folders.

    Results that are moved together with their pictures keep it.

    Args:
        source: The picture that was explained.
        folder: Where the result lies.
    """
    if is_remote(source) or is_remote(folder):
        return _digest(relative_place(source, folder))
    try:
        place = os.path.relpath(os.path.realpath(source), os.path.realpath(folder))
    except ValueError:  # Another drive on Windows.
        place = os.path.realpath(source)
    return _digest(place)


def printable(text: str) -> str:
    """Writes the bytes of a file name that are no text as escapes, as JSON reads them."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Mark:
    """What a file tells of where it comes from.

    Attributes:
        title: What it shows, for people.
        source: The name of the picture that was explained, for people.
        identity: Whose it is, for the tool.
    """

    title: str
    source: str
    identity: str

    @property
    def png(self) -> PngImagePlugin.PngInfo:
        """The text chunks of a PNG."""
        info = PngImagePlugin.PngInfo()
        info.add_text("Title", self.title)
        info.add_text("Source", self.source)
        info.add_text("Software", _SOFTWARE_NAME)
        info.add_text(_KEY, self.identity)
        return info

    @property
    def exif(self) -> bytes:
        """The metadata of a JPEG or WebP file."""
        exif = Image.Exif()
        exif[_IMAGE_DESCRIPTION] = self.title
        exif[_DOCUMENT_NAME] = self.source
        exif[_SOFTWARE] = _SOFTWARE_NAME
        exif[_EXIF_FOLDER] = {_MAKER_NOTE: f"{_KEY} {self.identity}".encode()}
        return exif.tobytes()


def mark(source: AnyPath, folder: AnyPath, title: str, companions: Iterable[AnyPath] = ()) -> Mark:
    """Makes the mark of a picture that is written.

    Args:
        source: The picture that was explained.
        folder: Where the result will lie.
        title: What it shows, for people.
        companions: Files without room for a mark that are written with it.
    """
    identity = " ".join([source_id(source, folder), *map(_name_id, companions)])
    return Mark(title, printable(file_name(source)), identity)


def is_result_of(path: AnyPath, source: AnyPath) -> bool:
    """Says whether a result is the tool's own, made from this picture."""
    return _read_mark(path)[:1] == [source_id(source, path.parent)]


def are_results_of(paths: Sequence[AnyPath], source: AnyPath) -> bool:
    """Says whether files that are there are the tool's own, all made from this picture.

    Args:
        paths: The files, in one folder. The first vouches for those without room for a mark.
        source: The picture.
    """
    first, *others = paths
    identity, *companions = _read_mark(first) or [""]
    return identity == source_id(source, first.parent) and all(
        _name_id(path) in companions or is_result_of(path, source) for path in others
    )


def is_companion(path: AnyPath, result: AnyPath) -> bool:
    """Says whether a file was written together with a result of the tool's own."""
    return _name_id(path) in _read_mark(result)[1:]


def _name_id(path: AnyPath) -> str:
    return _digest(path.name)


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def _read_mark(path: AnyPath) -> list[str]:
    try:
        if is_pipe_or_device(path):
            return []
        formats = _possible_formats(path)
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(readable(path), formats=formats) as image,
        ):
            if image.format == "PNG":
                return str(image.info.get(_KEY, "")).split()
            note = image.getexif().get_ifd(_EXIF_FOLDER).get(_MAKER_NOTE, b"")
            name, *identity = note.decode("ascii").split()
            return identity if name == _KEY else []
    # A file that can't be read isn't known to be the tool's own.
    except Exception:
        return []


def _possible_formats(path: AnyPath) -> tuple[str, ...]:
    """Gives what a result by this name can be: what its ending says, or else a PNG."""
    ending = path.suffix.lower()
    # Pillow knows the usual formats from the start; to load all of them takes long.
    if ending not in Image.EXTENSION:
        Image.init()
    return tuple(dict.fromkeys((Image.EXTENSION.get(ending, "PNG"), "PNG")))


def is_own_result(path: AnyPath) -> bool:
    """Says whether a file is a picture that the tool wrote, whatever it is of."""
    # Looking into every picture of a large folder would take long.
    named_so = OVERLAY_SUFFIX in path.stem or HEATMAP_SUFFIX in path.stem
    return named_so and bool(_read_mark(path))
