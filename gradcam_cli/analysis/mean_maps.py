"""Where a network looks on average."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradcam_cli.analysis.audit_results import MeanMap
from gradcam_cli.analysis.heat_places import border_fraction, corner_fraction
from gradcam_cli.analysis.observation import Observation, mean_picture

ALL_PICTURES = "all pictures"


def average_maps(observations: Sequence[Observation]) -> list[MeanMap]:
    """Averages the maps of the predicted classes.

    Args:
        observations: The observations, at least one.

    Returns:
        The mean map of all pictures, then those of each predicted class in descending order of
        pictures.
    """
    of_classes: dict[int, list[Observation]] = {}
    for one in observations:
        of_classes.setdefault(one.predicted.index, []).append(one)
    ordered = sorted(of_classes.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        _average(None, ALL_PICTURES, observations),
        *(_average(index, group[0].predicted.name, group) for index, group in ordered),
    ]


def _average(index: int | None, name: str, observations: Sequence[Observation]) -> MeanMap:
    heat = np.zeros_like(observations[0].predicted_map, np.float64)
    for one in observations:
        heat += one.predicted_map
    number = len(observations)
    return MeanMap(
        index,
        name,
        number,
        (heat / number).astype(np.float32),
        mean_picture(observations),
        _mean(observations, lambda one: border_fraction(one.predicted_map)) or 0.0,
        _mean(observations, lambda one: corner_fraction(one.predicted_map)) or 0.0,
        _mean(observations, lambda one: one.on_object),
    )


def _mean(
    observations: Sequence[Observation], measure: Callable[[Observation], float | None]
) -> float | None:
    """Returns the mean over the pictures that have a value; None if none has."""
    values = [value for value in map(measure, observations) if value is not None]
    return float(np.mean(values)) if values else None
