"""The interface of a method: what it takes and what it returns."""

from __future__ import annotations

import functools
import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import tensorflow as tf

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.cam.methods.table import MethodInfo, MethodParameters, find_method
from gradcam_cli.errors import UnusableLayerError
from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.forward import ForwardPass, Scorer, differentiate, length_of
from gradcam_cli.networks.grids import Grid
from gradcam_cli.networks.layers import feature_grid

if TYPE_CHECKING:
    from gradcam_cli.networks.opened import OpenedNetwork
    from gradcam_cli.networks.scored import ScoredNetwork

Formula = Callable[..., tf.Tensor]
# Called with the number of runs done since the last call and the total number of runs.
Progress = Callable[[int, int], None]


def ignore_progress(done: int, total: int) -> None:
    """Discards progress."""


@dataclass(frozen=True)
class TappedPass:
    """One symbolic pass through a network, with access to the explained layer.

    Attributes:
        inputs: The network's inputs, (N, ..., channels).
        targets: The weight of each class in the explained score, (N, classes) float32: one-hot
            for a single class. In some graphs what the network takes beside the input follows,
            as the scorer needs it.
        forward: The pass itself, with the scores of all classes.
        scores: y^c, (N,) float32.
        layer: The path of the explained layer.
        layer_output: The layer's output, in the network's own layout and dtype.
        arrangement: Converts this output to feature maps.
        scorer: Runs the network once more in the same graph.
        layers: The paths of the layers that a method fuses which can fuse any; empty for those
            that it chooses itself.
    """

    inputs: tf.Tensor
    targets: tf.Tensor
    forward: ForwardPass
    scores: tf.Tensor
    layer: str
    layer_output: tf.Tensor
    arrangement: Arrangement
    scorer: Scorer
    layers: Sequence[str] = ()

    @property
    def classes(self) -> tf.Tensor:
        """The explained class of each input alone, one-hot, (N, classes) float32."""
        return self.targets[:, : length_of(self.forward.logits, -1)]

    @property
    def feature_maps(self) -> tf.Tensor:
        """A, (N, ..., K) float32."""
        return self.as_maps(self.layer_output)

    def as_maps(self, values: tf.Tensor) -> tf.Tensor:
        """Arranges values in the layout of the layer's output as (N, ..., K) float32."""
        return tf.cast(self.arrangement.to_maps(values), tf.float32)

    def gradients_of(self, scores: tf.Tensor) -> tf.Tensor:
        """Differentiates scores with respect to A.

        Args:
            scores: (N,), each depending only on its own input.

        Returns:
            (N, ..., K) float32.

        Raises:
            UnusableLayerError: An operation between the layer and the scores has no gradient.
        """
        return self.as_maps(differentiate(scores, self.layer_output, self.layer))


def tapped_pass(
    inputs: tf.Tensor,
    targets: tf.Tensor,
    forward: ForwardPass,
    scores: tf.Tensor,
    layer: str,
    scorer: Scorer,
    layers: Sequence[str] = (),
) -> TappedPass:
    """Makes a `TappedPass`; the arguments are its attributes of the same names.

    Raises:
        UnusableLayerError: The layer has no feature maps.
    """
    arrangement = Arrangement(feature_grid(forward, layer), inputs.graph)
    output = forward.layer_outputs[layer]
    return TappedPass(inputs, targets, forward, scores, layer, output, arrangement, scorer, layers)


