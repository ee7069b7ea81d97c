"""Measures explanations: faithfulness, localisation, sanity.

Each metric is a function of a model, inputs, targets and maps that returns one value for
each input; `Measurement` gives their mean and its confidence interval.
"""

from gradcam_cli.evaluation.baselines import centre_gaussian_maps, random_maps
from gradcam_cli.evaluation.faithfulness import (
    average_drop,
    average_gain,
    deletion,
    increase_in_confidence,
    insertion,
    mu_fidelity,
)
from gradcam_cli.evaluation.map_properties import average_stability, complexity, sparseness
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.road import road

__all__ = [
    "Measurement",
    "average_drop",
    "average_gain",
    "average_stability",
    "centre_gaussian_maps",
    "complexity",
    "deletion",
    "increase_in_confidence",
    "insertion",
    "mu_fidelity",
    "random_maps",
    "road",
    "sparseness",
]
