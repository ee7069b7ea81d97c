"""The facts about an explainer, as plain values for people, JSON and other processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.models.labels import Prediction

# The most probable class. -2 is the second, and so on.
TOP_CLASS = -1


@dataclass(frozen=True)
class ExplainerFacts:
    """Method, model and layer of an explainer.

    Attributes:
        method: A key of `gradcam_cli.cam.methods.table.METHODS`.
        model: The name of the classifier.
        layer: The path of the explained layer; several are joined by " + ".
        needs_layer: Whether the method explains a chosen layer.
        runs_many_times: Whether the method runs the network so often that it reports its
            progress.
        preprocessing: The preprocessing of pictures, and why it was chosen.
        cells: A description of the grid of cells of each explained layer.
        reason: Why the layer was chosen; empty if the user chose it.
        task: What the outputs of the model mean, and why; empty for a classifier that ends in
            softmax.
        task_doubt: What to do if that is wrong; empty if the results don't depend on it.
        damage: Which weights of the model are NaN or infinite; empty if none are.
        segments: Whether the model gives scores at each position of a picture.
        class_names: The file of the class names, if the user should be told; else empty.
    """

    method: str
    model: str
    layer: str
    needs_layer: bool
    runs_many_times: bool
    preprocessing: str
    cells: str
    reason: str
    task: str = ""
    task_doubt: str = ""
    damage: str = ""
    segments: bool = False
    class_names: str = ""

    def title_of(self, target: Prediction) -> str:
        """Makes a title with method, class, model and layer."""
        return (
            f"{METHODS[self.method].title} of {target.name} ({target.index}), "
            f"{self.model} layer {self.layer}"
        )


def describe(explainers: Sequence[ExplainerFacts]) -> str:
    """Lists methods, model and layers in one line, each once."""
    methods = dict.fromkeys(METHODS[explainer.method].title for explainer in explainers)
    layers = dict.fromkeys(explainer.layer for explainer in explainers)
    return (
        f"{', '.join(methods)} · {explainers[0].model} · "
        f"layer{'s' * (len(layers) > 1)} {', '.join(layers)}"
    )
