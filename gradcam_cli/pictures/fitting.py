"""Fits a picture to a network's input, and maps to the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from gradcam_cli.errors import UsageError

Box = tuple[float, float, float, float]

FITS = ("keep", "squash", "crop", "cover", "pad")
# Networks are usually evaluated on a centre crop of this fraction of the picture's short side.
CENTRE_CROP = 0.875
# The last map of a network usually has this many cells along the input's side.
_CELLS = 7
LARGEST_STRIDE = 32
# A picture at least six times as long as the input is first reduced by an integer factor, to at
# least three times the input's length. This takes a fifth of the time and changes values by at
# most 2 of 255.
_REDUCING_GAP = 3.0
# For more extreme aspect ratios even "keep" squashes, or a strip would have no height left.
_LONGEST_ASPECT_RATIO = 16.0
# The mean colour of ImageNet, which networks take best for "nothing".
_FILL = (124, 116, 104)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Placement:
    """Where a map lies on a picture, with all that is needed to draw it.

    Attributes:
        position: The left and top edge of the drawn map, in picture pixels.
        size: The (width, height) of the drawn map, in picture pixels.
        margins: The number of cells added at (top, bottom) and (left, right). They repeat the
            outermost cells up to the border of the picture.
        box: The part of the map with margins that fills `size`, in cells.
    """

    position: tuple[int, int]
    size: tuple[int, int]
    margins: tuple[tuple[int, int], tuple[int, int]]
    box: Box


@dataclass(frozen=True, eq=False)
class LaidMap:
    """A map on a picture, whose rows are computed only when needed.

    Attributes:
        vertical: (height, rows) float32, the weight of each map row in each row of pixels.
        widened: (rows, width) float32, the map upsampled horizontally.
        low: The lowest value of a pixel: interpolation must not go beyond it.
        high: The highest value of a pixel.
    """

    vertical: np.ndarray
    widened: np.ndarray
    low: float = 0.0
    high: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return len(self.vertical), self.widened.shape[1]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Computes some rows of pixels, (rows, width) float32 in [low, high]."""
        upsampled: np.ndarray = self.vertical[rows] @ self.widened
        return upsampled.clip(self.low, self.high, out=upsampled)


