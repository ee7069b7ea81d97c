"""What a run keeps of each explained picture of a stack until it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.pictures.fitting import Fit


@dataclass(frozen=True, eq=False)
class FrameExplanation:
    """The probabilities and the maps of one picture of a stack.

    Attributes:
        number: Its place in the file, from 0.
        probabilities: (classes,) float32 in [0, 1], or values.
        targets: (M,) int, the explained classes as indices.
        maps: (M, rows, columns) float32, each scaled to a maximum magnitude of 1: in [0, 1], or in
            [-1, 1] if they are signed.
        fit: How the picture fits into the network's input.
        pitch: The vertical and horizontal distance between two cells, in input pixels.
        peaks: (M,) float32, what each map was divided by; None if the maps have no common scale.
        regions: For segmentation, (M, rows, columns) float32 in [0, 1], the region over which the
            scores of each class were summed; otherwise None.
        region_pitch: The pitch of its cells.
        blanks: Why maps show nothing, by the number of the class.
    """

    number: int
    probabilities: np.ndarray
    targets: np.ndarray
    maps: np.ndarray
    fit: Fit
    pitch: tuple[float, float]
    peaks: np.ndarray | None = None
    regions: np.ndarray | None = None
    region_pitch: tuple[float, float] = (1.0, 1.0)
    blanks: Mapping[int, BlankMap] = field(default_factory=dict)

    def has(self, targets: np.ndarray) -> bool:
        """Returns whether it has the maps of all these classes, in any order."""
        return set(targets.tolist()) <= set(self.targets.tolist())

    def ordered(self, targets: np.ndarray) -> FrameExplanation:
        """Returns the explanation with the maps of these classes, in this order.

        Args:
            targets: (M,) int, classes that it `has`.
        """
        own = self.targets.tolist()
        order = [own.index(target) for target in targets.tolist()]
        if order == list(range(len(own))):
            return self
        return FrameExplanation(
            self.number,
            self.probabilities,
            self.targets[order],
            self.maps[order],
            self.fit,
            self.pitch,
            None if self.peaks is None else self.peaks[order],
            None if self.regions is None else self.regions[order],
            self.region_pitch,
            {place: self.blanks[one] for place, one in enumerate(order) if one in self.blanks},
        )
