"""The positions of a picture to which the elements of a tensor belong.

A network may arrange rows and columns in any layout: as separate axes, as one axis of tokens, or
as windows in the batch. Each axis of a tensor is therefore described as a product of factors,
outermost first, as in a reshape: an axis of 196 tokens is 14 rows times 14 columns, and an axis
of 14 rows may be 2 windows times 7 rows. Reshaping, transposing and multiplying matrices changes
the factors by arithmetic, so positions are known exactly or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeAlias

# The rounding error of pitches that were multiplied and divided along different paths.
_TOLERANCE = 1e-6
# The number of all patches together; every extra token has a positive number.
PATCHES = 0


@dataclass(frozen=True)
class Batch:
    """The inputs of a batch."""

    size: int


@dataclass(frozen=True)
class Other:
    """Channels, heads, or anything else that isn't a position."""

    size: int


@dataclass(frozen=True)
class Repeated:
    """The same values repeated, as in upsampling."""

    size: int


@dataclass(frozen=True)
class Cells:
    """Rows or columns, or a part of them.

    Attributes:
        axis: The axis of the picture: 0 for rows, 1 for columns.
        size: The number of cells.
        pitch: The distance between adjacent cells, in input pixels.
    """

    axis: int
    size: int
    pitch: float


@dataclass(frozen=True)
class Tokens:
    """Patches of a picture with extra tokens before or after them.

    Attributes:
        key: Distinguishes these tokens from those of another concatenation.
        before: A number for each token before the patches (class, distillation, register).
        cells: The patches.
        after: A number for each token after them.
    """

    key: int
    before: tuple[int, ...]
    cells: tuple[Cells, ...]
    after: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of tokens."""
        return len(self.before) + product(self.cells) + len(self.after)


Factor: TypeAlias = Batch | Other | Repeated | Cells | Tokens
Axis: TypeAlias = tuple[Factor, ...]


@dataclass(frozen=True)
class Frame:
    """How the rows or columns of a tensor lie on those of the picture.

    Attributes:
        extent: The number of cells times their pitch, in input pixels.
        before: The number of padding cells at the start.
        after: The number of padding cells at the end.
        roll: The number of cells by which they were rolled towards the end.
        measured: The name of a tensor and its axis that has exactly these cells; None if there
            is none.
    """

    extent: float
    before: int = 0
    after: int = 0
    roll: int = 0
    measured: tuple[str, int] | None = None


@dataclass(frozen=True)
class Places:
    """The meaning of a tensor's axes.

    Attributes:
        axes: The factors of each axis, outermost first; none for an axis of one element.
        frames: One for each spatial axis of the picture.
        lost: Why the positions are no longer known; None if they are, or never were.
    """

    axes: tuple[Axis, ...]
    frames: tuple[Frame, ...] = field(default=())
    lost: str | None = None

    @property
    def has_cells(self) -> bool:
        """Whether any position in the picture is known."""
        return any(True for _ in self.cells())

    def cells(self) -> Iterator[Cells]:
        """Yields the cells of all axes."""
        return chain.from_iterable(map(cells_of, self.axes))

    def tokens(self) -> Iterator[Tokens]:
        """Yields the tokens of all axes that have extra ones beside the patches."""
        for factor in chain.from_iterable(self.axes):
            if isinstance(factor, Tokens):
                yield factor

    def spans(self, cells: Cells) -> bool:
        """Returns whether cells reach from one side of the picture to the other."""
        return _is_close(cells.size * cells.pitch, self.frames[cells.axis].extent)

    def with_frame(self, axis: int, frame: Frame) -> Places:
        """Replaces the frame of one axis of the picture."""
        frames = [frame if index == axis else old for index, old in enumerate(self.frames)]
        return replace(self, frames=tuple(frames))

    def with_axis(self, index: int, factors: Axis) -> Places:
        """Replaces the factors of one axis."""
        axes = (*self.axes[:index], fused(factors), *self.axes[index + 1 :])
        return replace(self, axes=axes)


def product(factors: Iterable[Factor]) -> int:
    """Counts the elements of an axis."""
    return math.prod(factor.size for factor in factors)


def cells_of(axis: Axis) -> Iterator[Cells]:
    """Yields the rows and columns in an axis, including patches among tokens."""
    for factor in axis:
        if isinstance(factor, Cells):
            yield factor
        elif isinstance(factor, Tokens):
            yield from factor.cells


def is_plain(axis: Axis) -> bool:
    """Returns whether an axis distinguishes neither positions nor inputs."""
    return all(isinstance(factor, Other | Repeated) for factor in axis)


def plain(size: int) -> Axis:
    """Describes an axis that distinguishes no positions."""
    return () if size == 1 else (Other(size),)


def plain_places(shape: Sequence[int], lost: str | None = None) -> Places:
    """Describes a tensor that distinguishes no positions.

    Args:
        shape: The lengths of its axes.
        lost: Why the positions are no longer known, if they were.
    """
    return Places(tuple(plain(size) for size in shape), (), lost)


def fused(factors: Iterable[Factor]) -> Axis:
    """Joins adjacent factors that belong together: parts of the channels or of the rows."""
    result: list[Factor] = []
    for factor in factors:
        if factor.size == 1 and isinstance(factor, Other | Repeated):
            continue
        last = result[-1] if result else None
        if isinstance(last, Other) and isinstance(factor, Other):
            result[-1] = Other(last.size * factor.size)
        elif isinstance(last, Cells) and isinstance(factor, Cells) and continues(last, factor):
            result[-1] = Cells(last.axis, last.size * factor.size, factor.pitch)
        elif isinstance(last, Cells) and isinstance(factor, Repeated):
            size, pitch = last.size * factor.size, last.pitch / factor.size
            result[-1] = Cells(last.axis, size, pitch)
        else:
            result.append(factor)
    return tuple(result)


def continues(outer: Cells, inner: Cells) -> bool:
    """Returns whether outer and inner rows, or columns, form one continuous range."""
    return outer.axis == inner.axis and _is_close(outer.pitch, inner.size * inner.pitch)


def _is_close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_TOLERANCE)


def regrouped(axes: Iterable[Axis], shape: Sequence[int]) -> tuple[Axis, ...] | None:
    """Applies a reshape.

    Args:
        axes: The axes before.
        shape: The lengths of the axes after.

    Returns:
        The axes after; None if an axis ends within a factor that can't be divided.
    """
    pending = list(chain.from_iterable(axes))
    result = []
    for length in shape:
        axis: list[Factor] = []
        missing = length
        while missing > 1:
            if not pending:
                return None
            factor = pending.pop(0)
            if missing % factor.size:
                parts = _divided(factor, missing)
                if parts is None:
                    return None
                factor, rest = parts
                pending.insert(0, rest)
            axis.append(factor)
            missing //= factor.size
        result.append(axis)
    # Axes with a single cell still have its position.
    if result:
        result[-1].extend(pending)
    return None if product(pending) != 1 else tuple(map(fused, result))


def _divided(factor: Factor, outer: int) -> tuple[Factor, Factor] | None:
    """Splits a factor into an outer one of a given size and the rest; None if impossible."""
    inner, remainder = divmod(factor.size, outer)
    if remainder:
        return None
    if isinstance(factor, Other | Repeated):
        return replace(factor, size=outer), replace(factor, size=inner)
    if isinstance(factor, Cells):
        whole = replace(factor, size=outer, pitch=factor.pitch * inner)
        return whole, replace(factor, size=inner)
    return None


def joined(places: Sequence[Places], shape: Sequence[int]) -> Places | None:
    """Describes the output of an element-wise operation with broadcasting.

    Args:
        places: The places of each operand.
        shape: The shape of the output.

    Returns:
        The places; None if the operands contradict each other.
    """
    axes = []
    for index in range(-len(shape), 0):
        axis: Axis | None = ()
        for operand in places:
            if len(operand.axes) < -index or axis is None:
                continue
            own = operand.axes[index]
            if product(own) == shape[index]:
                axis = common_axis(axis, own)
        if axis is None:
            return None
        axes.append(plain(shape[index]) if is_plain(axis) else axis)
    frames = common_frames(places)
    return None if frames is None else Places(tuple(axes), frames, common_loss(places, axes))


def common_axis(a: Axis, b: Axis) -> Axis | None:
    """Combines the meanings of an axis in two operands.

    Returns:
        The meaning that says more; None if they contradict each other.
    """
    if a == b or is_plain(b):
        return a
    if is_plain(a):
        return b
    if len(a) != len(b) or not all(map(_are_alike, a, b)):
        return None
    # Branches with different strides but equally many cells: take the coarser one's pitch.
    return max(a, b, key=lambda axis: [cells.pitch for cells in cells_of(axis)])


def _are_alike(a: Factor, b: Factor) -> bool:
    if isinstance(a, Tokens) and isinstance(b, Tokens):
        counts = len(a.before) == len(b.before) and len(a.after) == len(b.after)
        return counts and len(a.cells) == len(b.cells) and all(map(_are_alike, a.cells, b.cells))
    if isinstance(a, Cells) and isinstance(b, Cells):
        return a.axis == b.axis and a.size == b.size
    return a == b


def common_frames(places: Sequence[Places]) -> tuple[Frame, ...] | None:
    """Combines the frames of several operands; None if they contradict each other."""
    known = [operand for operand in places if operand.frames and operand.has_cells]
    if not known:
        return ()
    frames = []
    for axis in range(len(known[0].frames)):
        having = [
            operand.frames[axis]
            for operand in known
            if any(cells.axis == axis for cells in operand.cells())
        ]
        having = having or [known[0].frames[axis]]
        if len({frame.roll for frame in having}) > 1:
            return None
        widest = max(having, key=lambda frame: frame.extent)
        if len({(frame.before, frame.after) for frame in having}) > 1:
            widest = replace(widest, before=0, after=0)
        frames.append(widest)
    return tuple(frames)


def common_loss(places: Sequence[Places], axes: Sequence[Axis]) -> str | None:
    """Returns why no positions are known, if none are."""
    if any(True for axis in axes for _ in cells_of(axis)):
        return None
    return next((operand.lost for operand in places if operand.lost), None)
