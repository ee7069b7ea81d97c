"""Reads volumes in NIfTI-1 and NIfTI-2 files (.nii, .nii.gz).

The headers follow nifti1.h and nifti2.h of the NIfTI Data Format Working Group (2004, 2011).
"""

from __future__ import annotations

import gzip
import io
import math
import struct
from functools import partial
from typing import IO, Any

import numpy as np

from gradcam_cli.errors import ImageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.medical.opened_files import (
    MOST_BYTES,
    MOST_VOXELS,
    opened_file,
)
from gradcam_cli.pictures.medical.windows import Window
from gradcam_cli.pictures.stacks.voxels import Voxels, is_usable
from gradcam_cli.runtime.extras import import_extra

# The fields that say where a volume lies; a heat map repeats them.
PLACE_FIELDS = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
_GZIP = b"\x1f\x8b"
_SIZE_1, _SIZE_2 = 348, 540
_MAGIC_1, _MAGIC_2 = b"n+1\0", b"n+2\0"
_PAIR_1, _PAIR_2 = b"ni1\0", b"ni2\0"
# Text in the header's extensions comes before the values.
_MOST_BEFORE = 2**24
# The header of a single file ends with four bytes that say whether there are extensions.
_FLAGS = 4
# What may follow the values is read in such parts, up to the limit, to find the checksum.
_CHUNK, _MOST_AFTER = 2**16, 2**24
_UNITS_OF_SPACE = 7
_MILLIMETRES = {1: 1000.0, 3: 0.001}
_COLORS = ("R", "G", "B")


