"""The facts about an explainer, as plain values for people, JSON and other processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.models.labels import Prediction

# What signed maps say about a class, and about a value.
AGAINST_AND_FOR = ("against", "for")
LOWERS_AND_RAISES = ("lowers", "raises")
# The most probable class. -2 is the second, and so on.
TOP_CLASS = -1


@dataclass(frozen=True)
class ExplainerFacts:
    """Method, model and layer of an explainer.

    Attributes:
        method: A key of `gradcam_cli.cam.methods.table.METHODS`.
        model: The name of the classifier.
        layer: The path of the explained layer; several are joined by " + ". "" for a method that
            observes only the scores.
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
        input: The explained input; "" if the network has only one for pictures.
        method_doubt: Why the maps of the method may mislead; empty if nothing speaks against it.
        detects: Whether the model gives boxes, each with the scores of all classes.
        ends: What negative and positive values of its maps mean in a word; None if the maps
            aren't signed.
        against: The index and the name of the class whose score is subtracted; None for none.
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
    input: str = ""
    ends: tuple[str, str] | None = None
    against: tuple[int, str] | None = None
    detects: bool = False
    method_doubt: str = ""

    @property
    def contrast(self) -> str:
        """What each class is compared with: "against tabby (281)"; empty for nothing."""
        return "" if self.against is None else f"against {self.against[1]} ({self.against[0]})"

    def contrast_of(self, target: Prediction) -> str:
        """Says what a class is compared with, or that it is shown what lowers it."""
        is_itself = self.against is not None and self.against[0] == target.index
        return "what lowers it" if is_itself else self.contrast

    def title_of(self, target: Prediction) -> str:
        """Makes a title with method, class, model and layer."""
        contrast = f", {self.contrast_of(target)}" if self.contrast else ""
        signed = "Signed " if self.ends else ""
        return (
            f"{signed}{METHODS[self.method].title} of {target.name} ({target.numbers}){contrast}, "
            f"{self.model}{f' layer {self.layer}' if self.layer else ''}"
            f"{f', input {self.input}' if self.input else ''}"
        )


def describe(explainers: Sequence[ExplainerFacts]) -> str:
    """Lists methods, model, layers, inputs and what is compared with in one line, each once."""
    methods = dict.fromkeys(METHODS[explainer.method].title for explainer in explainers)
    shown = describe_layers([explainer.layer for explainer in explainers])
    inputs = dict.fromkeys(explainer.input for explainer in explainers if explainer.input)
    described = f" · input{'s' * (len(inputs) > 1)} {', '.join(inputs)}" if inputs else ""
    contrast = f" · {explainers[0].contrast}" if explainers[0].contrast else ""
    signed = "Signed " if explainers[0].ends else ""
    return (
        f"{signed}{', '.join(methods)} · {explainers[0].model}"
        f"{f' · {shown}' if shown else ''}{described}{contrast}"
    )


def describe_layers(layers: Sequence[str]) -> str:
    """Lists layers, each once: "layer a", "layers a, b"; "" if no method explains one.

    Args:
        layers: `ExplainerFacts.layer` of each explainer.
    """
    named = list(filter(None, dict.fromkeys(layers)))
    return f"layer{'s' * (len(named) > 1)} {', '.join(named)}" if named else ""
