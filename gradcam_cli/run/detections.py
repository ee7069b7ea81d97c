"""Explains each detected object of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.cam.detection import BoxFinder, explain_boxes
from gradcam_cli.pictures.boxes import Detection, find_detections

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer, Explanation
    from gradcam_cli.run.records import LoadedPicture
    from gradcam_cli.run.task import DetectionChoice


class ObjectExplainer:
    """Finds and explains the objects in pictures."""

    def __init__(self, explainers: Sequence[Explainer], choice: DetectionChoice) -> None:
        """Takes the explainers of one detector.

        Args:
            explainers: The explainers.
            choice: The objects to explain.
        """
        self._explainers = explainers
        self._choice = choice
        self._finder = BoxFinder(explainers[0].classifier)

    def explain(self, loaded: LoadedPicture) -> list[Explanation] | None:
        """Explains the objects in a picture.

        Args:
            loaded: The picture. Classes among its targets are the only ones to look for; negative
                numbers stand for any class.

        Returns:
            The explanation of a batch of one, by each explainer, with a target and a map for each
            object; None if a score is NaN or infinite.
        """
        prepared, choice = loaded.prepared, self._choice
        boxes, probabilities = (one[0] for one in self._finder.find(prepared.inputs[None]))
        if not np.isfinite(probabilities).all():
            return None
        classes = [index for index in loaded.targets if index >= 0]

        def find(min_score: float, most: int) -> list[Detection]:
            return find_detections(
                boxes,
                probabilities,
                prepared.fit,
                min_score=min_score,
                most=most,
                classes=classes,
                without=() if classes else choice.without,
            )

        objects = find(choice.min_score, choice.most)
        missed = None if objects else next(iter(find(0.0, 1)), None)
        return [
            replace(explain_boxes(explainer, prepared.inputs, objects), missed=missed)
            for explainer in self._explainers
        ]
