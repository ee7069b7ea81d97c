"""What a method is given, and what it gives back."""

from __future__ import annotations

import functools
import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import tensorflow as tf

from gradcam_cli.cam.methods.table import MethodInfo, MethodParameters, find_method
from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.forward import ForwardPass, Scorer, differentiate
from gradcam_cli.networks.grids import Grid
from gradcam_cli.networks.layers import feature_grid

if TYPE_CHECKING:
    from gradcam_cli.networks.opened import OpenedNetwork

Formula = Callable[..., tf.Tensor]
# Told how many more of the network's runs are done, and how many there will be.
Progress = Callable[[int, int], None]


def ignore_progress(done: int, total: int) -> None:
    """Takes what nobody wants to know."""


@dataclass(frozen=True)
class TappedPass:
    """One symbolic pass through a network, seen from the layer that is explained.

    Attributes:
        inputs: What the network was called with, (N, ..., channels).
        targets: The explained class of each input, one-hot, (N, classes) float32.
        forward: The pass itself, with the scores of all classes.
        scores: y^c, (N,) float32.
        layer: The path of the explained layer.
        layer_output: What the layer returned, in the network's own layout and dtype.
        arrangement: The way from there to feature maps.
        scorer: Runs the network once more in the same graph.
    """

    inputs: tf.Tensor
    targets: tf.Tensor
    forward: ForwardPass
    scores: tf.Tensor
    layer: str
    layer_output: tf.Tensor
    arrangement: Arrangement
    scorer: Scorer

    @property
    def feature_maps(self) -> tf.Tensor:
        """A, (N, ..., K) float32."""
        return self.as_maps(self.layer_output)

    def as_maps(self, values: tf.Tensor) -> tf.Tensor:
        """Arranges what has the layout of the layer's output as (N, ..., K) float32."""
        return tf.cast(self.arrangement.to_maps(values), tf.float32)

    def gradients_of(self, scores: tf.Tensor) -> tf.Tensor:
        """Differentiates scores by A.

        Args:
            scores: (N,), each depending on its own input alone.

        Returns:
            (N, ..., K) float32.

        Raises:
            UnusableLayerError: Something between the layer and the scores has no gradient.
        """
        return self.as_maps(differentiate(scores, self.layer_output, self.layer))


def tapped_pass(
    inputs: tf.Tensor,
    targets: tf.Tensor,
    forward: ForwardPass,
    scores: tf.Tensor,
    layer: str,
    scorer: Scorer,
) -> TappedPass:
    """Looks at a pass from one layer; the arguments are the attributes of `TappedPass`.

    Raises:
        UnusableLayerError: The layer has no feature maps.
    """
    arrangement = Arrangement(feature_grid(forward, layer), inputs.graph)
    output = forward.layer_outputs[layer]
    return TappedPass(inputs, targets, forward, scores, layer, output, arrangement, scorer)


class InGraphMethod(ABC):
    """A method that follows from the network's tensors, inside the graph that has them."""

    @abstractmethod
    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Computes the maps of a batch.

        Returns:
            (N, ...) float32 without the channels, before the final ReLU.
        """

    def grid(self, forward: ForwardPass, layer: str) -> Grid:
        """Says how the cells of its maps lie on the picture, those at the input's size aside.

        Args:
            forward: A pass through the network.
            layer: The path of the explained layer.

        Raises:
            UnusableLayerError: There is nothing that the method can explain.
        """
        return feature_grid(forward, layer)


@dataclass(frozen=True)
class FormulaMethod(InGraphMethod):
    """A method that is a function of A and the gradient of y^c by A, no more.

    Attributes:
        info: What is known of the method.
        formula: From two tensors (N, ..., K) float32 to (N, ...).
    """

    info: MethodInfo
    formula: Formula

    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Applies the formula.

        Raises:
            UnusableLayerError: The layer is one before which the formula gives nothing.
        """
        if self.info.multiplies_cells and tapped.forward.is_only_normalized(tapped.layer):
            raise UnusableLayerError(
                f"{self.info.title} multiplies each cell of layer {tapped.layer} by its gradient, "
                f"which gives nothing before the layer normalization that follows it; explain "
                f"that one, or take another method"
            )
        return self.formula(tapped.feature_maps, tapped.gradients_of(tapped.scores))


class PerturbationMethod(ABC):
    """A method that runs the network many times, on changed inputs or feature maps."""

    @abstractmethod
    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Computes the maps of a batch.

        Args:
            network: The network, opened at the explained layer.
            inputs: (N, ..., channels) float32.
            targets: (N, classes) float32, one-hot.
            progress: To be called as the runs are done.

        Returns:
            (N, ...) float32 without the channels, before the final ReLU.
        """


def spatial_axes(feature_maps: tf.Tensor) -> list[int]:
    """Names the axes of (N, ..., K) between the batch and the channels."""
    return list(range(1, feature_maps.shape.rank - 1))


Method = InGraphMethod | PerturbationMethod


def make_method(name: str, **parameters: Unpack[MethodParameters]) -> Method:
    """Makes a method ready for use, importing nothing of the others.

    Args:
        name: A key of `gradcam_cli.cam.methods.table.METHODS`.
        **parameters: The method's own parameters, where it has any.

    Raises:
        UsageError: There is no such method.
        TypeError: It has no such parameter.
    """
    info = find_method(name)
    found = find_implementation(info)
    if isinstance(found, type):
        method: Method = found(**parameters)
        return method
    # Fails here rather than at the first map.
    inspect.signature(found).bind_partial(**parameters)
    formula = functools.partial(found, **parameters) if parameters else found
    return FormulaMethod(info, formula)


def describe_code(name: str) -> str | None:
    """Says what code computes a method's maps in this process, as its row stands now.

    Args:
        name: A key of `gradcam_cli.cam.methods.table.METHODS`.

    Returns:
        Other text for other code of this package; None for code from elsewhere, of which
        nobody knows when it changes.
    """
    info = find_method(name)
    found = find_implementation(info)
    names = []
    for part in (found, getattr(found, "maps", None), getattr(found, "explain", None)):
        if part is None:
            continue
        module, place = getattr(part, "__module__", ""), getattr(part, "__qualname__", "<")
        # Of what is made inside a function there may be several.
        if module.partition(".")[0] != __name__.partition(".")[0] or "<" in place:
            return None
        names.append(f"{module}:{place}")
    return f"{info} is {', '.join(names)}"


def find_implementation(info: MethodInfo) -> Callable[..., Any]:
    """Imports the function or class that a method's row names."""
    module, _, attribute = info.implementation.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module, __package__), attribute)
    return found