@dataclass(frozen=True)
class Fit:
    """How a picture fits into a network's input, and the way back.

    The part ``source`` of the picture fills the part ``target`` of the input. Boxes are
    (left, top, right, bottom). The centre of a pixel is at one half.

    Attributes:
        picture_size: (width, height) of the picture, in pixels.
        input_size: (width, height) of the input, in pixels.
        source: The part of the picture that the network sees, in picture pixels.
        target: The position of that part in the input, in input pixels.
    """

    picture_size: tuple[int, int]
    input_size: tuple[int, int]
    source: Box
    target: tuple[int, int, int, int]

    def apply(self, picture: Image.Image) -> np.ndarray:
        """Resamples a picture into the input.

        Args:
            picture: A picture of size `picture_size` with 8 bits per channel.

        Returns:
            (height, width, channels) uint8.
        """
        left, top, right, bottom = self.target
        seen = picture.resize(
            (right - left, bottom - top),
            Image.Resampling.BICUBIC,
            box=self.source,
            reducing_gap=_REDUCING_GAP,
        )
        if seen.size != self.input_size:
            canvas = Image.new("RGB", self.input_size, _FILL).convert(seen.mode)
            canvas.paste(seen, (left, top))
            seen = canvas
        pixels = np.asarray(seen)
        return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels

    def apply_values(self, values: np.ndarray) -> np.ndarray:
        """Resamples values of any range into the input; borders are 0.

        Args:
            values: (height, width, channels) of size `picture_size`, any numeric dtype.

        Returns:
            (height, width, channels) float32; the values themselves if nothing has to be resampled.
        """
        left, top, right, bottom = self.target
        size = right - left, bottom - top
        whole = 0, 0, *self.picture_size
        seen = values.astype(np.float32)
        if size != self.picture_size or self.source != whole:
            bands = [
                Image.fromarray(np.ascontiguousarray(seen[..., band])).resize(
                    size, Image.Resampling.BICUBIC, box=self.source, reducing_gap=_REDUCING_GAP
                )
                for band in range(seen.shape[-1])
            ]
            seen = np.stack([np.asarray(band, np.float32) for band in bands], axis=-1)
        if size == self.input_size:
            return seen
        canvas = np.zeros((*self.input_size[::-1], seen.shape[-1]), np.float32)
        canvas[top:bottom, left:right] = seen
        return canvas

    def apply_mask(self, mask: np.ndarray) -> np.ndarray:
        """Resamples a mask into the input.

        Args:
            mask: (height, width) bool, of the picture's size.

        Returns:
            (height, width) float32 in [0, 1] of the input's size: the part of each input pixel
            that the mask covers; 0 in borders.
        """
        left, top, right, bottom = self.target
        first_column, first_row, last_column, last_row = self.source
        rows = _means(mask, 0, bottom - top, (first_row, last_row))
        covered = _means(rows, 1, right - left, (first_column, last_column))
        weights = np.zeros(self.input_size[::-1], np.float32)
        weights[top:bottom, left:right] = covered.clip(0, 1)
        return weights

    @property
    def borders(self) -> np.ndarray | None:
        """The pixels of the input outside the picture, (height, width) bool; None without any."""
        if self.target == (0, 0, *self.input_size):
            return None
        left, top, right, bottom = self.target
        outside = np.ones(self.input_size[::-1], bool)
        outside[top:bottom, left:right] = False
        return outside

    @property
    def seen(self) -> tuple[int, int, int, int]:
        """The part of the picture that the network sees, in whole pixels."""
        left, top, right, bottom = self.source
        return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)

    def scaled_to(self, picture_size: tuple[int, int]) -> Fit:
        """Returns the fit of the same picture at another size.

        Args:
            picture_size: (width, height) in pixels, with the same aspect ratio.
        """
        horizontal = picture_size[0] / self.picture_size[0]
        vertical = picture_size[1] / self.picture_size[1]
        left, top, right, bottom = self.source
        # Rounding must not move it beyond the picture's edge.
        source = (
            left * horizontal,
            top * vertical,
            min(right * horizontal, picture_size[0]),
            min(bottom * vertical, picture_size[1]),
        )
        return Fit(picture_size, self.input_size, source, self.target)

    def place(self, cells: tuple[int, int], pitch: tuple[float, float]) -> Placement:
        """Computes where a map lies on the part of the picture that it was computed from.

        Args:
            cells: (rows, columns) of the map.
            pitch: The vertical and horizontal distance between its cells, in input pixels.
        """
        left, top, right, bottom = self.seen
        box = [0.0, 0.0, 0.0, 0.0]
        margins = []
        for axis, (low, high) in enumerate(((left, right), (top, bottom))):
            count = cells[1 - axis]
            # From picture pixels to input pixels, and on to the cells of the map. The centre
            # of the map lies on the centre of the input.
            scale = (self.target[axis + 2] - self.target[axis]) / (
                self.source[axis + 2] - self.source[axis]
            )
            for end, edge in ((axis, low), (axis + 2, high)):
                at_input = self.target[axis] + (edge - self.source[axis]) * scale
                from_middle = at_input - self.input_size[axis] / 2
                box[end] = from_middle / pitch[1 - axis] + count / 2
            margins.append((_cells_beyond(-box[axis]), _cells_beyond(box[axis + 2] - count)))
            for end in (axis, axis + 2):
                box[end] += margins[axis][0]
        return Placement(
            (left, top),
            (right - left, bottom - top),
            (margins[1], margins[0]),
            (box[0], box[1], box[2], box[3]),
        )

    def upsample(self, heatmap: np.ndarray, pitch: tuple[float, float]) -> np.ndarray:
        """Upsamples a map to the part of the picture that it was computed from.

        Args:
            heatmap: (rows, columns) float32 in [0, 1], or in [-1, 1] if it is signed, for the
                network's input.
            pitch: The vertical and horizontal distance between its cells, in input pixels.

        Returns:
            (height, width) float32 of the size of `seen`, upsampled bicubically, in the same
            range. Pixels of a map without negative values aren't negative.
        """
        return self.lay(heatmap, pitch)[:]

    def lay(self, heatmap: np.ndarray, pitch: tuple[float, float]) -> LaidMap:
        """Prepares `upsample` without computing the pixels yet."""
        rows, columns = heatmap.shape
        return lay_placed(heatmap, self.place((rows, columns), pitch))


