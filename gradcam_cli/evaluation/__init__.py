"""Measures explanations: faithfulness, localisation, sanity.

Each metric is a function of a model, inputs, targets and maps that returns one value for
each input; `Measurement` gives their mean and its confidence interval.
"""

from gradcam_cli.evaluation.annotations import AnnotatedObject, Annotations
from gradcam_cli.evaluation.baselines import centre_gaussian_maps, random_maps
from gradcam_cli.evaluation.faithfulness import (
    average_drop,
    average_gain,
    deletion,
    increase_in_confidence,
    insertion,
    mu_fidelity,
)
from gradcam_cli.evaluation.localisation import (
    box_iou,
    energy_pointing_game,
    localisation_error,
    pointing_game,
)
from gradcam_cli.evaluation.map_properties import average_stability, complexity, sparseness
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.road import road
from gradcam_cli.evaluation.sanity import check_sanity

__all__ = [
    "AnnotatedObject",
    "Annotations",
    "Measurement",
    "average_drop",
    "average_gain",
    "average_stability",
    "box_iou",
    "centre_gaussian_maps",
    "check_sanity",
    "complexity",
    "deletion",
    "energy_pointing_game",
    "increase_in_confidence",
    "insertion",
    "localisation_error",
    "mu_fidelity",
    "pointing_game",
    "random_maps",
    "road",
    "sparseness",
]
