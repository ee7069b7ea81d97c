"""What is measured, and how pictures reach the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.evaluation.annotations import Annotations
from gradcam_cli.evaluation.table import METRICS
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.pictures.preparing import InputShape


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured, and how pictures reach the network.

    Attributes:
        metrics: Names of `gradcam_cli.evaluation.table.METRICS`.
        target: The class that is explained in every picture: an index, or -1 for the most
            probable.
        inputs: How pictures become inputs.
        downloads: What fetches pictures from URLs.
        annotations: Where the objects are, for the metrics of localisation.
        with_baselines: Also measure a random map and a centre Gaussian.
    """

    metrics: Sequence[str] = tuple(METRICS)
    target: int = TOP_CLASS
    inputs: InputShape = field(default_factory=InputShape)
    downloads: Downloads = field(default_factory=Downloads)
    annotations: Annotations | None = None
    with_baselines: bool = True
