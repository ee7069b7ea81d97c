"""What the readers of medical files share: opening them, and errors of one line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gradcam_cli.errors import GradcamError, ImageError, reason
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath, is_pipe_or_device, readable
from gradcam_cli.files.text import LFS_POINTER, is_lfs_pointer
from gradcam_cli.runtime.library_warnings import library_warnings_hidden

# A file can declare any shape. This is a scan of 1,000 slices of 512×512.
MOST_VOXELS = 2**28
MOST_BYTES = 2**30
# What Git LFS leaves is recognized by this many bytes.
_START = 40


@contextlib.contextmanager
def opened_file(path: AnyPath, downloads: Downloads | None = None) -> Iterator[IO[bytes]]:
    """Opens a file for reading, and turns every error in the block into one line.

    Args:
        path: The file as the user would write it.
        downloads: Downloads it from a URL; None for the default limits.

    Raises:
        ImageError: It can't be opened, or the block raised an error of another library.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    if is_pipe_or_device(path):
        raise ImageError(f"{path}: is a pipe or a device, not a picture")
    try:
        content = readable(path, downloads)
        # Nibabel and pydicom warn of much that doesn't matter for pictures.
        with _stream_of(content) as stream, library_warnings_hidden():
            if is_lfs_pointer(stream.read(_START)):
                raise ImageError(f"{path}: {LFS_POINTER}")
            stream.seek(0)
            yield stream
    except GradcamError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: is a folder, not a picture") from None
    except PermissionError:
        raise ImageError(f"{path}: no permission to read it") from None
    except MemoryError:
        raise ImageError(f"{path}: there isn't enough memory to read it") from None
    # Readers raise many kinds of errors for broken files.
    except Exception as error:
        raise ImageError(f"{path}: damaged or truncated ({reason(error)})") from error


def _stream_of(content: Path | io.BytesIO) -> IO[bytes]:
    return content.open("rb") if isinstance(content, Path) else content
