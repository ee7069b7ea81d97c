"""The functions that the rows of `gradcam_cli.evaluation.table` name.

Most take a `MapBatch` and return (N,) float64, one value for each picture. Those that need
objects take a `LocatedHeat` and return one value, or None if it is undefined.
"""

from __future__ import annotations

import numpy as np

from gradcam_cli.evaluation import (
    composites,
    faithfulness,
    localisation,
    map_properties,
    randomization,
    region_removal,
    remove_and_debias,
    superpixels,
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
    return remove_and_debias.mean_difference(batch.once(_removal_scores))


def mu_fidelity(batch: MapBatch) -> np.ndarray:
    """See `faithfulness.mu_fidelity`."""
    subsets, losses = batch.pictures.once(_subsets_and_losses)
    return faithfulness.correlate_subsets(losses, subsets, batch.maps)


def infidelity(batch: MapBatch) -> np.ndarray:
    """See `faithfulness.infidelity`."""
    subsets, losses = batch.pictures.once(_subsets_and_losses)
    return faithfulness.mean_square_misfit(losses, subsets, batch.maps)


def irof(batch: MapBatch) -> np.ndarray:
    """See `region_removal.irof`."""
    return region_removal.irof(*batch.arguments, segments=batch.pictures.once(_segments))


def adcc(batch: MapBatch) -> np.ndarray:
    """See `composites.adcc`."""
    return composites.combine_adcc(batch.maps, batch.once(_faded_maps), average_drop(batch))


def arcc(batch: MapBatch) -> np.ndarray:
    """See `composites.arcc`."""
    scores = batch.once(_removal_scores)
    wanted = np.isin(remove_and_debias.PERCENTILES, composites.ARCC_PERCENTILES)
    removal = remove_and_debias.mean_difference(scores[:, :, wanted])
    return composites.combine_arcc(batch.maps, batch.once(_faded_maps), removal)


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


def compactness(batch: MapBatch) -> np.ndarray:
    """See `map_properties.compactness`."""
    return map_properties.compactness(batch.maps)


def random_logit(batch: MapBatch) -> np.ndarray:
    """See `randomization.random_logit`."""
    pictures = batch.pictures
    return randomization.random_logit(
        batch.explain, pictures.inputs, pictures.targets, batch.maps, pictures.classes
    )


def efficient_mprt(batch: MapBatch) -> np.ndarray:
    """See `randomization.efficient_mprt`."""
    pictures = batch.pictures
    randomized = batch.explain_randomized(pictures.inputs, pictures.targets)
    return randomization.efficient_mprt(batch.maps, randomized)


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


def _faded(batch: MapBatch) -> np.ndarray:
    pictures = batch.pictures
    return faithfulness.fade(pictures.inputs, batch.maps, pictures.scorer.baseline)


def _faded_confidences(batch: MapBatch) -> np.ndarray:
    return batch.pictures.scorer(batch.once(_faded), batch.pictures.targets)


def _faded_maps(batch: MapBatch) -> np.ndarray:
    return batch.explain(batch.once(_faded), batch.pictures.targets)


def _removal_scores(batch: MapBatch) -> np.ndarray:
    return remove_and_debias.removal_scores(*batch.arguments)


def _segments(pictures: PictureBatch) -> np.ndarray:
    return superpixels.find_superpixels(pictures.inputs)


def _subsets_and_losses(pictures: PictureBatch) -> tuple[np.ndarray, np.ndarray]:
    subsets = faithfulness.draw_subsets(pictures.inputs.shape[1:3])
    losses = faithfulness.subset_losses(pictures.scorer, pictures.inputs, pictures.targets, subsets)
    return subsets, losses
