"""The table of metrics by name, without the code that computes them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gradcam_cli.networks.tasks import VALUE


@dataclass(frozen=True)
class MetricInfo:
    """The description of a metric.

    Attributes:
        title: The heading of its column.
        summary: What it measures, in a few words.
        paper: The publication that introduced it.
        function: The function that computes it, as "module:function". It maps a `MapBatch` to
            (N,) float64, or a `LocatedHeat` to a float or None if the metric needs objects. A
            module that begins with "." is in this package.
        higher_is_better: Whether higher values are better.
        is_share: Whether it is a fraction, which is shown in per cent.
        is_faithfulness: Whether it runs the network, so that a good map should beat one that
            doesn't depend on the network.
        ranks_layers: Whether it is used to rank layers by default.
        needs_objects: Whether it needs annotated objects.
        needs_probabilities: Whether it has no meaning for the values of a regression.
        is_measured_by_default: Whether it is measured if the user names no metric.
        changes_weights: Whether it needs a network whose weights can be changed.
        lost_share_of: The quantity of which it measures the lost fraction; a verdict states
            the fraction that is kept. Empty for other metrics.
    """

    title: str
    summary: str
    paper: str
    function: str
    higher_is_better: bool
    is_share: bool = False
    is_faithfulness: bool = False
    ranks_layers: bool = False
    needs_objects: bool = False
    needs_probabilities: bool = False
    is_measured_by_default: bool = True
    changes_weights: bool = False
    lost_share_of: str = ""

    @property
    def heading(self) -> str:
        """The title with its unit and an arrow that shows which direction is better."""
        unit = " %" if self.is_share else ""
        return f"{self.title}{unit} {'↑' if self.higher_is_better else '↓'}"

    def find_function(self) -> Callable[..., Any]:
        """Imports the function that computes it."""
        module, _, name = self.function.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module, __package__), name)
        return function


_GRAD_CAM_PP = "Chattopadhay et al. 2018, arXiv 1710.11063"
_RISE = "Petsiuk et al. 2018, arXiv 1806.07421"
_BHATT = "Bhatt et al. 2020, arXiv 2005.00631"

# Layers are ranked by one metric each for keeping, removing and filling in pixels.
ALL_METRICS = {
    "average_drop": MetricInfo(
        "Drop",
        "confidence lost when the picture is faded outside the hot regions of its map",
        _GRAD_CAM_PP,
        ".metrics:average_drop",
        higher_is_better=False,
        is_share=True,
        is_faithfulness=True,
        ranks_layers=True,
        lost_share_of="the confidence",
        needs_probabilities=True,
    ),
    "increase_in_confidence": MetricInfo(
        "Increase",
        "pictures whose class becomes more probable when faded in this way",
        _GRAD_CAM_PP,
        ".metrics:increase_in_confidence",
        higher_is_better=True,
        is_share=True,
        is_faithfulness=True,
        needs_probabilities=True,
    ),
    "average_gain": MetricInfo(
        "Gain",
        "confidence gained when the picture is faded outside the hot regions of its map",
        "Zhang et al. 2024, arXiv 2301.07002",
        ".metrics:average_gain",
        higher_is_better=True,
        is_share=True,
        is_faithfulness=True,
        needs_probabilities=True,
    ),
    "deletion": MetricInfo(
        "Deletion",
        "area under the confidence curve as the hottest pixels are removed first",
        _RISE,
        ".metrics:deletion",
        higher_is_better=False,
        is_faithfulness=True,
        ranks_layers=True,
    ),
    "insertion": MetricInfo(
        "Insertion",
        "area under the confidence curve as the hottest pixels are added first",
        _RISE,
        ".metrics:insertion",
        higher_is_better=True,
        is_faithfulness=True,
        ranks_layers=True,
    ),
    "road": MetricInfo(
        "ROAD",
        "confidence without the coldest minus without the hottest pixels, filled in",
        "Rong et al. 2022, arXiv 2202.00449",
        ".metrics:road",
        higher_is_better=True,
        is_faithfulness=True,
        ranks_layers=True,
    ),
    "mu_fidelity": MetricInfo(
        "MuFidelity",
        "rank correlation of the map with the loss when random regions are removed",
        _BHATT,
        ".metrics:mu_fidelity",
        higher_is_better=True,
        is_faithfulness=True,
        ranks_layers=True,
    ),
    "infidelity": MetricInfo(
        "Infidelity",
        "how far the map is from the loss when random regions are removed, squared",
        "Yeh et al. 2019, arXiv 1901.09392",
        ".metrics:infidelity",
        higher_is_better=False,
        is_faithfulness=True,
    ),
    "irof": MetricInfo(
        "IROF",
        "share of the confidence lost as the hottest segments are removed first",
        "Rieger and Hansen 2020, arXiv 2003.08747",
        ".metrics:irof",
        higher_is_better=True,
        is_faithfulness=True,
        needs_probabilities=True,
        is_measured_by_default=False,
    ),
    "adcc": MetricInfo(
        "ADCC",
        "Drop, Complexity and the map's likeness to that of the faded picture, in one",
        "Poppi et al. 2021, arXiv 2104.10252",
        ".metrics:adcc",
        higher_is_better=True,
        needs_probabilities=True,
    ),
    "arcc": MetricInfo(
        "ARCC",
        "the same with ROAD in place of Drop",
        "Domeniconi et al. 2026, arXiv 2605.14641",
        ".metrics:arcc",
        higher_is_better=True,
        needs_probabilities=True,
    ),
    "stability": MetricInfo(
        "Stability",
        "how far the map moves under slight noise",
        _BHATT,
        ".metrics:stability",
        higher_is_better=False,
    ),
    "sparseness": MetricInfo(
        "Sparseness",
        "how unevenly the map is spread (Gini index)",
        "Chalasani et al. 2020, arXiv 1810.06583",
        ".metrics:sparseness",
        higher_is_better=True,
    ),
    "complexity": MetricInfo(
        "Complexity",
        "how widely the map is spread (entropy)",
        _BHATT,
        ".metrics:complexity",
        higher_is_better=False,
    ),
    "compactness": MetricInfo(
        "Compactness",
        "how close together the heat lies (spatial variance)",
        "after Perazzi et al. 2012, CVPR",
        ".metrics:compactness",
        higher_is_better=True,
    ),
    "random_logit": MetricInfo(
        "Random logit",
        "similarity of the map to that of a random other class (SSIM)",
        "Sixt et al. 2020, arXiv 1912.09818",
        ".metrics:random_logit",
        higher_is_better=False,
        needs_probabilities=True,
        is_measured_by_default=False,
    ),
    "efficient_mprt": MetricInfo(
        "eMPRT",
        "relative rise of the map's complexity with random weights in the network",
        "Hedström et al. 2024, arXiv 2405.02383",
        ".metrics:efficient_mprt",
        higher_is_better=True,
        is_measured_by_default=False,
        changes_weights=True,
    ),
    "pointing_game": MetricInfo(
        "Pointing",
        "maps whose hottest point lies on the object",
        "Zhang et al. 2016, arXiv 1608.00507",
        ".metrics:pointing_game",
        higher_is_better=True,
        is_share=True,
        needs_objects=True,
    ),
    "energy_pointing_game": MetricInfo(
        "Energy",
        "heat that lies on the object",
        "Wang et al. 2020, arXiv 1910.01279",
        ".metrics:energy_pointing_game",
        higher_is_better=True,
        is_share=True,
        needs_objects=True,
    ),
    "box_iou": MetricInfo(
        "Box IoU",
        "overlap of the object's box with the box of the heat above 15 %",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        ".metrics:box_iou",
        higher_is_better=True,
        is_share=True,
        needs_objects=True,
    ),
    "localisation_error_top_1": MetricInfo(
        "Error top-1",
        "pictures where the class or its box is wrong",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        ".metrics:localisation_error_top_1",
        higher_is_better=False,
        is_share=True,
        needs_objects=True,
        needs_probabilities=True,
    ),
    "localisation_error_top_5": MetricInfo(
        "Error top-5",
        "the same, with the five most probable classes",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        ".metrics:localisation_error_top_5",
        higher_is_better=False,
        is_share=True,
        needs_objects=True,
        needs_probabilities=True,
    ),
}

METRICS = {name: info for name, info in ALL_METRICS.items() if not info.needs_objects}
LOCALISATION_METRICS = {name: info for name, info in ALL_METRICS.items() if info.needs_objects}
DEFAULT_METRICS = tuple(name for name, info in METRICS.items() if info.is_measured_by_default)
RANKING_METRICS = tuple(name for name, info in METRICS.items() if info.ranks_layers)


def usable_metrics(
    names: Iterable[str], quantity: str, can_change_weights: bool = True
) -> list[str]:
    """Selects the metrics that suit a network.

    Args:
        names: Keys of `ALL_METRICS`.
        quantity: What the network returns; see `gradcam_cli.models.labels.Prediction`.
        can_change_weights: Whether its weights can be changed.
    """
    return [
        name
        for name in names
        if (quantity != VALUE or not ALL_METRICS[name].needs_probabilities)
        and (can_change_weights or not ALL_METRICS[name].changes_weights)
    ]
