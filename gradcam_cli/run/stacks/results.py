"""The results of a stack's pictures, in little memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from gradcam_cli.models.labels import Labels, Prediction
from gradcam_cli.pictures.stacks.stack import Frame
from gradcam_cli.run.records import FrameResult


class FrameResults(Sequence[FrameResult]):
    """One result for each picture, made when it is asked for.

    A long video has so many that objects with names would take more memory than everything else.
    """

    def __init__(self, labels: Labels, top_k: int) -> None:
        """Starts without results.

        Args:
            labels: The classes of the model.
            top_k: The number of most probable classes in each result.
        """
        self._labels = labels
        self._top_k = min(top_k, len(labels))
        self._numbers: list[int] = []
        self._seconds: list[float | None] = []
        self._positions: list[str] = []
        self._indices: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._heat: list[np.ndarray] = []

    def add(self, frame: Frame, probabilities: np.ndarray, heat: np.ndarray) -> None:
        """Adds the result of a picture.

        Args:
            frame: The picture.
            probabilities: (classes,) float32.
            heat: (M,) float32 in [0, 1]; see `FrameResult.heat`.
        """
        chosen = [one.index for one in self._labels.most_probable(probabilities, self._top_k)]
        self._numbers.append(frame.number)
        self._seconds.append(frame.seconds)
        self._positions.append(frame.position)
        self._indices.append(np.array(chosen, np.int32))
        self._values.append(np.array(probabilities[chosen], np.float32))
        self._heat.append(np.array(heat, np.float32))

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> FrameResult: ...

    @overload
    def __getitem__(self, place: slice) -> list[FrameResult]: ...

    def __getitem__(self, place: int | slice) -> FrameResult | list[FrameResult]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        indices, values = self._indices[place], self._values[place]
        labels = self._labels
        return FrameResult(
            self._numbers[place],
            [
                Prediction(index, labels.name(index), labels.wnid(index), value, labels.quantity)
                for index, value in zip(indices.tolist(), values.tolist(), strict=True)
            ],
            self._heat[place].tolist(),
            self._seconds[place],
            self._positions[place],
        )
