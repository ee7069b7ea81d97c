"""Keeps the explanations of a stack's pictures on disk until they are drawn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Self

import numpy as np

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.pictures.fitting import Fit
from gradcam_cli.run.stacks.frame import FrameExplanation


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is kept in memory of an explanation. Equal objects are shared between pictures."""

    number: int
    fit: Fit
    pitch: tuple[float, float]
    region_pitch: tuple[float, float]
    has_peaks: bool
    has_regions: bool
    blanks: Mapping[int, BlankMap]


class FrameSpool:
    """A temporary file of explanations, which are added and read in order.

    The arrays are in the file. It has no name, so it disappears with the process.
    """

    def __init__(self) -> None:
        """Makes the file."""
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="gradcam-")  # noqa: SIM115
        self._facts: list[_Facts] = []
        self._shared: dict[Any, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, explained: FrameExplanation) -> None:
        """Adds an explanation after the others."""
        arrays = (explained.probabilities, explained.targets, explained.maps)
        for array in (*arrays, explained.peaks, explained.regions):
            if array is not None:
                np.save(self._file, array, allow_pickle=False)
        blanks = tuple(sorted(explained.blanks.items()))
        self._facts.append(
            _Facts(
                explained.number,
                self._once(explained.fit),
                self._once(explained.pitch),
                self._once(explained.region_pitch),
                explained.peaks is not None,
                explained.regions is not None,
                self._shared.setdefault(blanks, dict(blanks)),
            )
        )

    def __iter__(self) -> Iterator[FrameExplanation]:
        self._file.seek(0)
        for facts in self._facts:
            yield FrameExplanation(
                facts.number,
                self._read(),
                self._read(),
                self._read(),
                facts.fit,
                facts.pitch,
                self._read() if facts.has_peaks else None,
                self._read() if facts.has_regions else None,
                facts.region_pitch,
                facts.blanks,
            )

    def _read(self) -> np.ndarray:
        array: np.ndarray = np.load(self._file, allow_pickle=False)
        return array

    def _once(self, value: Any) -> Any:
        return self._shared.setdefault(value, value)
