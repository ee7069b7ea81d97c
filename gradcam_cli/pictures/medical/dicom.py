"""Reads DICOM files, and makes a picture of those that hold one.

Values follow the modality and the VOI transformations of DICOM PS3.3, C.11.1 and C.11.2. Nothing
that names a patient is kept.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image

from gradcam_cli.errors import GradcamError, GradcamWarning, ImageError, reason
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath, is_remote
from gradcam_cli.pictures.medical.opened_files import (
    MOST_BYTES,
    MOST_VOXELS,
    opened_file,
)
from gradcam_cli.pictures.medical.slice_pictures import draw_slice
from gradcam_cli.pictures.medical.windows import (
    Window,
    doubts_about,
    full_window,
    parse_window,
    window_of,
)
from gradcam_cli.runtime.extras import import_extra
from gradcam_cli.runtime.library_warnings import library_warnings_hidden

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
_PREAMBLE, _MAGIC = 128, b"DICM"
# Near the start of a file that is encrypted as a whole (CMS, RFC 5652: enveloped data).
_ENVELOPED = bytes.fromhex("06092a864886f70d010703")
_ENVELOPE_START = 64
_DEFLATED = b"1.2.840.10008.1.2.1.99"
# The first element, the length of what says how the rest is compressed.
_LENGTH_TAG = b"\x02\0\0\0UL\x04\0"
_MOST_META = 65536
_CHUNK = 2**20
_BITS = 8
# The package that decodes a compression, by what is in the name of the latter.
_CODECS = (
    ("pylibjpeg-openjpeg", ("JPEG 2000",)),
    ("pylibjpeg-libjpeg", ("JPEG",)),
    ("pylibjpeg-rle", ("RLE",)),
)
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

# Pydicom logs what is odd about files; what matters is an error here.
logging.getLogger("pydicom").addHandler(logging.NullHandler())
logging.getLogger("pydicom").propagate = False


def is_dicom(path: AnyPath) -> bool:
    """Returns whether a file is DICOM: by its name or, if that has no extension, by its start."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    # Scanners write names such as "IM000001" and "1.2.840.10008.5".
    if is_remote(path) or not path.is_file() or path.suffix[1:].isalpha():
        return False
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE + len(_MAGIC)).endswith(_MAGIC)
    except OSError:
        return False