def lay_placed(heatmap: np.ndarray, placement: Placement) -> LaidMap:
    """Lays a map where it belongs on a picture.

    Args:
        heatmap: As for `Fit.upsample`.
        placement: Where it lies on the picture.
    """
    rows, columns = heatmap.shape
    left, top, right, bottom = placement.box
    width, height = placement.size
    above_and_below, beside = placement.margins
    vertical = _cell_weights(rows, above_and_below, height, top, bottom)
    horizontal = _cell_weights(columns, beside, width, left, right)
    low = -1.0 if heatmap.min(initial=0.0) < 0 else 0.0
    high = 1.0 if heatmap.max(initial=0.0) > 0 else 0.0
    return LaidMap(vertical, heatmap.astype(np.float32) @ horizontal.T, low, high)


@lru_cache(maxsize=32)
def _cell_weights(
    cells: int, margins: tuple[int, int], pixels: int, low: float, high: float
) -> np.ndarray:
    """Computes the weight of each cell in each pixel of a line, (pixels, cells) float32.

    Args:
        cells: The number of cells in the line.
        margins: The number of cells added at each end, equal to the outermost.
        pixels: The number of pixels.
        low: The start of the pixels, in cells.
        high: The end of the pixels, in cells.
    """
    # Interpolation is linear, so the weights of a cell are the interpolation of that cell alone.
    alone = np.pad(np.eye(cells, dtype=np.float32), (margins, (0, 0)), mode="edge")
    upsampled = Image.fromarray(alone).resize(
        (cells, pixels), Image.Resampling.BICUBIC, box=(0, low, cells, high)
    )
    return np.asarray(upsampled)


def _means(values: np.ndarray, axis: int, count: int, ends: tuple[float, float]) -> np.ndarray:
    """Divides a part of an axis into equal parts, and takes the mean of each.

    Args:
        values: (rows, columns).
        axis: The axis.
        count: The number of parts.
        ends: Where the first begins and the last ends, which may be within an element.
    """
    sums = np.cumsum(values, axis, np.float64)
    sums = np.pad(sums, [(1, 0) if other == axis else (0, 0) for other in range(2)])
    edges = np.linspace(ends[0], ends[1], count + 1).clip(0, values.shape[axis])
    before = np.minimum(edges.astype(int), values.shape[axis] - 1)
    rest = (edges - before).reshape([-1 if other == axis else 1 for other in range(2)])
    low, high = np.take(sums, before, axis), np.take(sums, before + 1, axis)
    totals = low + (high - low) * rest
    means: np.ndarray = np.diff(totals, axis=axis) * count / (ends[1] - ends[0])
    return means


def mean_color(channels: int) -> tuple[int, ...]:
    """Returns the colour that stands for "nothing", in [0, 255].

    Args:
        channels: 1 (grey), 3 (RGB) or 4 (RGB and opacity); of other bands nothing is known, and
            they become 0.
    """
    if channels not in _MODES:
        return (0,) * channels
    pixel = Image.new("RGB", (1, 1), _FILL).convert(_MODES[channels])
    return tuple(np.asarray(pixel).ravel().tolist())


def _cells_beyond(distance: float) -> int:
    return max(0, math.ceil(distance))


