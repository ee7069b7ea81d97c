"""Opens files of several pictures, whatever their format."""

from __future__ import annotations

from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import VIDEO_SUFFIXES
from gradcam_cli.files.storage import AnyPath, to_path
from gradcam_cli.pictures.stacks.stack import Stack

_OF_ONE_PICTURE = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".bmp"})


def is_stack_by_name(path: str | AnyPath) -> bool:
    """Returns whether a file can only be a stack, which its name says: a video or a volume.

    Other files show when they are opened whether they hold several pictures:
    `gradcam_cli.pictures.reading.read_picture` then raises a `SeveralPicturesError`.

    Args:
        path: The file.
    """
    return to_path(path).suffix.lower() in VIDEO_SUFFIXES


def may_hold_several(path: str | AnyPath) -> bool:
    """Returns whether a file with such a name may be a stack; those of photos and others can't.

    Args:
        path: The file.
    """
    return to_path(path).suffix.lower() not in _OF_ONE_PICTURE


def open_stack(
    path: str | AnyPath,
    downloads: Downloads | None = None,
    window: str | None = None,
    orientation: str | None = None,
) -> Stack | None:
    """Opens a file of several pictures: a video, an animation, a TIFF of pages or a volume.

    Args:
        path: The file, a URL, or a folder of DICOM files.
        downloads: Downloads it from a URL; None for the default limits.
        window: How to turn the values of a volume into grey; None for the usual way.
        orientation: The axes of a volume as a network takes it; None for those of the file.

    Returns:
        The stack; None for a file with one picture. A JPEG of several (MPO) counts as one.

    Raises:
        ImageError: The file can't be read, isn't such a file, or the package that reads it isn't
            installed.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    path = to_path(path)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        from gradcam_cli.pictures.stacks.video import open_video

        return open_video(path, downloads)
    from gradcam_cli.pictures.stacks.animation import open_animation

    return open_animation(path, downloads)