class InGraphMethod(ABC):
    """A method that computes its maps from the network's tensors, in the network's graph."""

    @abstractmethod
    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Computes the maps of a batch.

        Returns:
            (N, ...) float32 without the channels, before the final ReLU.
        """

    def grid(self, forward: ForwardPass, layer: str) -> Grid:
        """Returns the grid of the method's maps, unless these have the input's size.

        Args:
            forward: A pass through the network.
            layer: The path of the explained layer.

        Raises:
            UnusableLayerError: The network has nothing that the method can explain.
        """
        return feature_grid(forward, layer)


@dataclass(frozen=True)
class FormulaMethod(InGraphMethod):
    """A method that is only a function of A and the gradient of y^c with respect to A.

    Attributes:
        info: The method's row in the table of methods.
        formula: A function from two tensors (N, ..., K) float32 to (N, ...).
    """

    info: MethodInfo
    formula: Formula

    def maps(self, tapped: TappedPass) -> tf.Tensor:
        """Applies the formula.

        Raises:
            UnusableLayerError: The formula gives no meaningful map at this layer.
        """
        if self.info.multiplies_cells and tapped.forward.is_only_normalized(tapped.layer):
            raise UnusableLayerError(
                f"{self.info.title} multiplies each cell of layer {tapped.layer} by its gradient, "
                f"which is meaningless before the layer normalization that follows it; explain "
                f"that layer instead, or choose another method"
            )
        maps = tapped.feature_maps
        if not self.info.uses_gradients:
            # There may be none.
            return self.formula(maps, tf.zeros_like(maps))
        return self.formula(maps, tapped.gradients_of(tapped.scores))


class PerturbationMethod(ABC):
    """A method that runs the network many times, with changed inputs or feature maps.

    Attributes:
        needs_gradients: Whether it asks for the network's `evidence`.
    """

    needs_gradients: ClassVar[bool] = False

    @abstractmethod
    def explain(
        self, network: OpenedNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> tf.Tensor:
        """Computes the maps of a batch.

        Args:
            network: The network, opened at the explained layer.
            inputs: (N, ..., channels) float32.
            targets: (N, classes) float32, the weights of the scores; one-hot for one class.
            progress: To be called when runs are done.

        Returns:
            (N, ...) float32, without a channel axis, before the final ReLU.
        """


@dataclass(frozen=True)
class ObservedMaps:
    """The maps of a black-box method.

    Attributes:
        maps: (N, ...) float32 of the size of the inputs, without a channel axis, before the final
            ReLU.
        notes: Why maps show nothing, or aren't final, by the number of their input; what only
            the method can know.
    """

    maps: tf.Tensor
    notes: Mapping[int, BlankMap] = field(default_factory=dict)


class BlackBoxMethod(ABC):
    """A method that changes the input and observes the scores: any network will do."""

    @abstractmethod
    def explain(
        self, network: ScoredNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> ObservedMaps | tf.Tensor:
        """Computes the maps of a batch.

        Args:
            network: The network.
            inputs: (N, ..., channels) float32 in [0, 255], before the preprocessing.
            targets: (N, classes) float32, the weights of the scores; one-hot for one class.
            progress: To be called when runs are done, or found to be unnecessary.

        Returns:
            (N, ...) float32 of the size of the inputs, without a channel axis, before the final
            ReLU; as `ObservedMaps` if there is something to say about them.
        """


def spatial_axes(feature_maps: tf.Tensor) -> list[int]:
    """Lists the axes of (N, ..., K) between the batch and the channels."""
    return list(range(1, feature_maps.shape.rank - 1))


Method = InGraphMethod | PerturbationMethod | BlackBoxMethod


def make_method(name: str, **parameters: Unpack[MethodParameters]) -> Method:
    """Makes a method ready for use, and imports only its own module.

    Args:
        name: A key of `gradcam_cli.cam.methods.table.METHODS`.
        **parameters: The method's own parameters, if it has any.

    Raises:
        UsageError: There is no such method.
        TypeError: The method has no such parameter.
    """
    info = find_method(name)
    found = find_implementation(info)
    if isinstance(found, type):
        base = {"base": make_method(info.base)} if info.base else {}
        method: Method = found(**base, **parameters)
        return method
    # A wrong parameter fails here instead of at the first map.
    inspect.signature(found).bind_partial(**parameters)
    formula = functools.partial(found, **parameters) if parameters else found
    return FormulaMethod(info, formula)


def describe_code(name: str) -> str | None:
    """Identifies the code that computes a method's maps, for the cache of graphs.

    Args:
        name: A key of `gradcam_cli.cam.methods.table.METHODS`.

    Returns:
        A text that differs for different code of this package. None for code from elsewhere,
        because there is no way to know when it changes.
    """
    info = find_method(name)
    found = find_implementation(info)
    names = []
    for part in (found, getattr(found, "maps", None), getattr(found, "explain", None)):
        if part is None:
            continue
        module, place = getattr(part, "__module__", ""), getattr(part, "__qualname__", "<")
        # A function may create several things of this name.
        if module.partition(".")[0] != __name__.partition(".")[0] or "<" in place:
            return None
        names.append(f"{module}:{place}")
    described = f"{info} is {', '.join(names)}"
    if not info.base:
        return described
    applied = describe_code(info.base)
    return None if applied is None else f"{described} over {applied}"


def find_implementation(info: MethodInfo) -> Callable[..., Any]:
    """Imports the function or class that a method's row names."""
    module, _, attribute = info.implementation.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module, __package__), attribute)
    return found
