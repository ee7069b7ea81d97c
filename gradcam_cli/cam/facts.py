"""What is told of an explainer, as plain values: for people, JSON and other processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.models.labels import Prediction

# Stands for the most probable class; -2 for the second, and so on.
TOP_CLASS = -1


@dataclass(frozen=True)
class ExplainerFacts:
    """What explains, by which layer.

    Attributes:
        method: A key of `gradcam_cli.cam.methods.table.METHODS`.
        model: The name of the classifier.
        layer: The path of the explained layer; of several, joined by " + ".
        needs_layer: Whether the choice of a layer means anything to the method.
        runs_many_times: Whether the method runs the network so often that it tells of its
            progress.
        preprocessing: What is done to pictures before the network, and why that.
        cells: How the cells of each explained layer lie, in words.
        reason: Why the layer was chosen; empty if the user did.
    """

    method: str
    model: str
    layer: str
    needs_layer: bool
    runs_many_times: bool
    preprocessing: str
    cells: str
    reason: str

    def title_of(self, target: Prediction) -> str:
        """Says of which class a map is, and how it was made."""
        return (
            f"{METHODS[self.method].title} of {target.name} ({target.index}), "
            f"{self.model} layer {self.layer}"
        )


def describe(explainers: Sequence[ExplainerFacts]) -> str:
    """Names methods, model and layers in one line, each once."""
    methods = dict.fromkeys(METHODS[explainer.method].title for explainer in explainers)
    layers = dict.fromkeys(explainer.layer for explainer in explainers)
    return (
        f"{', '.join(methods)} · {explainers[0].model} · "
        f"layer{'s' * (len(layers) > 1)} {', '.join(layers)}"
    )
