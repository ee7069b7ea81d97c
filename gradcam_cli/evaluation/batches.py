"""Batches of maps and pictures, with a cache for what several metrics compute of them."""

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
        """Computes what several metrics share, when first needed, and caches it.

        Args:
            compute: Computes the result from this batch. Metrics that share a result must
                pass the same function.
        """
        if compute not in self._found:
            self._found[compute] = compute(self)
        found: _Found = self._found[compute]
        return found


@dataclass(frozen=True, eq=False)
class PictureBatch(_Remembering):
    """Pictures of one shape with the class explained in each, shared by all maps.

    Attributes:
        scorer: Computes the network's scores of changed pictures.
        inputs: (N, height, width, channels) uint8, the network's inputs.
        targets: (N,) int64.
        classes: The number of the network's classes.
    """

    scorer: TargetScores
    inputs: np.ndarray
    targets: np.ndarray
    classes: int

    @cached_property
    def confidences(self) -> np.ndarray:
        """(N,) float64, the scores of the unchanged pictures."""
        return self.scorer(self.inputs, self.targets)


@dataclass(frozen=True, eq=False)
class MapBatch(_Remembering):
    """The maps of one method or baseline.

    Attributes:
        pictures: The explained pictures.
        maps: (N, height, width) float32 in [0, 1].
        explain: The function that made the maps.
        explain_randomized: The same with random weights in the network.
    """

    pictures: PictureBatch
    maps: np.ndarray
    explain: Explain
    explain_randomized: Explain

    @property
    def arguments(self) -> tuple[TargetScores, np.ndarray, np.ndarray, np.ndarray]:
        """The arguments of the functions in `gradcam_cli.evaluation.faithfulness`."""
        return self.pictures.scorer, self.pictures.inputs, self.pictures.targets, self.maps