def read_dataset(
    path: AnyPath, downloads: Downloads | None = None, *, with_pixels: bool = True
) -> Dataset:
    """Reads a DICOM file.

    Args:
        path: The file as the user would write it.
        downloads: Downloads it from a URL; None for the default limits.
        with_pixels: Whether to read the pixels too.

    Returns:
        The file's data. The numbers of its rows, columns and frames are within limits.

    Raises:
        ImageError: It can't be read, isn't DICOM or holds no picture, or pydicom isn't installed.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    import_extra("pydicom", "medical", str(path))
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    with opened_file(path, downloads) as stream:
        if _ENVELOPED in stream.read(_ENVELOPE_START):
            raise ImageError(f"{path}: is encrypted; decrypt it first")
        _check_size(path, stream)
        try:
            dataset = pydicom.dcmread(stream, stop_before_pixels=not with_pixels)
        except InvalidDicomError:
            # Files of old machines begin without the usual mark.
            stream.seek(0)
            dataset = pydicom.dcmread(stream, stop_before_pixels=not with_pixels, force=True)
            if "Rows" not in dataset or "Columns" not in dataset:
                raise ImageError(f"{path}: not a DICOM file") from None
            if _syntax_of(dataset) is None:
                is_implicit = dataset.original_encoding[0]
                syntax = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
                dataset.file_meta.TransferSyntaxUID = syntax
        _check_picture(path, dataset, with_pixels)
        return dataset


def _check_size(path: AnyPath, stream: IO[bytes]) -> None:
    """Refuses a file that would fill the memory; leaves the stream at its start."""
    if stream.seek(0, io.SEEK_END) > 2 * MOST_BYTES:
        raise ImageError(f"{path}: refused, it is larger than {2 * MOST_BYTES:,} bytes")
    stream.seek(0)
    start = stream.read(_MOST_META)
    if _DEFLATED not in start:
        stream.seek(0)
        return
    first = _PREAMBLE + len(_MAGIC)
    if start[first : first + len(_LENGTH_TAG)] != _LENGTH_TAG:
        raise ImageError(f"{path}: damaged, it doesn't say where its compressed part begins")
    (length,) = struct.unpack_from("<I", start, first + len(_LENGTH_TAG))
    stream.seek(first + len(_LENGTH_TAG) + struct.calcsize("<I") + length)
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpacker.eof and (content := unpacker.unconsumed_tail or stream.read(_CHUNK)):
        size += len(unpacker.decompress(content, _CHUNK))
        if size > MOST_BYTES:
            raise ImageError(f"{path}: refused, it unpacks to more than {MOST_BYTES:,} bytes")
    stream.seek(0)


def _check_picture(path: AnyPath, dataset: Dataset, with_pixels: bool) -> None:
    if "DirectoryRecordSequence" in dataset:
        raise ImageError(f"{path}: is an index of DICOM files (DICOMDIR); name the files instead")
    has_pixels = not with_pixels or any(name in dataset for name in _PIXELS)
    if not has_pixels and "EncryptedAttributesSequence" in dataset:
        raise ImageError(f"{path}: is encrypted and holds no readable picture; decrypt it first")
    if not has_pixels or "Rows" not in dataset or "Columns" not in dataset:
        raise ImageError(f"{path}: holds no picture, only other data")
    lengths = (int(dataset.Columns), int(dataset.Rows), frame_count(dataset))
    text = "×".join(map(str, lengths))
    if min(lengths) < 1:
        raise ImageError(f"{path}: damaged, it declares {text} pixels")
    voxels = math.prod(lengths) * int(dataset.get("SamplesPerPixel") or 1)
    if voxels > MOST_VOXELS or voxels * int(dataset.get("BitsAllocated") or 8) > 8 * MOST_BYTES:
        raise ImageError(f"{path}: refused, it declares {text} pixels; make it smaller first")


def frame_count(dataset: Dataset) -> int:
    """Returns how many pictures a DICOM file holds."""
    return int(dataset.get("NumberOfFrames") or 1)


def read_dicom_picture(dataset: Dataset, path: AnyPath, window: str | None) -> Image.Image:
    """Makes a picture of a DICOM file that holds one, such as an X-ray, as it is stored.

    Args:
        dataset: What `read_dataset` returned, with pixels.
        path: The file, for messages.
        window: As for `parse_window`; None for the window of the file, else from its minimum to
            its maximum.

    Returns:
        Mode "RGB", with square pixels.

    Raises:
        ImageError: Its pixels can't be decoded.
    """
    chosen = parse_window(window)
    values = next(decoded_frames(dataset, path))
    if values.ndim == 2 and chosen is None:
        with _decoding(dataset, path):
            values, chosen = _looked_up(values, dataset)
    if values.ndim == 3 or chosen is None:
        chosen = full_window(values)
    else:
        for doubt in doubts_about(chosen, window, values, str(dataset.get("Modality") or "")):
            warnings.warn(f"{path}: {doubt}", GradcamWarning, stacklevel=2)
    spacing = next(
        (
            found
            for name in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio")
            if (found := numbers_of(dataset, name, 2)) and min(found) > 0
        ),
        [1.0, 1.0],
    )
    return draw_slice(values, chosen, is_inverted(dataset), (spacing[0], spacing[1]))


def _looked_up(values: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, Window | None]:
    """Applies the table of greys that X-rays often have; else returns the file's window."""
    from pydicom.pixels import apply_voi

    if not dataset.get("VOILUTSequence"):
        return values, window_in(dataset)
    length, first, bits = map(int, dataset.VOILUTSequence[0].LUTDescriptor)
    # Pydicom's own limits overflow.
    within = np.rint(values).clip(first, first + (length or 2**16) - 1)
    greys = apply_voi(within.astype(np.int64), dataset)
    return greys, Window(0, 2**bits - 1, "table of greys in the file")


def window_in(item: Dataset) -> Window | None:
    """Returns the first window that a file or one of its frames names; None without one."""
    center, width = numbers_of(item, "WindowCenter"), numbers_of(item, "WindowWidth")
    if not center or not width or width[0] <= 0:
        return None
    function = str(item.get("VOILUTFunction") or "LINEAR")
    return window_of(
        center[0],
        width[0],
        "in the file",
        is_sigmoid=function == "SIGMOID",
        is_exact=function != "LINEAR",
    )


def is_inverted(dataset: Dataset) -> bool:
    """Returns whether low values are white."""
    return str(dataset.get("PhotometricInterpretation")) == "MONOCHROME1"


def numbers_of(item: Dataset, name: str, count: int | None = None) -> list[float] | None:
    """Returns an attribute of a DICOM file as numbers.

    Args:
        item: The file, or an item in it.
        name: The attribute.
        count: How many numbers it has; None for at least one.

    Returns:
        Finite numbers; None if there are no such.
    """
    try:
        value = item.get(name)
        values = [value] if isinstance(value, (str, float, int)) else list(value or [])
        numbers = [float(one) for one in values]
    except (TypeError, ValueError):
        return None
    if not numbers or len(numbers) != (count or len(numbers)) or not np.isfinite(numbers).all():
        return None
    return numbers


