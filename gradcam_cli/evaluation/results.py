"""What came out of measuring pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradcam_cli.errors import GradcamError
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.files.storage import AnyPath


@dataclass(frozen=True)
class EvaluatedMaps:
    """One row: a method at a layer, or a baseline.

    Attributes:
        method: Its name.
        title: What its authors call it.
        layer: The explained layer; None for a baseline.
        measurements: By the names of `gradcam_cli.evaluation.table.ALL_METRICS`.
        values: For each picture (by its place in `Evaluation.pictures`) the single values.
    """

    method: str
    title: str
    layer: str | None
    measurements: dict[str, Measurement]
    values: dict[int, dict[str, float]]

    @property
    def is_baseline(self) -> bool:
        """Whether it knows nothing of the network."""
        return self.layer is None

    @property
    def name(self) -> str:
        """The method and its layer."""
        return self.title if self.layer is None else f"{self.title} · {self.layer}"


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        model: The name of the classifier.
        pictures: What was measured.
        rows: Methods and layers, then the baselines.
        metrics: The names of what was measured, in the order of the columns.
        errors: Why other pictures weren't measured, or not where their objects are.
    """

    model: str
    pictures: list[AnyPath]
    rows: list[EvaluatedMaps]
    metrics: list[str]
    errors: list[GradcamError] = field(default_factory=list)

    @property
    def baselines(self) -> list[EvaluatedMaps]:
        """The rows that know nothing of the network."""
        return [row for row in self.rows if row.is_baseline]

    @property
    def explained(self) -> list[EvaluatedMaps]:
        """The rows of methods."""
        return [row for row in self.rows if not row.is_baseline]
