"""Opens files of several pictures, whatever their format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec

from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import VOLUME_SUFFIXES, ending_of
from gradcam_cli.files.storage import AnyPath, is_remote, to_path
from gradcam_cli.files.video_containers import VIDEO_SUFFIXES
from gradcam_cli.pictures.medical.dicom import frame_count, is_dicom, read_dataset
from gradcam_cli.pictures.stacks.series import files_of_series
from gradcam_cli.pictures.stacks.stack import Stack
from gradcam_cli.pictures.stacks.volumes import Volume, VolumeOptions

_USUAL = VolumeOptions()

_OF_ONE_PICTURE = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".bmp"})


def is_stack_by_name(path: str | AnyPath) -> bool:
    """Returns whether a file can only be a stack, which its name says: a video or a volume.

    Other files show when they are opened whether they hold several pictures:
    `gradcam_cli.pictures.reading.read_picture` then raises a `SeveralPicturesError`.

    Args:
        path: The file.
    """
    return ending_of(to_path(path)) in VIDEO_SUFFIXES | VOLUME_SUFFIXES


def may_hold_several(path: str | AnyPath) -> bool:
    """Returns whether a file with such a name may be a stack; those of photos and others can't.

    Args:
        path: The file.
    """
    return to_path(path).suffix.lower() not in _OF_ONE_PICTURE


def can_read_videos() -> bool:
    """Returns whether the package that reads videos is installed."""
    return find_spec("av") is not None


def open_stack(
    path: str | AnyPath,
    downloads: Downloads | None = None,
    volume: VolumeOptions = _USUAL,
    files: Sequence[AnyPath] = (),
) -> Stack | None:
    """Opens a file of several pictures: a video, an animation, a TIFF of pages or a volume.

    Args:
        path: The file, a URL, or a folder of DICOM files.
        downloads: Downloads it from a URL; None for the default limits.
        volume: How a volume becomes pictures.
        files: If the path is that of a series of DICOM files, these; empty for all of a folder.

    Returns:
        The stack; None for a file with one picture. A JPEG of several (MPO) counts as one.

    Raises:
        ImageError: The file can't be read, or isn't such a file.
        MissingExtraError: The package that reads it isn't installed.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    path = to_path(path)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        from gradcam_cli.pictures.stacks.video import open_video

        return open_video(path, downloads)
    if not files and not is_remote(path) and os.path.isdir(path):
        files = files_of_series(path)
    if files:
        from gradcam_cli.pictures.stacks.dicom_volumes import open_series

        return Volume(path, open_series(path, files, downloads), volume)
    if ending_of(path) in VOLUME_SUFFIXES:
        from gradcam_cli.pictures.stacks.nifti import open_nifti

        return Volume(path, open_nifti(path, downloads), volume)
    if is_dicom(path):
        dataset = read_dataset(path, downloads, with_pixels=False)
        if frame_count(dataset) == 1:
            return None
        from gradcam_cli.pictures.stacks.dicom_volumes import open_frames

        return Volume(path, open_frames(dataset, path, downloads), volume)
    from gradcam_cli.pictures.stacks.animation import open_animation

    return open_animation(path, downloads)
