"""The file formats of drawings.

To add one, write the function that encodes it and add a row to `FORMATS`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from gradcam_cli.files.marks import Mark
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.rendering.overlay import heatmap_to_image
from gradcam_cli.rendering.png import encode_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT_FORMAT = "png"
# The format of masks, with 1 bit per pixel.
MASK_FORMAT = "png"
_QUALITY = 90
# From 0 to 6; higher values take three times as long and hardly make files smaller.
_WEBP_EFFORT = 2

# From a picture of mode "RGB", its mark and its colour profile to the file's content.
PictureEncoder: TypeAlias = Callable[[Image.Image, Mark | None, bytes | None], bytes]
# Writes a map, (height, width) float32, to a file, with its mark, and whether it is signed: in
# [-1, 1] instead of [0, 1].
HeatmapWriter: TypeAlias = Callable[[np.ndarray, IO[bytes], Mark | None, bool], None]
# Writes a figure to a file, with its mark.
FigureWriter: TypeAlias = "Callable[[Figure, IO[bytes], Mark | None], None]"


@dataclass(frozen=True)
class FileFormat:
    """A file format, and the functions that write each kind of drawing in it.

    Attributes:
        name: The name that users type, which is also the file extension.
        carries_mark: Whether its files can contain the tool's mark. Picture formats must:
            the mark in a picture's first overlay also covers the picture's files without one.
        picture: Encodes an overlay or another drawing on a photograph; None if the format
            can't. The same holds for the next two.
        heatmap: Writes a bare map.
        figure: Writes a labelled figure.
        other_endings: Other file extensions (".jpeg").
    """

    name: str
    carries_mark: bool
    picture: PictureEncoder | None = None
    heatmap: HeatmapWriter | None = None
    figure: FigureWriter | None = None
    other_endings: tuple[str, ...] = ()


def encode_picture(
    image: Image.Image,
    format_: str = DEFAULT_FORMAT,
    mark: Mark | None = None,
    icc_profile: bytes | None = None,
) -> bytes:
    """Encodes an overlay or another drawing on a photograph.

    Args:
        image: Mode "RGB".
        format_: One of `PICTURE_FORMATS`.
        mark: The mark that says where the drawing comes from.
        icc_profile: The colour profile of the photograph.

    Returns:
        The content of the file.

    Raises:
        OSError: The format can't hold a picture of this size.
        ValueError: As for OSError.
    """
    return PICTURE_FORMATS[format_](image, mark, icc_profile)


def save_heatmap(
    heatmap: np.ndarray,
    file: IO[bytes],
    format_: str,
    mark: Mark | None = None,
    signed: bool = False,
) -> None:
    """Writes a bare map.

    Args:
        heatmap: (height, width) float32 in [0, 1], or in [-1, 1] if it is signed.
        file: A file that is open for writing.
        format_: One of `HEATMAP_FORMATS`.
        mark: The mark to embed, if the format can hold it.
        signed: Whether the map is signed. Grey pictures then have their middle at 0.
    """
    HEATMAP_FORMATS[format_](heatmap, file, mark, signed)


def save_mask(mask: np.ndarray, file: IO[bytes], mark: Mark | None = None) -> None:
    """Writes a region as a PNG file with 1 bit per pixel: white inside, black outside.

    Args:
        mask: (height, width) bool.
        file: A file that is open for writing.
        mark: The mark to embed.
    """
    bits = Image.fromarray(mask.astype(np.uint8) * 255).convert("1", dither=Image.Dither.NONE)
    bits.save(file, MASK_FORMAT, pnginfo=None if mark is None else mark.png)


def save_figure(figure: Figure, file: IO[bytes], format_: str, mark: Mark | None = None) -> None:
    """Writes a figure at print resolution.

    Args:
        figure: The Matplotlib figure.
        file: A file that is open for writing.
        format_: One of `FIGURE_FORMATS`.
        mark: The mark to embed, if the format can hold it.
    """
    FIGURE_FORMATS[format_](figure, file, mark)


def format_for(path: AnyPath) -> str:
    """Chooses the format of a picture by its file extension; PNG if it is unknown."""
    ending = path.suffix.lower()
    for row in FORMATS:
        if row.picture is not None and ending in (f".{row.name}", *row.other_endings):
            return row.name
    return DEFAULT_FORMAT


def carries_mark(path: AnyPath) -> bool:
    """Returns whether a file with this extension can contain the tool's mark."""
    ending = path.suffix.lower()
    return any(
        row.carries_mark for row in FORMATS if ending in (f".{row.name}", *row.other_endings)
    )


def _png_picture(image: Image.Image, mark: Mark | None, icc_profile: bytes | None) -> bytes:
    texts = [] if mark is None else mark.png.chunks
    return encode_png(image, [chunk[:2] for chunk in texts], icc_profile)


def _picture_by_pillow(
    image: Image.Image, mark: Mark | None, icc_profile: bytes | None, format_: str, **options: Any
) -> bytes:
    exif = b"" if mark is None else mark.exif
    buffer = io.BytesIO()
    image.save(buffer, format_, exif=exif, icc_profile=icc_profile, **options)
    return buffer.getvalue()


def _png_heatmap(heatmap: np.ndarray, file: IO[bytes], mark: Mark | None, signed: bool) -> None:
    info = None if mark is None else mark.png
    heatmap_to_image(heatmap, signed).save(file, "PNG", pnginfo=info)


def _npy_heatmap(heatmap: np.ndarray, file: IO[bytes], mark: Mark | None, signed: bool) -> None:
    np.save(file, heatmap)


def _png_figure(figure: Figure, file: IO[bytes], mark: Mark | None) -> None:
    options = {} if mark is None else {"pnginfo": mark.png}
    figure.savefig(file, format="png", pil_kwargs=options)


def _pdf_figure(figure: Figure, file: IO[bytes], mark: Mark | None) -> None:
    # Without a date, the same figure gives the same file.
    figure.savefig(file, format="pdf", metadata={"CreationDate": None})


def _svg_figure(figure: Figure, file: IO[bytes], mark: Mark | None) -> None:
    # The ids in it still differ.
    figure.savefig(file, format="svg", metadata={"Date": None})


_jpeg_picture = partial(_picture_by_pillow, format_="JPEG", quality=_QUALITY)
_webp_picture = partial(_picture_by_pillow, format_="WEBP", quality=_QUALITY, method=_WEBP_EFFORT)

# PNG keeps every pixel of a picture; JPEG and WebP files are about a tenth of its size.
FORMATS = (
    FileFormat("png", True, _png_picture, _png_heatmap, _png_figure),
    FileFormat("jpg", True, _jpeg_picture, other_endings=(".jpeg",)),
    FileFormat("webp", True, _webp_picture),
    FileFormat("npy", False, heatmap=_npy_heatmap),
    FileFormat("pdf", False, figure=_pdf_figure),
    FileFormat("svg", False, figure=_svg_figure),
)
PICTURE_FORMATS = {row.name: row.picture for row in FORMATS if row.picture is not None}
HEATMAP_FORMATS = {row.name: row.heatmap for row in FORMATS if row.heatmap is not None}
FIGURE_FORMATS = {row.name: row.figure for row in FORMATS if row.figure is not None}
