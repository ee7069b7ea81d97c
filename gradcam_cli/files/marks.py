"""The mark by which the tool recognizes the files that it wrote itself."""

from __future__ import annotations

import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import GifImagePlugin, Image, PngImagePlugin, TiffImagePlugin

from gradcam_cli.files.storage import (
    AnyPath,
    file_name,
    is_pipe_or_device,
    is_remote,
    readable,
    relative_place,
)
from gradcam_cli.files.video_containers import VIDEO_SUFFIXES, texts_of
from gradcam_cli.runtime.library_warnings import library_warnings_hidden
from gradcam_cli.version import __version__

# The names of methods in the file names of results.
_NAMED_SO = re.compile(r"_\w*(cam|heatmap|fullgrad|fem|rollout|chefer|legrad|rise|sobol|occlusion)")
# A file with this name marks a folder that contains only results.
RESULTS_FOLDER_MARK = ".gradcam-report"
_KEY = "gradcam-source"
# In bytes. A colour profile may come before the mark.
_SEARCHED = 65536
_VOLUME = ".nii.gz"
# How the tool's own TIFF files begin.
_TIFF_START = b"II*\0"
_SOFTWARE_NAME = f"gradcam {__version__}"
# Exif 2.32, tables 4 and 7.
_IMAGE_DESCRIPTION, _DOCUMENT_NAME, _SOFTWARE = 0x010E, 0x010D, 0x0131
_EXIF_FOLDER, _MAKER_NOTE = 0x8769, 0x927C
# TIFF 6.0, section 2: from here on, tags have no public meaning.
_PRIVATE_TAG = 65000
_IDENTITY = rb"(?P<identity>[0-9a-f]{16}(?: [0-9a-f]{16})*)"
# The comment as FFmpeg stores it in the texts of an MP4 file, a QuickTime film, a Matroska file and
# an AVI file: after the name of the field, lengths, and the text's kind or language.
_VIDEO_COMMENT = re.compile(
    rb"(?:\xa9cmt(?:.{4}data.{8}|.{4})|COMMENT\x44\x87(?:[\x80-\xff]|[\x40-\x7f].)|ICMT.{4})"
    + _KEY.encode()
    + rb" "
    + _IDENTITY,
    re.DOTALL,
)
# The extensions of the files whose mark may be near their end.
_MARKED_AT_END = frozenset({".webp", ".mp4", ".m4v", ".mov"})


def source_id(source: AnyPath, folder: AnyPath, variant: str = "") -> str:
    """Computes an identifier of a picture, relative to the folder of a result.

    It is a hash, so it doesn't reveal the names of folders. It stays valid if results are moved
    together with their pictures.

    Args:
        source: The picture that was explained.
        folder: The folder of the result.
        variant: The options that differ from the defaults.
    """
    if is_remote(source) or is_remote(folder):
        place = relative_place(source, folder)
    else:
        try:
            place = os.path.relpath(os.path.realpath(source), os.path.realpath(folder))
        except ValueError:  # Another drive on Windows.
            place = os.path.realpath(source)
    return _digest(f"{place}\0{variant}" if variant else place)


def printable(text: str) -> str:
    """Escapes the bytes of a file name that can't be decoded, in the way of JSON: ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Mark:
    """The metadata in a result that records its origin.

    Attributes:
        title: What the result shows, for people.
        source: The name of the picture that was explained, for people.
        identity: The identifiers of the picture and of files written with the result, for the
            tool.
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
    def comment(self) -> str:
        """The comment in a file that has comments: a video, an animation, a volume."""
        return f"{_KEY} {self.identity}"

    @property
    def tiff(self) -> dict[int, str]:
        """The tags of a TIFF file, by their numbers."""
        return {
            _DOCUMENT_NAME: self.source,
            _IMAGE_DESCRIPTION: self.title,
            _SOFTWARE: _SOFTWARE_NAME,
            _PRIVATE_TAG: self.comment,
        }

    @property
    def exif(self) -> bytes:
        """The metadata of a JPEG or WebP file."""
        exif = Image.Exif()
        exif[_IMAGE_DESCRIPTION] = self.title
        exif[_DOCUMENT_NAME] = self.source
        exif[_SOFTWARE] = _SOFTWARE_NAME
        exif[_EXIF_FOLDER] = {_MAKER_NOTE: f"{_KEY} {self.identity}".encode()}
        return exif.tobytes()


def mark(
    source: AnyPath,
    folder: AnyPath,
    title: str,
    companions: Iterable[AnyPath] = (),
    variant: str = "",
    replaced: AnyPath | None = None,
) -> Mark:
    """Makes the mark of a result.

    Args:
        source: The picture that was explained.
        folder: The folder of the result.
        title: What the result shows, for people.
        companions: Files written with it whose formats can't store a mark.
        variant: As for `source_id`.
        replaced: The file that it replaces, if that exists. The new mark keeps the companions of
            that file, so that a later run may replace them.
    """
    own = source_id(source, folder, variant)
    ids = list(map(_name_id, companions))
    # In a store, this would download the file.
    if replaced is not None and not is_remote(replaced) and os.path.exists(replaced):
        earlier, *vouched_for = _read_mark(replaced) or [""]
        ids += vouched_for if earlier == own else []
    identity = " ".join([own, *dict.fromkeys(ids)])
    return Mark(title, printable(file_name(source)), identity)


