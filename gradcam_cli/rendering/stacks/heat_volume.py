"""Writes the heat of a volume as a NIfTI file that lies where the volume lies."""

from __future__ import annotations

import gzip
from typing import IO, Any

import numpy as np
from PIL import Image

from gradcam_cli.files.marks import Mark
from gradcam_cli.pictures.stacks.nifti import PLACE_FIELDS
from gradcam_cli.pictures.stacks.stack import Frame
from gradcam_cli.pictures.stacks.volumes import Volume
from gradcam_cli.pictures.stacks.voxels import Voxels, spacing_of
from gradcam_cli.rendering.stacks.writer import StackWriter

# Coordinates in the scanner, and lengths in mm (nifti1.h).
_SCANNER, _UNKNOWN, _MILLIMETRES = 1, 0, 2
_UNITS_OF_SPACE = 7
# The cosine of the angle between two axes from which they are not at right angles.
_SHEARED = 1e-3
# Higher levels take twice as long and hardly make files smaller.
_COMPRESSION = 4
# More steps make files larger by half, and no eye sees them.
_STEPS = 4096.0


class HeatVolumeWriter(StackWriter):
    """Writes a NIfTI file with a value in [0, 1] for each voxel (see `StackWriter`).

    It has the shape, the orientation and the units of the volume, and the same version of NIfTI;
    of DICOM, NIfTI-1 in coordinates of the scanner. Slices that weren't explained and parts that
    the network didn't see are 0. Nothing else is taken over from the file, because headers may
    name patients.
    """

    def __init__(self, stack: Volume, file: IO[bytes], mark: Mark) -> None:
        """Starts without heat.

        Args:
            stack: The volume.
            file: A file that is open for writing.
            mark: The mark that says where the heat comes from.
        """
        self._volume = stack
        self._file = file
        self._mark = mark
        # The system gives memory only for slices with heat.
        self._heat = np.zeros(stack.voxels.shape, np.float32, order="F")

    def add(self, frame: Frame, overlay: Image.Image, heat: np.ndarray) -> None:
        """Puts the heat of a slice where its voxels are."""
        rounded = (heat * _STEPS).round() / _STEPS
        self._volume.put(rounded, frame.number, self._heat)

    def close(self) -> None:
        """Writes the file."""
        from nibabel.nifti1 import Nifti1Extension

        header, kind = _header_of(self._volume.voxels)
        image = kind(self._heat, None, header)
        image.header.extensions.append(Nifti1Extension("comment", self._mark.comment.encode()))
        # Without a time and a name, the same heat gives the same file.
        with gzip.GzipFile("", "wb", _COMPRESSION, self._file, mtime=0) as packed:
            image.to_stream(packed)


def _header_of(voxels: Voxels) -> tuple[Any, Any]:
    """Makes the header of the heat, and returns the class of its file."""
    from nibabel.nifti1 import Nifti1Header, Nifti1Image
    from nibabel.nifti2 import Nifti2Header, Nifti2Image

    fields = voxels.nifti
    is_second = fields is not None and fields["version"] == 2
    header: Any = Nifti2Header() if is_second else Nifti1Header()
    header.set_data_shape(voxels.shape)
    header.set_data_dtype(np.float32)
    header["descrip"] = b"heat of a network, by gradcam"
    header["cal_min"], header["cal_max"] = 0, 1
    if fields is not None:
        for name in PLACE_FIELDS:
            header[name] = fields[name]
        header["pixdim"][:4] = fields["pixdim"][:4]
        header["xyzt_units"] = int(fields["xyzt_units"]) & _UNITS_OF_SPACE
    else:
        header["xyzt_units"] = _MILLIMETRES
        header["pixdim"][1:4] = spacing_of(voxels.affine)
        if voxels.is_oriented:
            header.set_sform(voxels.affine, _SCANNER)
            is_sheared = _is_sheared(voxels.affine)
            header.set_qform(voxels.affine, _UNKNOWN if is_sheared else _SCANNER)
    return header, Nifti2Image if is_second else Nifti1Image


def _is_sheared(affine: np.ndarray) -> bool:
    """Returns whether axes aren't at right angles, which a qform can't say."""
    directions = affine[:3, :3] / np.asarray(spacing_of(affine))
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() > _SHEARED)
