"""The colours of maps: of those in [0, 1], and of signed ones in [-1, 1].

The colours of a signed map diverge from its zero, so that evidence for a class and against it have
different hues. The weaker the evidence, the more transparent the colour: where there is none, the
picture is as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from gradcam_cli.errors import UsageError

DEFAULT_ALPHA = 0.5
DEFAULT_COLORMAP = "jet"
# Most of a signed map is more transparent than its strongest part.
DEFAULT_SIGNED_ALPHA = 0.75
DEFAULT_SIGNED_COLORMAP = "bwr"
LEVELS = 256
# The level of 0. An odd number of levels has a middle, so the last of 256 is unused.
MIDDLE_LEVEL = 127
# In the order of Matplotlib's documentation; also reversed, with the ending "_r".
_DIVERGING = (
    *("PiYG", "PRGn", "BrBG", "PuOr", "RdGy", "RdBu", "RdYlBu", "RdYlGn", "Spectral"),
    *("coolwarm", "bwr", "seismic", "berlin", "managua", "vanimo"),
)


@cache
def color_table(colormap: str) -> bytes:
    """Samples a Matplotlib colour map.

    Args:
        colormap: A name that Matplotlib knows.

    Returns:
        256 colours from cold to hot as RGB bytes.

    Raises:
        UsageError: Matplotlib has no such colour map.
    """
    return _sample(colormap, LEVELS).tobytes()


@cache
def signed_color_table(colormap: str) -> bytes:
    """Samples a diverging Matplotlib colour map.

    Args:
        colormap: A name that Matplotlib knows.

    Returns:
        256 colours as RGB bytes. Level 127 + 127 v has the colour of the value v in [-1, 1], so
        the middle of the colour map is at level 127; level 255 isn't used.

    Raises:
        UsageError: Matplotlib has no such colour map, or it has no middle.
    """
    colors = _sample(colormap, 2 * MIDDLE_LEVEL + 1)
    if colormap.removesuffix("_r") not in _DIVERGING:
        raise UsageError(
            f"the colour map {colormap!r} has no middle for the zero of signed maps; choose a "
            f"diverging one, such as bwr, coolwarm, RdBu_r or PuOr_r"
        )
    return np.concatenate([colors, colors[-1:]]).tobytes()


def table_for(colormap: str, signed: bool) -> bytes:
    """Returns the table of colours for maps with or without a sign.

    Raises:
        UsageError: Matplotlib has no such colour map, or it doesn't suit signed maps.
    """
    return signed_color_table(colormap) if signed else color_table(colormap)


def levels_of(heat: np.ndarray, signed: bool) -> np.ndarray:
    """Converts a map to the levels of a table of colours.

    Args:
        heat: Any shape, float32 in [0, 1], or in [-1, 1] if it is signed.
        signed: Whether it is.

    Returns:
        The same shape, uint8.
    """
    if signed:
        return (heat * np.float32(MIDDLE_LEVEL) + (MIDDLE_LEVEL + 0.5)).astype(np.uint8)
    return (heat * np.float32(LEVELS - 1) + 0.5).astype(np.uint8)


def opacity_table(alpha: float) -> list[int]:
    """Returns the opacity of each level of signed maps: of 0 it is 0, of 1 and -1 it is highest.

    Args:
        alpha: The highest opacity, 0 to 1.

    Returns:
        256 values in [0, 255].
    """
    distances = np.abs(np.arange(LEVELS) - MIDDLE_LEVEL) / MIDDLE_LEVEL
    opacities: list[int] = np.rint(255 * alpha * distances.clip(max=1)).astype(int).tolist()
    return opacities


def bar_colors(colormap: str, signed: bool) -> np.ndarray:
    """Returns the colours of a colour bar, lowest first: (levels, 1, 3) uint8."""
    colors = np.frombuffer(table_for(colormap, signed), np.uint8).reshape(-1, 1, 3)
    return colors[:-1] if signed else colors


def bar_ticks(ends: tuple[str, str] | None) -> Sequence[tuple[float, str]]:
    """Returns the ticks of a colour bar.

    Args:
        ends: What the lowest and the highest colour of signed maps mean; None for other maps.

    Returns:
        The position of each, from 0 (lowest) to 1, and its text.
    """
    if ends is None:
        return ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))
    return ((0.0, ends[0]), (0.5, "0"), (1.0, ends[1]))


def bar_label(ends: tuple[str, str] | None) -> str:
    """Returns what stands beside a colour bar; the argument is that of `bar_ticks`."""
    return "fraction of the maximum" if ends is None else "relative to the strongest"


def _sample(colormap: str, number: int) -> np.ndarray:
    from matplotlib import colormaps

    if colormap not in colormaps:
        raise UsageError(
            f"there is no colour map {colormap!r}; try jet, viridis, cividis, inferno or turbo "
            f"(any Matplotlib colour map works)"
        )
    colors = colormaps[colormap].resampled(number)(np.arange(number), bytes=True)
    return np.ascontiguousarray(colors[:, :3])