def open_nifti(path: AnyPath, downloads: Downloads | None = None) -> Voxels:
    """Reads the header of a NIfTI file.

    Args:
        path: The file as the user would write it.
        downloads: Downloads it from a URL; None for the default limits.

    Returns:
        The volume. The place of each voxel comes from the sform, else from the qform.

    Raises:
        ImageError: It can't be read, isn't a NIfTI file of a single volume, is far too large or
            doesn't say where its voxels are, or nibabel isn't installed.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    import_extra("nibabel", "medical", str(path))
    with opened_file(path, downloads) as stream, _unpacked(stream) as unpacked:
        header = _read_header(path, unpacked)
        shape = _shape_of(path, header)
        kind = _kind_of(path, header)
        offset = int(header.get_data_offset())
        size = math.prod(shape) * kind.itemsize
        if math.prod(shape) > MOST_VOXELS or size > MOST_BYTES:
            raise ImageError(
                f"{path}: refused, it declares {'×'.join(map(str, shape))} voxels of "
                f"{kind.itemsize} bytes; make it smaller first"
            )
        if offset < int(header["sizeof_hdr"]) + _FLAGS:
            raise ImageError(
                f"{path}: damaged, its values begin at byte {offset:,}, within its header"
            )
        if offset > _MOST_BEFORE:
            raise ImageError(f"{path}: refused, its values begin only after {offset:,} bytes")
        scaling = header.get_slope_inter()
        affine, is_oriented = _affine_of(path, header)
    fields = {name: header[name].copy() for name in (*PLACE_FIELDS, "pixdim", "xyzt_units")}
    return Voxels(
        shape,
        affine,
        partial(_read_values, path, downloads, offset, shape, kind, scaling),
        is_oriented=is_oriented,
        window=_window_of(header),
        nifti={**fields, "version": 2 if header["sizeof_hdr"] == _SIZE_2 else 1},
    )


def _unpacked(stream: IO[bytes]) -> IO[bytes]:
    is_packed = stream.read(len(_GZIP)) == _GZIP
    stream.seek(0)
    return gzip.GzipFile(fileobj=stream) if is_packed else stream  # type: ignore[return-value]


def _read_header(path: AnyPath, stream: IO[bytes]) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    start = stream.read(_SIZE_2)
    sizes = {struct.unpack(f"{order}i", start[:4])[0] for order in "<>" if len(start) >= 4}
    if _SIZE_2 in sizes and start[4:8] == _MAGIC_2 and len(start) == _SIZE_2:
        header = Nifti2Header.from_fileobj(io.BytesIO(start), check=False)
    elif _SIZE_1 in sizes and start[344:348] == _MAGIC_1:
        header = Nifti1Header.from_fileobj(io.BytesIO(start[:_SIZE_1]), check=False)
    elif start[344:348] == _PAIR_1 or start[4:8] == _PAIR_2:
        raise ImageError(
            f"{path}: is only the header of a pair of files (.hdr and .img); save them as one "
            f".nii file"
        )
    elif (_SIZE_1 in sizes and len(start) < _SIZE_1) or (_SIZE_2 in sizes and len(start) < _SIZE_2):
        raise ImageError(f"{path}: truncated, it ends within its header")
    elif _SIZE_1 in sizes:
        raise ImageError(
            f"{path}: is an Analyze file, which doesn't say where its voxels are; save it as NIfTI"
        )
    else:
        raise ImageError(f"{path}: not a NIfTI file")
    return header


def _shape_of(path: AnyPath, header: Any) -> tuple[int, int, int]:
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        raise ImageError(f"{path}: damaged, it declares {count} axes")
    lengths = [int(length) for length in header["dim"][1 : count + 1]]
    lengths += [1] * (3 - len(lengths))
    text = "×".join(map(str, lengths))
    if min(lengths) < 1:
        raise ImageError(f"{path}: damaged, it declares {text} voxels")
    volumes = math.prod(lengths[3:])
    if volumes > 1:
        raise ImageError(
            f"{path}: holds {volumes:,} volumes ({text}), not one; save one of them as a file, "
            f"with nibabel by image.slicer[..., 0]"
        )
    return lengths[0], lengths[1], lengths[2]


def _kind_of(path: AnyPath, header: Any) -> np.dtype[Any]:
    """Returns the type of a voxel: a real number, or colours."""
    from nibabel.spatialimages import HeaderDataError

    try:
        kind: np.dtype[Any] = header.get_data_dtype()
    # The second is that of numbers that nobody defined.
    except (HeaderDataError, KeyError):
        kind = np.dtype("V0")
    names = kind.names
    if names is not None and names[:3] == _COLORS and all(kind[one] == np.uint8 for one in names):
        return kind
    if kind.kind not in "iuf" or not kind.itemsize:
        raise ImageError(
            f"{path}: its voxels are neither real numbers nor colours (NIfTI datatype "
            f"{int(header['datatype'])}); save it with another type"
        )
    return kind


def _affine_of(path: AnyPath, header: Any) -> tuple[np.ndarray, bool]:
    """Returns the affine in mm, and whether the file says how the patient lies."""
    if header["pixdim"][0] == 0:
        # The standard reads it as 1.
        header["pixdim"][0] = 1
    unit = _MILLIMETRES.get(int(header["xyzt_units"]) & _UNITS_OF_SPACE, 1.0)
    to_millimetres = np.diag([unit, unit, unit, 1.0])
    for code, read in (("sform_code", header.get_sform), ("qform_code", header.get_qform)):
        if header[code] > 0:
            affine = to_millimetres @ np.asarray(read(), np.float64)
            if not is_usable(affine):
                raise ImageError(
                    f"{path}: its {code[:5]} doesn't say where its voxels are (it has NaN or no "
                    f"extent); mend the header first"
                )
            return affine, True
    spacing = np.abs(np.asarray(header["pixdim"][1:4], np.float64)) * unit
    spacing[~(np.isfinite(spacing) & (spacing > 0))] = 1.0
    # Without an orientation, columns are taken as if they ran to the left, as most viewers do.
    return np.diag([-spacing[0], *spacing[1:], 1.0]), False


def _window_of(header: Any) -> Window | None:
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return None
    return Window(low, high, f"from {low:g} to {high:g} (cal_min, cal_max)")


def _read_values(
    path: AnyPath,
    downloads: Downloads | None,
    offset: int,
    shape: tuple[int, int, int],
    kind: np.dtype[Any],
    scaling: tuple[float | None, float | None],
) -> np.ndarray:
    """Reads the values of a volume: `shape`, or with 3 colours."""
    size = math.prod(shape) * kind.itemsize
    with opened_file(path, downloads) as stream, _unpacked(stream) as unpacked:
        unpacked.seek(offset)
        content = unpacked.read(size)
        # A packed file has its checksum at its end, where damage is noticed.
        after = 0
        while after < _MOST_AFTER and (rest := unpacked.read(_CHUNK)):
            after += len(rest)
    if len(content) < size:
        raise ImageError(
            f"{path}: truncated, it has {len(content):,} of {size:,} bytes of its values"
        )
    stored = np.frombuffer(content, kind).reshape(shape, order="F")
    if kind.names is not None:
        return np.stack([stored[name] for name in _COLORS], axis=-1)
    slope, intercept = scaling
    if slope is None or (slope, intercept) == (1.0, 0.0):
        return stored
    values = np.empty(shape, np.float32, order="F")
    for number in range(shape[2]):
        values[..., number] = stored[..., number] * np.float64(slope) + np.float64(intercept or 0)
    return values