def choose_input_size(
    native: tuple[int, int], any_size: bool, fit: str, wanted: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Chooses the size of a network's input.

    Args:
        native: The (height, width) that the network was trained for, in pixels.
        any_size: Whether it accepts other sizes.
        fit: One of `FITS`.
        wanted: The (height, width) that the user asked for, in pixels; None for the best
            size known: the native one, or for "keep" one at which objects are as large as
            in a centre crop.

    Returns:
        (width, height) in pixels.

    Raises:
        UsageError: The network only accepts inputs of its native size.
    """
    height, width = native
    if not any_size:
        if fit == "keep":
            raise UsageError(
                "--fit keep: this network accepts only one input shape; use squash, crop or pad"
            )
        if wanted not in (None, native):
            raise UsageError(
                f"--size: this network accepts only inputs of {height}×{width} (height×width)"
            )
        return width, height
    if wanted is None and fit == "keep":
        return round(width / CENTRE_CROP), round(height / CENTRE_CROP)
    stride = usual_stride(native)
    height, width = wanted or native
    return round_to(width, stride), round_to(height, stride)


def usual_stride(native: tuple[int, int]) -> int:
    """Guesses the product of a network's strides from its input size.

    Inputs should be multiples of it. Otherwise padded convolutions see up to half a cell
    beside the position at which their map is drawn.

    Args:
        native: The (height, width) that the network was trained for, in pixels.

    Returns:
        A power of two, at most 32.
    """
    stride = 1
    while 2 * stride <= min(min(native) / _CELLS, LARGEST_STRIDE):
        stride *= 2
    return stride


def round_to(length: float, stride: int) -> int:
    """Rounds a length to a multiple of a stride, at least to the stride."""
    return max(stride, round(length / stride) * stride)


def fit_picture(
    picture_size: tuple[int, int], fit: str, input_size: tuple[int, int], stride: int = 1
) -> Fit:
    """Computes how a picture fits into a network's input.

    Args:
        picture_size: (width, height) of the picture, in pixels.
        fit: "keep" (the whole picture with its own aspect ratio, in an input of that shape),
            "squash" (the whole picture, stretched to the input), "crop" (its centre crop),
            "cover" (the largest centred part with the input's shape), or "pad" (the whole
            picture, with borders).
        input_size: (width, height) of the input, in pixels. "keep" uses an input of the same
            area and another shape.
        stride: The sides of the shape that "keep" chooses are multiples of this.

    Returns:
        The fit.
    """
    width, height = picture_size
    whole = (0.0, 0.0, float(width), float(height))
    if fit == "keep":
        size = _keep_size(picture_size, input_size[0] * input_size[1], stride)
        return Fit(picture_size, size, whole, (0, 0, *size))
    if fit == "squash":
        return Fit(picture_size, input_size, whole, (0, 0, *input_size))
    if fit in ("crop", "cover"):
        scale = min(width / input_size[0], height / input_size[1])
        if fit == "crop":
            scale *= CENTRE_CROP
        half_width, half_height = input_size[0] * scale / 2, input_size[1] * scale / 2
        # Rounding must not move it beyond the picture's edge.
        source = (
            max(0.0, width / 2 - half_width),
            max(0.0, height / 2 - half_height),
            min(float(width), width / 2 + half_width),
            min(float(height), height / 2 + half_height),
        )
        return Fit(picture_size, input_size, source, (0, 0, *input_size))
    scale = min(input_size[0] / width, input_size[1] / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (input_size[0] - inner[0]) // 2, (input_size[1] - inner[1]) // 2
    return Fit(picture_size, input_size, whole, (left, top, left + inner[0], top + inner[1]))


def _keep_size(picture_size: tuple[int, int], area: int, stride: int) -> tuple[int, int]:
    ratio = picture_size[0] / picture_size[1]
    ratio = min(max(ratio, 1 / _LONGEST_ASPECT_RATIO), _LONGEST_ASPECT_RATIO)
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    return round_to(width, stride), round_to(height, stride)
