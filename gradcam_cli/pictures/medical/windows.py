"""Windows: which values of a medical picture become black, and which white."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from gradcam_cli.errors import UsageError, suggestion

# The centre and width of usual windows for computed tomography, in Hounsfield units. From
# Murphy and others, "Windowing (CT)", Radiopaedia; where that gives a range, its middle.
NAMED_WINDOWS: dict[str, tuple[float, float]] = {
    "abdomen": (50, 400),
    "bone": (400, 1800),
    "brain": (40, 80),
    "liver": (30, 150),
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "stroke": (40, 40),
    "subdural": (75, 215),
    "temporal-bone": (600, 2800),
}
_NUMBER = r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*"
_PAIR = re.compile(f"{_NUMBER},{_NUMBER}", re.ASCII | re.IGNORECASE)
_WHITE = 255.0


@dataclass(frozen=True)
class Window:
    """A range of values that is spread over all greys.

    Attributes:
        low: The highest value that is black.
        high: The lowest value that is white. It may equal `low`: then nothing is between.
        title: What it is and where it comes from, for people: "window 40,80 (brain)".
        is_sigmoid: Whether greys follow a smooth curve (DICOM PS3.3, C.11.2.1.3.1) instead of a
            line. No value is then fully black or white.
    """

    low: float
    high: float
    title: str
    is_sigmoid: bool = False

    def apply(self, values: np.ndarray, inverted: bool = False) -> np.ndarray:
        """Turns values into greys.

        Args:
            values: Any shape, real numbers. NaN becomes black, as the lowest value does.
            inverted: Whether low values are white.

        Returns:
            float32 of the same shape, in [0, 255].
        """
        greys = values.astype(np.float32)
        np.nan_to_num(greys, copy=False, nan=self.low, posinf=self.high, neginf=self.low)
        spread = self.high - self.low
        if self.is_sigmoid and spread > 0:
            middle = (self.low + self.high) / 2
            greys = 1 / (1 + np.exp((-4 / spread) * (greys - middle)))
        elif spread > 0:
            greys -= self.low
            greys /= spread
        else:
            greys = (greys > self.low).astype(np.float32)
        greys = greys.clip(0, 1) * np.float32(_WHITE)
        return _WHITE - greys if inverted else greys


def window_of(
    center: float, width: float, where: str, *, is_sigmoid: bool = False, is_exact: bool = True
) -> Window:
    """Makes a window from its centre and width.

    Args:
        center: The value that becomes the middle grey.
        width: The distance between black and white, above 0.
        where: Where it comes from, for people: "brain".
        is_sigmoid: As for `Window`.
        is_exact: Whether it is from centre - width / 2 to centre + width / 2. Else it is the
            usual window of DICOM, whose ends count as values of integers (PS3.3, C.11.2.1.2).
    """
    title = f"window {center:g},{width:g} ({where})"
    if not is_exact and not is_sigmoid:
        center, width = center - 0.5, max(width - 1, 0)
    return Window(center - width / 2, center + width / 2, title, is_sigmoid)


def full_window(values: np.ndarray) -> Window:
    """Makes the window from the lowest to the highest value.

    Args:
        values: Any shape, real numbers; those that aren't finite don't count.
    """
    low, high = _extremes(values)
    return Window(low, high, f"from minimum {low:g} to maximum {high:g}")


def _extremes(values: np.ndarray) -> tuple[float, float]:
    """Returns the lowest and the highest value that is finite; 0 and 0 if none is."""
    low, high = float(values.min()), float(values.max())
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def doubts_about(
    window: Window, asked: str | None, values: np.ndarray, modality: str = ""
) -> list[str]:
    """Says why a window may not suit a picture.

    Args:
        window: The window.
        asked: The user's text if it is the user's window; else None.
        values: The values of the picture, real numbers.
        modality: The kind of machine in DICOM's words; "" if unknown.

    Returns:
        The ends of warnings, which begin with the name of the file.
    """
    doubts = []
    low, high = _extremes(values)
    if low == high:
        doubts.append(f"all values are {low:g}; the pictures are empty")
    elif window.high < low or window.low > high:
        doubts.append(
            f"all values are outside the window, from {window.low:g} to {window.high:g}; "
            f"the pictures are empty"
        )
    if asked is not None and asked.strip().lower() in NAMED_WINDOWS and modality not in ("", "CT"):
        doubts.append(f"--window {asked} is for CT in Hounsfield units, but this is {modality}")
    return doubts


def parse_window(text: str | None) -> Window | None:
    """Reads a window as a user writes it.

    Args:
        text: "CENTER,WIDTH" in the units of the file, such as "40,80", or a name of
            `NAMED_WINDOWS`. None for the window of each file.

    Raises:
        UsageError: It is neither.
    """
    if text is None:
        return None
    name = text.strip().lower()
    if name in NAMED_WINDOWS:
        return window_of(*NAMED_WINDOWS[name], name)
    pair = _PAIR.fullmatch(text)
    if pair is None:
        raise UsageError(
            f"--window {text}: give CENTER,WIDTH, such as 40,80, or one of "
            f"{', '.join(NAMED_WINDOWS)}{suggestion(name, NAMED_WINDOWS)}"
        )
    center, width = float(pair[1]), float(pair[2])
    if not (math.isfinite(center) and math.isfinite(width) and width > 0):
        raise UsageError(f"--window {text}: the width must be above 0")
    return window_of(center, width, "--window")
