"""The results of measuring pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.errors import GradcamError
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.files.storage import AnyPath


@dataclass(frozen=True)
class EvaluatedMaps:
    """One row: a method at a layer, or a baseline.

    Attributes:
        method: The name of the method or baseline.
        title: The display name.
        layer: The explained layer; None for a baseline.
        measurements: By the names in `gradcam_cli.evaluation.table.ALL_METRICS`.
        values: The single values of each picture, by its index in `Evaluation.pictures`.
        blanks: Why maps show nothing, by the same index.
    """

    method: str
    title: str
    layer: str | None
    measurements: dict[str, Measurement]
    values: dict[int, dict[str, float]]
    blanks: dict[int, BlankMap] = field(default_factory=dict)

    @property
    def is_baseline(self) -> bool:
        """Whether the maps don't depend on the network."""
        return self.layer is None

    @property
    def name(self) -> str:
        """The method and its layer."""
        return self.title if self.layer is None else f"{self.title} · {self.layer}"


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        model: The name of the classifier.
        pictures: The measured pictures.
        rows: Methods and layers, then the baselines.
        metrics: The names of the measured metrics, in the order of the columns.
        errors: Why pictures weren't measured, or not for localisation.
    """

    model: str
    pictures: list[AnyPath]
    rows: list[EvaluatedMaps]
    metrics: list[str]
    errors: list[GradcamError] = field(default_factory=list)

    @property
    def baselines(self) -> list[EvaluatedMaps]:
        """The rows of baselines."""
        return [row for row in self.rows if row.is_baseline]

    @property
    def explained(self) -> list[EvaluatedMaps]:
        """The rows of methods."""
        return [row for row in self.rows if not row.is_baseline]
