"""The options of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.evaluation.annotations import Annotations
from gradcam_cli.evaluation.table import DEFAULT_METRICS, METRICS
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.pictures.preparing import InputShape


@dataclass(frozen=True)
class EvaluationOptions:
    """What to measure, and how pictures become network inputs.

    Attributes:
        metrics: Names from `gradcam_cli.evaluation.table.METRICS`.
        target: The class to explain in every picture: an index, or -1 for the most probable.
        inputs: How pictures become inputs.
        downloads: Fetches pictures from URLs.
        annotations: The annotated objects, for the localisation metrics; None to skip these.
        with_baselines: Whether to also measure a random map and a centre Gaussian.
    """

    metrics: Sequence[str] = DEFAULT_METRICS
    target: int = TOP_CLASS
    inputs: InputShape = field(default_factory=InputShape)
    downloads: Downloads = field(default_factory=Downloads)
    annotations: Annotations | None = None
    with_baselines: bool = True

    @property
    def changes_weights(self) -> bool:
        """Whether a metric needs a network whose weights can be changed."""
        return any(METRICS[name].changes_weights for name in self.metrics)
