"""One row of an evaluation: the maps of a method at a layer, or of a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.evaluation.measurement import Measurement


@dataclass(frozen=True)
class EvaluatedMaps:
    """One row: a method at a layer, or a baseline.

    Attributes:
        method: The name of the method or baseline.
        title: The display name.
        layer: The explained layer; "" for a method that needs none, None for a baseline.
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
        return f"{self.title} · {self.layer}" if self.layer else self.title


def common_part(rows: Sequence[EvaluatedMaps]) -> str:
    """Returns what the names of several methods share, which a heading can state once.

    Returns:
        "layer ..." for methods at one layer, the method for layers of one method; "" otherwise.
    """
    explained = [row for row in rows if not row.is_baseline]
    layers, titles = {row.layer for row in explained}, {row.title for row in explained}
    if len(explained) > 1 and len(layers) == 1 and explained[0].layer:
        return f"layer {explained[0].layer}"
    if len(explained) > 1 and len(titles) == 1:
        return explained[0].title
    return ""


def short_name(row: EvaluatedMaps, rows: Sequence[EvaluatedMaps]) -> str:
    """Returns the name of a row without what all rows share (see `common_part`)."""
    common = common_part(rows)
    if not row.layer or not common:
        return row.name
    return row.layer if common == row.title else row.title
