"""What a metric is given: maps, their pictures, and what was computed of them already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np

from gradcam_cli.evaluation.map_properties import Explain
from gradcam_cli.evaluation.scores import TargetScores

_Found = TypeVar("_Found")


@dataclass(frozen=True, eq=False)
class _Remembering:
    _found: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, compute: Callable[[Self], _Found]) -> _Found:
        """Computes what several metrics need, the first time that one asks.

        Args:
            compute: From this batch to what is needed; the same function for all who share it.
        """
        if compute not in self._found:
            self._found[compute] = compute(self)
        found: _Found = self._found[compute]
        return found


@dataclass(frozen=True, eq=False)
class PictureBatch(_Remembering):
    """Pictures of one shape, and the class that is explained in each: the same for all maps.

    Attributes:
        scorer: Asks the network for the scores of changed pictures.
        inputs: (N, height, width, channels) uint8, as the network is given them.
        targets: (N,) int64.
    """

    scorer: TargetScores
    inputs: np.ndarray
    targets: np.ndarray

    @cached_property
    def confidences(self) -> np.ndarray:
        """(N,) float64, the scores of the whole pictures."""
        return self.scorer(self.inputs, self.targets)


@dataclass(frozen=True, eq=False)
class MapBatch(_Remembering):
    """The maps of one method or baseline.

    Attributes:
        pictures: What they explain.
        maps: (N, height, width) float32 in [0, 1].
        explain: What made them.
    """

    pictures: PictureBatch
    maps: np.ndarray
    explain: Explain

    @property
    def arguments(self) -> tuple[TargetScores, np.ndarray, np.ndarray, np.ndarray]:
        """What the functions of `gradcam_cli.evaluation.faithfulness` take."""
        return self.pictures.scorer, self.pictures.inputs, self.pictures.targets, self.maps