def is_result_of(path: AnyPath, source: AnyPath, variant: str = "") -> bool:
    """Returns whether the tool made a file from this picture with these options."""
    return _read_mark(path)[:1] == [source_id(source, path.parent, variant)]


def are_results_of(paths: Sequence[AnyPath], source: AnyPath, variant: str = "") -> bool:
    """Returns whether the tool made all these files from this picture with these options.

    Args:
        paths: Existing files in one folder. The mark of the first also covers files that can't
            store one.
        source: The picture.
        variant: As for `source_id`.
    """
    first, *others = paths
    identity, *companions = _read_mark(first) or [""]
    return identity == source_id(source, first.parent, variant) and all(
        _name_id(path) in companions or is_result_of(path, source, variant) for path in others
    )


def is_companion(path: AnyPath, result: AnyPath) -> bool:
    """Returns whether a file was written together with a result of the tool."""
    return _name_id(path) in _read_mark(result)[1:]


def _name_id(path: AnyPath) -> str:
    return _digest(path.name)


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def _read_mark(path: AnyPath) -> list[str]:
    try:
        if is_pipe_or_device(path):
            return []
        if path.name.lower().endswith(_VOLUME):
            return _read_mark_of_volume(path)
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return _read_mark_of_video(path)
        formats = _possible_formats(path)
        with (
            library_warnings_hidden(),
            Image.open(readable(path), formats=formats) as image,
        ):
            if image.format == "PNG":
                return str(image.info.get(_KEY, "")).split()
            if isinstance(image, GifImagePlugin.GifImageFile):
                return _identity_in(image.info.get("comment", b"").decode("ascii"))
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                return _identity_in(str(image.tag_v2.get(_PRIVATE_TAG, "")))
            note = image.getexif().get_ifd(_EXIF_FOLDER).get(_MAKER_NOTE, b"")
            return _identity_in(note.decode("ascii"))
    # A file that can't be read counts as the user's.
    except Exception:
        return []


def _identity_in(comment: str) -> list[str]:
    name, *identity = comment.rstrip("\0").split() or [""]
    return identity if name == _KEY else []


def _read_mark_of_volume(path: AnyPath) -> list[str]:
    """Reads the mark of a packed NIfTI file, which is in a comment after its header."""
    content = readable(path)
    with content if isinstance(content, io.BytesIO) else open(content, "rb") as file:
        start = zlib.decompressobj(wbits=31).decompress(file.read(_SEARCHED), _SEARCHED)
    _before, key, after = start.partition(f"{_KEY} ".encode())
    return _identity_in((key + after.partition(b"\0")[0]).decode("ascii"))


def _read_mark_of_video(path: AnyPath) -> list[str]:
    content = readable(path)
    with content if isinstance(content, io.BytesIO) else open(content, "rb") as file:
        found = _VIDEO_COMMENT.search(texts_of(file))
    return [] if found is None else found["identity"].decode("ascii").split()


def _possible_formats(path: AnyPath) -> tuple[str, ...]:
    """Returns the formats that a result with this name can have: that of its extension, or PNG."""
    ending = path.suffix.lower()
    # Pillow loads only the usual formats at first, because loading all of them takes long.
    if ending not in Image.EXTENSION:
        Image.init()
    return tuple(dict.fromkeys((Image.EXTENSION.get(ending, "PNG"), "PNG")))


def is_marked(path: AnyPath) -> bool:
    """Returns whether the tool wrote a file, from any picture."""
    return bool(_read_mark(path))


def is_named_as_result(path: AnyPath) -> bool:
    """Returns whether a file has the usual name of a result; arrays can't carry a mark."""
    return _NAMED_SO.search(path.stem) is not None


def is_own_result(path: AnyPath) -> bool:
    """Returns the same as `is_marked`, but quickly, for each picture of a folder.

    In a store, where each check takes a request, it recognizes only files with the usual names
    of results.
    """
    if is_remote(path):
        return is_named_as_result(path) and is_marked(path)
    return _has_key(path) and is_marked(path)


def _has_key(path: Path) -> bool:
    """Returns whether a file may contain a mark: near the start, or for some kinds elsewhere."""
    try:
        if is_pipe_or_device(path):
            return False
        if path.name.lower().endswith(_VOLUME):
            return True
        with open(path, "rb", buffering=0) as file:
            start = file.read(_SEARCHED)
            found = _KEY.encode() in start
            if not found and path.suffix.lower() in _MARKED_AT_END:
                file.seek(-min(_SEARCHED, os.fstat(file.fileno()).st_size), os.SEEK_END)
                found = _KEY.encode() in file.read(_SEARCHED)
            elif not found and start.startswith(_TIFF_START):
                # The tags of the first page are where this says. The texts may be before them.
                place = int.from_bytes(start[len(_TIFF_START) : len(_TIFF_START) + 4], "little")
                file.seek(max(0, place - _SEARCHED // 2))
                found = _KEY.encode() in file.read(_SEARCHED)
            return found
    except OSError:
        return False
