"""Finds series among DICOM files: the files of one scan, with a slice each, are one volume."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from gradcam_cli.errors import GradcamError, ImageError
from gradcam_cli.files.finding import InputPicture, find_pictures
from gradcam_cli.files.storage import AnyPath, is_remote
from gradcam_cli.pictures.medical.dicom import frame_count, is_dicom, numbers_of, read_dataset

# What distinguishes a series: its number, the size of its slices and their direction.
_Series = tuple[str, int, int, tuple[float, ...]]


def group_series(pictures: Iterable[InputPicture]) -> Iterator[InputPicture]:
    """Makes one entry of the files of each series of DICOM.

    Files belong together if they are in one folder, have the same series number, size and
    direction, and say where their slices lie. Other files, such as X-rays, stay as they are, and
    so do files in stores, those with a class or values of their own, and a file that is alone.

    Args:
        pictures: The pictures of a run, folder by folder.

    Yields:
        The pictures, with each series at the place of its first file. Its path is the folder if
        that has no other DICOM files, else its first file.
    """
    for folder, group in groupby(pictures, _folder_of):
        if folder is None:
            yield from group
        else:
            yield from _in_folder(folder, list(group))


def files_of_series(folder: Path) -> tuple[AnyPath, ...]:
    """Returns the files of the series that a folder holds.

    Args:
        folder: A local folder.

    Raises:
        ImageError: It holds no series of DICOM files, or several.
    """
    found = [one for one in group_series(find_pictures([folder])) if one.files]
    if len(found) != 1:
        raise ImageError(
            f"{folder}: is a folder with {len(found)} series of DICOM files, not with one"
        )
    return found[0].files


def _folder_of(picture: InputPicture) -> Path | None:
    """Returns the folder of a DICOM file that may belong to a series; None for other files."""
    is_plain = picture.target is None and not picture.values and picture.part is None
    if is_remote(picture.path) or not is_plain or not is_dicom(picture.path):
        return None
    return picture.path.parent


def _in_folder(folder: Path, pictures: Sequence[InputPicture]) -> Iterator[InputPicture]:
    if len(pictures) == 1:
        yield from pictures
        return
    series = [_series_of(picture) for picture in pictures]
    for place, (picture, own) in enumerate(zip(pictures, series, strict=True)):
        members = [one for one, other in zip(pictures, series, strict=True) if other == own]
        if own is None or len(members) == 1:
            yield picture
        elif series.index(own) == place:
            files = tuple(member.path for member in members)
            if len(members) < len(pictures) or not folder.name:
                yield replace(picture, files=files)
            else:
                yield replace(picture, path=folder, folder=picture.folder.parent, files=files)


def _series_of(picture: InputPicture) -> _Series | None:
    # Files that can't be read report that when they are explained.
    with contextlib.suppress(GradcamError):
        dataset = read_dataset(picture.path, with_pixels=False)
        number = str(dataset.get("SeriesInstanceUID") or "")
        direction = numbers_of(dataset, "ImageOrientationPatient", 6)
        has_place = numbers_of(dataset, "ImagePositionPatient", 3) is not None
        if number and direction and has_place and frame_count(dataset) == 1:
            rounded = tuple(round(one, 2) for one in direction)
            return number, int(dataset.Rows), int(dataset.Columns), rounded
    return None
