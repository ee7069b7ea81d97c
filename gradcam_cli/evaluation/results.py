"""The results of measuring pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradcam_cli.errors import GradcamError
from gradcam_cli.evaluation.evaluated_maps import EvaluatedMaps
from gradcam_cli.evaluation.ranking import Ranking, rank_maps
from gradcam_cli.evaluation.verdict import Verdict, faithfulness_metrics, judge
from gradcam_cli.files.storage import AnyPath


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        model: The name of the classifier.
        pictures: The measured pictures.
        rows: Methods and layers, then the baselines.
        metrics: The names of the measured metrics, in the order of the columns.
        errors: Why pictures weren't measured, or not for localisation.
        pictures_left: How many pictures were still to be measured when this was reported; 0
            for a complete evaluation.
    """

    model: str
    pictures: list[AnyPath]
    rows: list[EvaluatedMaps]
    metrics: list[str]
    errors: list[GradcamError] = field(default_factory=list)
    pictures_left: int = 0

    @property
    def baselines(self) -> list[EvaluatedMaps]:
        """The rows of baselines."""
        return [row for row in self.rows if row.is_baseline]

    @property
    def explained(self) -> list[EvaluatedMaps]:
        """The rows of methods."""
        return [row for row in self.rows if not row.is_baseline]

    def rank(self, metrics: Sequence[str] | None = None) -> Ranking:
        """Ranks the methods and layers.

        Args:
            metrics: Names of measured metrics; None for all that query the network.
        """
        chosen = faithfulness_metrics(self.rows) if metrics is None else metrics
        return rank_maps(self.explained, chosen)

    def judge(self, default_layer: str | None = None) -> Verdict:
        """Compares the methods or layers with each other and with the baselines.

        Args:
            default_layer: The layer that is used if the user names none; None if the verdict
                isn't about the choice of a layer.
        """
        return judge(self.rows, default_layer)
