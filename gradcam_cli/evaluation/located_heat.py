"""Where the heat of each annotated class lies, at the size of the picture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gradcam_cli.evaluation.annotations import AnnotatedObject
from gradcam_cli.evaluation.loading import LoadedPicture
from gradcam_cli.evaluation.localisation import box_iou
from gradcam_cli.evaluation.map_properties import Explain
from gradcam_cli.rendering.overlay import draw_heatmap


@dataclass(frozen=True, eq=False)
class LocatedHeat:
    """The argument of a localisation metric.

    Attributes:
        heat: (height, width) float32 in [0, 1] at the size of the picture: the map of one class.
        objects: The objects of that class, at least one.
        classes: The class, or the classes that are kinds of it; empty if the model has none.
        probabilities: (classes,) float32, the probabilities for the picture.
        ignored: Where heat of that class counts neither for nor against the map.
    """

    heat: np.ndarray
    objects: list[AnnotatedObject]
    classes: tuple[int, ...]
    probabilities: np.ndarray
    ignored: list[AnnotatedObject] = field(default_factory=list)

    @cached_property
    def box_iou(self) -> float:
        """See `gradcam_cli.evaluation.localisation.box_iou`; several metrics need it."""
        return box_iou(self.heat, self.objects)


def locate_heat(
    picture: LoadedPicture,
    heat: np.ndarray,
    target: int,
    probabilities: np.ndarray,
    explain: Explain,
) -> list[LocatedHeat]:
    """Projects the maps of the annotated classes onto a picture.

    Args:
        picture: The picture and its objects.
        heat: (height, width) float32 of the network's input, the map of the explained class.
        target: The explained class.
        probabilities: (classes,) float32, the probabilities for the picture.
        explain: The function that made the map; it also makes those of other classes.

    Returns:
        One entry for each annotated class that the model knows. Of several kinds of it, such as
        breeds of a dog, the explained one counts, or else the most probable. If the model knows
        no annotated class, one entry with the heat of the explained class.
    """
    by_class: dict[tuple[int, ...], list[AnnotatedObject]] = defaultdict(list)
    for known in picture.objects:
        by_class[known.classes].append(known)
    if len(by_class) > 1:
        # There is no map of a class that the model doesn't have.
        by_class.pop((), None)
    fit = picture.prepared.fit
    found = []
    for classes, objects in by_class.items():
        of_class = heat
        if classes and target not in classes:
            index = max(classes, key=lambda kind: float(probabilities[kind]))
            (of_class,) = explain(picture.prepared.inputs[None], np.array([index]))
        # A crowd is one of its class; the outline of a mask belongs to none.
        ignored = [
            place
            for place in picture.ignored
            if not classes or place.class_name is None or place.classes == classes
        ]
        laid = fit.upsample(of_class, (1.0, 1.0))
        found.append(
            LocatedHeat(
                draw_heatmap(laid, fit.picture_size, fit.seen[:2]),
                objects,
                classes,
                probabilities,
                ignored,
            )
        )
    return found
