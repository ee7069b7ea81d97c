"""The description of a model for the rest of the package, whatever its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import tensorflow as tf

from gradcam_cli.errors import UnusableLayerError, UsageError
from gradcam_cli.models.inputs import (
    DescribedInput,
    OtherInput,
    arrange,
    check_input_name,
    describe_input,
)
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.preprocessing import Preprocessing
from gradcam_cli.networks.black_box import BlackBoxNetwork
from gradcam_cli.networks.bound import BoundNetwork, without_values
from gradcam_cli.networks.conditions import CANDIDATE, NO_REGION, REGION, Conditions
from gradcam_cli.networks.detection import BoxDecoder
from gradcam_cli.networks.folding import fold
from gradcam_cli.networks.forward import ForwardPass, Network, trace_forward
from gradcam_cli.networks.inputs import PICTURE_CHANNELS, name_channels
from gradcam_cli.networks.layers import LayerInfo, choose_tap, list_layers
from gradcam_cli.networks.tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from gradcam_cli.pictures.fitting import choose_input_size, usual_stride
from gradcam_cli.pictures.preparing import InputShape

T = TypeVar("T")

# In the usual data sets: PASCAL VOC, Cityscapes, CamVid, COCO-Stuff.
_BACKGROUND = frozenset({"background", "bg", "void", "unlabeled", "unlabelled", "ignore"})
# The length of a stack where the network takes any.
USUAL_STACK = 16
_SCORES = {
    "Softmax": "the input of the final softmax",
    "Sigmoid": "the input of the final sigmoid",
    None: "the output itself (the model ends without softmax or sigmoid)",
}


@dataclass(frozen=True)
class Classifier:
    """An image classifier: a network, its input and its outputs.

    Attributes:
        name: The name that users type.
        network: A function from (N, height, width, channels) float32 to class scores; from
            (N, length, height, width, channels) if it takes stacks.
        input_size: The (height, width) that it was trained for, in pixels.
        channels: 1 (grey), 3 (RGB), 4 (RGB and opacity), or any other number of bands.
        any_size: Whether it accepts inputs of other sizes.
        default_fit: The fit (see `gradcam_cli.pictures.fitting`) that suits it and shows the
            whole picture.
        preprocess: The function applied to values in [0, 255] before the network.
        labels: The names of the classes.
        is_size_exact: Whether inputs have exactly `input_size` if the user chooses no other
            size, even if the network accepts any. Otherwise they are multiples of its usual
            stride.
        task: What the outputs mean: one of `gradcam_cli.networks.tasks.TASKS`.
        task_reason: Why it is this task; empty for the plain case, a classifier that ends in
            softmax.
        task_doubt: What to do if the task is guessed wrong; empty if results don't depend on it.
        is_task_guess: Whether the task is a guess that names for the outputs would settle.
        damage: Which of its weights are NaN or infinite; empty if none are.
        is_black_box: Whether it has neither layers nor gradients that could be used.
        is_mask: Whether it segments with a single channel, whose second class is the foreground.
        decoder: For a detector, what reads its boxes and scores; None otherwise.
        likely_background: For a detector, the classes that probably stand for no object, if none
            has such a name.
        conditions: What it takes beside the picture, such as the values of other inputs, or the
            region to explain.
        explained: The name of the explained input, if the network has several; "" if it has one.
        others: The other inputs of the network.
        views: For a network with several inputs for pictures, the classifier that explains each,
            by the name of the input; the explained ones come first. Empty otherwise.
        number_of_views: How many of these, from the first, are explained.
        takes_stacks: Whether an input is a stack of pictures: the frames of a clip, or the slices
            of a volume.
        length: The number of pictures in a stack; None if the network takes any, or no stacks.
    """

    name: str
    network: Network
    input_size: tuple[int, int]
    channels: int
    any_size: bool
    default_fit: str
    preprocess: Preprocessing
    labels: Labels
    is_size_exact: bool = False
    task: str = CLASSIFICATION
    task_reason: str = ""
    task_doubt: str = ""
    is_task_guess: bool = False
    damage: str = ""
    is_black_box: bool = False
    is_mask: bool = False
    decoder: BoxDecoder | None = None
    likely_background: tuple[int, ...] = ()
    conditions: Conditions = field(default_factory=Conditions)
    explained: str = ""
    others: tuple[OtherInput, ...] = ()
    views: tuple[Classifier, ...] = ()
    number_of_views: int = 1
    takes_stacks: bool = False
    length: int | None = None

    @property
    def explained_views(self) -> tuple[Classifier, ...]:
        """A classifier for each explained input; itself is the first."""
        return self.views[: self.number_of_views] or (self,)

    @property
    def picture_input(self) -> str:
        """The name of the explained input; "" if the network has only one for pictures."""
        several = any(other.takes_picture for other in self.others)
        return self.explained if several else ""

    def explaining(self, name: str) -> Classifier:
        """Returns the classifier that explains another input, and only that one.

        Args:
            name: The name of an input that takes pictures.

        Raises:
            UsageError: The network has no such input.
        """
        if not self.views:
            check_input_name(name, {self.explained: self})
            return self
        check_input_name(name, {view.explained: view for view in self.views})
        chosen = self.view(name)
        others = (view for view in self.views if view is not chosen)
        return replace(chosen, views=(chosen, *others), number_of_views=1)

    def view(self, name: str) -> Classifier:
        """Returns the classifier that explains another input.

        Args:
            name: The name of an input that takes pictures.
        """
        return next(view for view in self.views if view.explained == name)

    def with_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> Classifier:
        """Returns it with known shapes of inputs that take any number of values.

        Args:
            shapes: The shapes by the names of the inputs.
        """
        if not shapes:
            return self
        others = tuple(
            other if other.takes_picture else other.having(shapes.get(other.name))
            for other in self.others
        )
        return replace(
            self,
            others=others,
            conditions=arrange(others, self.any_size) + self.conditions.of_regions(),
            views=tuple(view.with_shapes(shapes) for view in self.views),
        )

    def bound(self, values: Mapping[str, np.ndarray]) -> Classifier:
        """Returns it with fixed values of the other inputs, so that it takes pictures alone.

        Args:
            values: The value of each other input by name, float32 in its shape; pictures are in
                [0, 255].
        """
        prepared = {
            other.name: np.asarray(_prepared(other, tf.constant(values[other.name][None])))[0]
            for other in self.others
        }
        return replace(
            self,
            network=BoundNetwork(self.network, prepared),
            conditions=self.conditions.of_regions(),
            explained="",
            others=(),
            views=(),
            number_of_views=1,
        )

    @property
    def segments(self) -> bool:
        """Whether the network gives scores at each position of a picture."""
        return self.task == SEGMENTATION

    @property
    def detects(self) -> bool:
        """Whether the network gives boxes, each with the scores of all classes."""
        return self.task == DETECTION

    @property
    def background(self) -> list[int]:
        """The classes that stand for the rest of a picture, which nobody looks for."""
        if self.is_mask:
            return [0]
        if self.likely_background:
            return list(self.likely_background)
        names = [self.labels.name(index) for index in range(len(self.labels))]
        return [index for index, name in enumerate(names) if name.casefold() in _BACKGROUND]

    def pack_values(
        self, arrays: Mapping[str, np.ndarray], region: np.ndarray | float = NO_REGION
    ) -> np.ndarray:
        """Arranges what the network takes beside one picture, as `conditions` says.

        Args:
            arrays: The value of each input by name, also of the explained one.
            region: The region to explain, (height, width), if the network segments.

        Returns:
            (values,) float32.
        """
        size = arrays[self.explained].shape[:2]
        covered = np.broadcast_to(np.float32(region), size)
        return self.conditions.pack({**arrays, REGION: covered})

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(height, width, channels), with None for height and width if any size fits.

        For stacks, the length comes first, with None if any fits.
        """
        lengths = (self.length,) if self.takes_stacks else ()
        return (*lengths, *((None, None) if self.any_size else self.input_size), self.channels)

    @property
    def usual_size(self) -> tuple[int, ...]:
        """The size of an input without its channels, also where the network takes any."""
        lengths = (self.length or USUAL_STACK,) if self.takes_stacks else ()
        return (*lengths, *self.input_size)

    def describe_length(self) -> str:
        """Says how many pictures an input has: "16 frames or slices"; "" for one."""
        if not self.takes_stacks:
            return ""
        return f"{self.length or 'any number of'} frames or slices"

    def check_single_pictures(self, what: str) -> None:
        """Refuses a network of stacks where single pictures are needed.

        Args:
            what: What needs them, as the subject of a sentence: "an audit".

        Raises:
            UsageError: It takes stacks.
        """
        if self.takes_stacks:
            raise UsageError(
                f"{self.name} takes {self.describe_length()} at once, but {what} is about single "
                f"pictures; explain it with 'gradcam PATH --model {self.name}'"
            )

    def describe_input(self) -> str:
        """Says what an input is: "16 frames or slices of 112×112 px (height×width), RGB"."""
        height, width = self.input_size
        return (
            f"{self.describe_length()}{' of ' * self.takes_stacks}{height}×{width} px "
            f"(height×width), {name_channels(self.channels)}"
            f"{', or any other size' * self.any_size}"
        )

    def input_for(self, fit: str | None = None, size: tuple[int, int] | None = None) -> InputShape:
        """Describes how pictures become inputs of the network.

        Args:
            fit: One of `gradcam_cli.pictures.fitting.FITS`; None for the default.
            size: The (height, width) that the user asked for, in pixels; None for the best.

        Raises:
            UsageError: The network only accepts inputs of its own size.
        """
        fit = fit or self.default_fit
        if self.is_size_exact and size is None and fit != "keep":
            chosen = self.input_size[::-1]
        else:
            chosen = choose_input_size(self.input_size, self.any_size, fit, size)
        return InputShape(
            fit,
            chosen,
            usual_stride(self.input_size),
            self.channels,
            takes_any_values=self.channels not in PICTURE_CHANNELS or self.preprocess.is_none_asked,
        )

    def folded(self, taps: Sequence[str | int] | None = None) -> Classifier:
        """Returns a faster version of it, if possible, for fixed weights.

        Args:
            taps: The layers to explain, if known.
        """
        return replace(self, network=fold(self.network, taps))

    @property
    def described_task(self) -> str:
        """The task with its reason: "regression (compiled with mean_squared_error)"."""
        return f"{self.task} ({self.task_reason or 'the outputs end in softmax'})"

    @property
    def warning(self) -> str:
        """A warning if the results may be meaningless, else "": a wrong task, broken weights."""
        found = "; ".join(filter(None, (self.damage, self.task_doubt)))
        return f"{self.name}: {found}" if found else ""

    def describe_score(self) -> str:
        """Describes in a few words which score is explained."""
        network = without_values(self.network)
        if isinstance(network, BlackBoxNetwork) and network.takes_logarithms:
            return "the logarithm of the probability (its final softmax can't be left out)"
        if self.detects:
            return "the logit of the class in the box of one object"
        if self.segments:
            what = _SCORES[self._activation()]
            return f"the sum of {what} over the region where the class is predicted"
        return _SCORES[self._activation()]

    def layers(self) -> list[LayerInfo]:
        """Lists the layers, for an input of the size that the network was trained for.

        A black box has none.
        """
        if self.is_black_box:
            return []
        return self._look(lambda forward: list_layers(self.network, forward))

    def describe_inputs(self) -> list[DescribedInput]:
        """Describes the inputs, in the order of the model; empty if there is only one."""
        if not self.others:
            return []
        explained = {view.explained for view in self.explained_views}
        own = OtherInput(self.network.explained_input, self.preprocess)
        known = {other.name: other for other in (own, *self.others)}
        return [
            DescribedInput(
                one.name,
                one.shape,
                one.dtype,
                describe_input(one),
                one.name in explained,
                known[one.name].preprocess,
            )
            for one in self.network.inputs
        ]

    def refused_layers(self, layers: Sequence[str | int]) -> dict[str | int, UnusableLayerError]:
        """Finds the layers, of some, that can't be explained, and why.

        Args:
            layers: Names, paths or indices.

        Raises:
            UnknownLayerError: The network has no such layer.
        """

        def look(forward: ForwardPass) -> dict[str | int, UnusableLayerError]:
            refused: dict[str | int, UnusableLayerError] = {}
            for layer in layers:
                try:
                    choose_tap(self.network, forward, layer)
                except UnusableLayerError as error:
                    refused[layer] = error
            return refused

        return self._look(look)

    def _activation(self) -> str | None:
        return self._look(lambda forward: forward.activation)

    def _look(self, see: Callable[[ForwardPass], T]) -> T:
        """Traces the network for an input of its own size, and inspects the pass."""
        seen: list[T] = []

        def trace(*tensors: tf.Tensor) -> tf.Tensor:
            forward = self.trace(*tensors)
            seen.append(see(forward))
            return forward.logits

        size = self.input_for("squash").size[::-1]
        lengths = self.usual_size[:-2]
        signature = [tf.TensorSpec((None, *lengths, *size, self.channels), tf.float32)]
        if self.conditions.parts:
            signature.append(tf.TensorSpec((None, self.conditions.length), tf.float32))
        tf.function(trace, autograph=False).get_concrete_function(*signature)
        return seen[0]

    def trace(self, inputs: tf.Tensor, conditions: tf.Tensor | None = None) -> ForwardPass:
        """Runs the preprocessing and the network in the graph that is being traced.

        Args:
            inputs: (N, height, width, channels) float32 in [0, 255], or in the units of the file
                if the network takes bands; with the length of a stack after N.
            conditions: (N, values) float32, as `conditions` arranges them; None if there are none.
        """
        values = {} if conditions is None else self.conditions.split(conditions, inputs)
        return trace_forward(
            self.network,
            self.preprocess(inputs),
            self.usual_size,
            self.task,
            others={
                other.name: _prepared(other, values[other.name])
                for other in self.others
                if other.name in values
            },
            region=values.get(REGION),
            decoder=self.decoder,
            candidates=values.get(CANDIDATE),
        )


def _prepared(other: OtherInput, values: tf.Tensor) -> tf.Tensor:
    return values if other.preprocess is None else other.preprocess(values)
