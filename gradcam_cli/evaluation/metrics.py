"""The functions that the rows of `gradcam_cli.evaluation.table` name.

Most take a `MapBatch` and return (N,) float64, one value for each picture. Those that need
objects take a `LocatedHeat` and return one value, or None if it is undefined.
"""

from __future__ import annotations

import numpy as np

from gradcam_cli.evaluation import (
    faithfulness,
    localisation,
    map_properties,
    remove_and_debias,
)
from gradcam_cli.evaluation.batches import MapBatch, PictureBatch
from gradcam_cli.evaluation.located_heat import LocatedHeat


def average_drop(batch: MapBatch) -> np.ndarray:
    """See `faithfulness.average_drop`."""
    return faithfulness.relative_drop(batch.pictures.confidences, batch.once(_faded_confidences))


def increase_in_confidence(batch: MapBatch) -> np.ndarray:
    """See `faithfulness.increase_in_confidence`."""
    return faithfulness.is_increase(batch.pictures.confidences, batch.once(_faded_confidences))


def average_gain(batch: MapBatch) -> np.ndarray:
    """See `faithfulness.average_gain`."""
    return faithfulness.relative_gain(batch.pictures.confidences, batch.once(_faded_confidences))


def deletion(batch: MapBatch) -> np.ndarray:
    """See `faithfulness.deletion`."""
    return faithfulness.deletion(*batch.arguments)


def insertion(batch: MapBatch) -> np.ndarray:
    """See `faithfulness.insertion`."""
    return faithfulness.insertion(*batch.arguments)


def road(batch: MapBatch) -> np.ndarray:
    """See `remove_and_debias.road`."""
    return remove_and_debias.road(*batch.arguments)


def mu_fidelity(batch: MapBatch) -> np.ndarray:
    """See `faithfulness.mu_fidelity`."""
    subsets, losses = batch.pictures.once(_subsets_and_losses)
    return faithfulness.correlate_subsets(losses, subsets, batch.maps)


def stability(batch: MapBatch) -> np.ndarray:
    """See `map_properties.average_stability`."""
    pictures = batch.pictures
    radius = map_properties.RADIUS * pictures.scorer.value_range
    return map_properties.average_stability(
        batch.explain, pictures.inputs, pictures.targets, batch.maps, radius
    )


def sparseness(batch: MapBatch) -> np.ndarray:
    """See `map_properties.sparseness`."""
    return map_properties.sparseness(batch.maps)


def complexity(batch: MapBatch) -> np.ndarray:
    """See `map_properties.complexity`."""
    return map_properties.complexity(batch.maps)


def pointing_game(located: LocatedHeat) -> float | None:
    """See `localisation.pointing_game`; None if the hottest point is where heat doesn't count."""
    is_hit = localisation.pointing_game(located.heat, located.objects)
    x, y = localisation.hottest_point(located.heat)
    is_ignored = any(place.distance(x, y) == 0 for place in located.ignored)
    return None if is_ignored and not is_hit and located.heat.any() else is_hit


def energy_pointing_game(located: LocatedHeat) -> float:
    """See `localisation.energy_pointing_game`."""
    return localisation.energy_pointing_game(located.heat, located.objects, located.ignored)


def box_iou(located: LocatedHeat) -> float:
    """See `localisation.box_iou`."""
    return located.box_iou


def localisation_error_top_1(located: LocatedHeat) -> float | None:
    """See `localisation.localisation_error`; None if the model has no such class."""
    return _localisation_error(located, guesses=1)


def localisation_error_top_5(located: LocatedHeat) -> float | None:
    """See `localisation.localisation_error`; None if the model has no such class."""
    return _localisation_error(located, guesses=5)


def _localisation_error(located: LocatedHeat, guesses: int) -> float | None:
    if not located.classes:
        return None
    return localisation.is_mislocated(
        located.box_iou, located.classes, located.probabilities, guesses
    )


def _faded_confidences(batch: MapBatch) -> np.ndarray:
    pictures = batch.pictures
    faded = faithfulness.fade(pictures.inputs, batch.maps, pictures.scorer.baseline)
    return pictures.scorer(faded, pictures.targets)


def _subsets_and_losses(pictures: PictureBatch) -> tuple[np.ndarray, np.ndarray]:
    subsets = faithfulness.draw_subsets(pictures.inputs.shape[1:3])
    losses = faithfulness.subset_losses(pictures.scorer, pictures.inputs, pictures.targets, subsets)
    return subsets, losses
