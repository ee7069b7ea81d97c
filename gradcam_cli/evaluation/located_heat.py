"""Where the heat of each annotated class lies, at the size of the picture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from gradcam_cli.evaluation.annotations import AnnotatedObject
from gradcam_cli.evaluation.loading import LoadedPicture
from gradcam_cli.evaluation.map_properties import Explain
from gradcam_cli.rendering.overlay import draw_heatmap


@dataclass(frozen=True, eq=False)
class LocatedHeat:
    """The argument of a localisation metric.

    Attributes:
        heat: (height, width) float32 in [0, 1] at the size of the picture: the map of one class.
        objects: The objects of that class, at least one.
        class_index: The class; None if the model has no class of that name.
        probabilities: (classes,) float32, the probabilities for the picture.
    """

    heat: np.ndarray
    objects: list[AnnotatedObject]
    class_index: int | None
    probabilities: np.ndarray


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
        One entry for each annotated class that the model knows. If it knows none of them,
        one entry with the heat of the explained class.
    """
    by_class: dict[int | None, list[AnnotatedObject]] = defaultdict(list)
    for known in picture.objects:
        by_class[known.class_index].append(known)
    if len(by_class) > 1:
        # There is no map of a class that the model doesn't have.
        by_class.pop(None, None)
    fit = picture.prepared.fit
    found = []
    for index, objects in by_class.items():
        of_class = heat
        if index is not None and index != target:
            (of_class,) = explain(picture.prepared.inputs[None], np.array([index]))
        laid = fit.upsample(of_class, (1.0, 1.0))
        found.append(
            LocatedHeat(
                draw_heatmap(laid, fit.picture_size, fit.seen[:2]), objects, index, probabilities
            )
        )
    return found
