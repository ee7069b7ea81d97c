"""The description of a model for the rest of the package, whatever its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import tensorflow as tf

from gradcam_cli.models.labels import Labels
from gradcam_cli.models.preprocessing import Preprocessing
from gradcam_cli.networks.conditions import REGION, Conditions
from gradcam_cli.networks.folding import fold
from gradcam_cli.networks.forward import ForwardPass, Network, trace_forward
from gradcam_cli.networks.layers import LayerInfo, list_layers
from gradcam_cli.networks.tasks import CLASSIFICATION, SEGMENTATION
from gradcam_cli.pictures.fitting import choose_input_size, usual_stride
from gradcam_cli.pictures.preparing import InputShape

T = TypeVar("T")

# In the usual data sets: PASCAL VOC, Cityscapes, CamVid, COCO-Stuff.
_BACKGROUND = frozenset({"background", "bg", "void", "unlabeled", "unlabelled", "ignore"})
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
        network: A function from (N, height, width, channels) float32 to class scores.
        input_size: The (height, width) that it was trained for, in pixels.
        channels: 1 (grey), 3 (RGB) or 4 (RGB and opacity).
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
        is_mask: Whether it segments with a single channel, whose second class is the foreground.
        conditions: What it takes beside the picture, such as the values of other inputs, or the
            region to explain.
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
    is_mask: bool = False
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def segments(self) -> bool:
        """Whether the network gives scores at each position of a picture."""
        return self.task == SEGMENTATION

    @property
    def background(self) -> list[int]:
        """The classes that stand for the rest of a picture, which nobody looks for."""
        if self.is_mask:
            return [0]
        names = [self.labels.name(index) for index in range(len(self.labels))]
        return [index for index, name in enumerate(names) if name.casefold() in _BACKGROUND]

    @property
    def input_shape(self) -> tuple[int | None, int | None, int]:
        """(height, width, channels), with None for height and width if any size fits."""
        return (*((None, None) if self.any_size else self.input_size), self.channels)

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
        return InputShape(fit, chosen, usual_stride(self.input_size), self.channels)

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
        if self.segments:
            what = _SCORES[self._activation()]
            return f"the sum of {what} over the region where the class is predicted"
        return _SCORES[self._activation()]

    def layers(self) -> list[LayerInfo]:
        """Lists the layers, for an input of the size that the network was trained for."""
        return self._look(lambda forward: list_layers(self.network, forward))

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
        signature = [tf.TensorSpec((None, *size, self.channels), tf.float32)]
        if self.conditions.parts:
            signature.append(tf.TensorSpec((None, self.conditions.length), tf.float32))
        tf.function(trace, autograph=False).get_concrete_function(*signature)
        return seen[0]

    def trace(self, inputs: tf.Tensor, conditions: tf.Tensor | None = None) -> ForwardPass:
        """Runs the preprocessing and the network in the graph that is being traced.

        Args:
            inputs: (N, height, width, channels) float32 in [0, 255].
            conditions: (N, values) float32, as `conditions` arranges them; None if there are none.
        """
        others = {} if conditions is None else self.conditions.split(conditions, inputs)
        region = others.pop(REGION, None)
        return trace_forward(
            self.network,
            self.preprocess(inputs),
            self.input_size,
            self.task,
            others=others,
            region=region,
        )