def item_of(dataset: Dataset, number: int, sequence: str) -> Dataset:
    """Returns where a file says something about one of its frames.

    Args:
        dataset: The file.
        number: The frame, from 0.
        sequence: The name of the group of attributes.

    Returns:
        The item of the frame, else that of all frames, else the file itself.
    """
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in (per_frame[number : number + 1], shared[:1]):
        for group in groups:
            if group.get(sequence):
                found: Dataset = group[sequence][0]
                return found
    return dataset


def decoded_frames(dataset: Dataset, path: AnyPath) -> Iterator[np.ndarray]:
    """Decodes the pictures of a DICOM file one after the other.

    Args:
        dataset: What `read_dataset` returned, with pixels.
        path: The file, for messages.

    Yields:
        (rows, columns) float32 in the unit of the file, or (rows, columns, 3) uint8.

    Raises:
        ImageError: They can't be decoded.
    """
    from pydicom.pixels import pixel_array

    with _decoding(dataset, path):
        _check_decoder(dataset, path)
    for number in range(frame_count(dataset)):
        with _decoding(dataset, path):
            values = _to_values(pixel_array(dataset, index=number), dataset, number)
        yield values


@contextlib.contextmanager
def _decoding(dataset: Dataset, path: AnyPath) -> Iterator[None]:
    """Turns every error of decoders into one line."""
    try:
        with library_warnings_hidden():
            yield
    except GradcamError:
        raise
    except MemoryError:
        raise ImageError(f"{path}: there isn't enough memory to read it") from None
    # Decoders raise many kinds of errors for broken files.
    except Exception as error:
        # The reasons of several decoders are on lines of their own.
        why = reason(ValueError(" ".join(str(error).split()) or type(error).__name__))
        raise ImageError(
            f"{path}: its pixels can't be decoded ({why}){_advice(dataset)}"
        ) from error


def _check_decoder(dataset: Dataset, path: AnyPath) -> None:
    """Finds out whether an installed package decodes the pixels of a file.

    Raises:
        ImageError: None does.
    """
    from pydicom.pixels import get_decoder

    syntax = _syntax_of(dataset)
    if syntax is None:
        return
    try:
        is_available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise ImageError(
            f"{path}: its pixels are compressed as {syntax.name}, which can't be read; save it "
            f"uncompressed"
        ) from None
    if not is_available:
        raise ImageError(
            f"{path}: its pixels are compressed as {syntax.name}, which no installed package "
            f"decodes{_advice(dataset)}"
        )


def _to_values(stored: np.ndarray, dataset: Dataset, number: int) -> np.ndarray:
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    if str(dataset.get("PhotometricInterpretation")) == "PALETTE COLOR":
        bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
        return _to_8_bits(apply_color_lut(stored, dataset), bits)
    if stored.ndim == 3:
        return _to_8_bits(stored, int(dataset.BitsStored))
    item = item_of(dataset, number, "PixelValueTransformationSequence")
    values = np.array(apply_modality_lut(stored, item), np.float32)
    return _without_padding(values, stored, dataset)


def _without_padding(values: np.ndarray, stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Makes pixels that are no part of the picture as dark as its darkest.

    Their value is often far below all others (PS3.3, C.7.5.1.1.2), so that a window from the lowest
    value on would show nearly no differences between these.
    """
    first = numbers_of(dataset, "PixelPaddingValue", 1)
    if first is None:
        return values
    last = numbers_of(dataset, "PixelPaddingRangeLimit", 1) or first
    ends = np.array([*first, *last])
    if stored.dtype.kind == "i":
        # Some files write a negative number as if it had no sign.
        ends[ends > np.iinfo(stored.dtype).max] -= 2.0 ** (_BITS * stored.dtype.itemsize)
    is_padding = (stored >= ends.min()) & (stored <= ends.max())
    picture = values[~is_padding]
    if picture.size:
        values[is_padding] = picture.max() if is_inverted(dataset) else picture.min()
    return values


def _to_8_bits(colors: np.ndarray, bits: int) -> np.ndarray:
    if bits == _BITS:
        return colors.astype(np.uint8)
    scaled = colors.astype(np.float64) * ((2**_BITS - 1) / (2**bits - 1))
    return np.asarray(np.rint(scaled), np.uint8)


def _syntax_of(dataset: Dataset) -> UID | None:
    """Returns how the pixels of a file are compressed; None if it doesn't say."""
    from pydicom.uid import UID

    meta = getattr(dataset, "file_meta", None)
    found = None if meta is None else meta.get("TransferSyntaxUID")
    return found if isinstance(found, UID) else None


def _advice(dataset: Dataset) -> str:
    """Returns the end of an error: the command that installs another decoder, if there is one."""
    syntax = _syntax_of(dataset)
    if syntax is None:
        return ""
    for codec, names in _CODECS:
        if any(name in syntax.name for name in names):
            return f"; another decoder: pip install pylibjpeg {codec}"
    return ""
