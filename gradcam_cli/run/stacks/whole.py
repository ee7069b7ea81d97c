"""Networks that take a whole stack at once: clips of a video, or volumes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.errors import (
    GradcamWarning,
    ImageError,
    OutOfMemoryError,
    UsageError,
)
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.pictures.arrays import check_values, warn_of_gaps
from gradcam_cli.pictures.fitting import Fit, fit_picture
from gradcam_cli.pictures.resampling import resample, weights_of_cells
from gradcam_cli.pictures.stacks.stack import Frame, FrameChoice, Stack, VolumeStack
from gradcam_cli.run.stacks.frame import FrameExplanation
from gradcam_cli.run.task import Task

# A quarter of a gigabyte as float32. What the network computes from it takes far more.
_MOST_VALUES = 64_000_000
_GREY, _RGB = 1, 3


def takes_whole_stacks(classifier: Classifier) -> bool:
    """Returns whether a network takes all pictures of a stack as one input."""
    return classifier.takes_stacks


@dataclass(frozen=True, eq=False)
class _SeenFrame:
    """A picture of the stack, and how to find its part of the map.

    Attributes:
        number: Its place in the file.
        fit: How it fits into the input.
        part: From (cells along the stack, rows, columns) to (rows, columns).
    """

    number: int
    fit: Fit
    part: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class _Whole:
    """A stack as an input.

    Attributes:
        inputs: (length, height, width, channels) uint8 or float32.
        arranged: Turns a map, (length, rows, columns), so that the pictures of the stack lie along
            its first axis.
        frames: The pictures for which there is a map, in order.
        pitch: From that of the map to the vertical and horizontal one of the pictures.
    """

    inputs: np.ndarray
    arranged: Callable[[np.ndarray], np.ndarray]
    frames: Sequence[_SeenFrame]
    pitch: tuple[float, float]


def explain_whole(
    picture: InputPicture,
    stack: Stack,
    choice: FrameChoice,
    explainer: Explainer,
    task: Task,
    targets: Sequence[int],
) -> Iterator[FrameExplanation]:
    """Explains a stack in one pass, for a network that takes it whole.

    A network of clips gets as many frames as it takes, spread evenly over the chosen ones. A volume
    is resampled to the network's input.

    Args:
        picture: The file, with the values of the network's other inputs.
        stack: The open file.
        choice: The pictures that the user chose.
        explainer: Explains the network.
        task: How pictures become inputs.
        targets: The classes to explain: indices, or -1 for the most probable, -2 for the second
            and so on.

    Yields:
        An explanation of each picture that the network saw, in order. All have the probabilities
        and the classes of the whole stack. The peak of each is the maximum of its part of the
        common map.

    Raises:
        ImageError: The stack doesn't suit the network.
        UsageError: The network can't take so many pictures at once.
        OutOfMemoryError: The memory isn't enough.
        PredictionError: The prediction is NaN or infinite.
    """
    pitch = (explainer.step_pitch, *explainer.pitch)
    if isinstance(stack, VolumeStack):
        whole = _volume(picture, stack, choice, explainer.classifier, task, pitch)
    else:
        whole = _clip(picture, stack, choice, explainer.classifier, task, pitch)
    explanation = _explain(picture, whole.inputs, explainer, targets)
    blanks = {number: blank for (_, number), blank in explanation.blanks.items()}
    maps = [whole.arranged(one) for one in explanation.maps[0]]
    for frame in whole.frames:
        cells = np.stack([frame.part(one) for one in maps]).astype(np.float32)
        peaks = np.abs(cells).max(axis=(1, 2))
        np.divide(cells, peaks[:, None, None], out=cells, where=peaks[:, None, None] > 0)
        yield FrameExplanation(
            frame.number,
            explanation.probabilities[0],
            explanation.targets[0],
            cells,
            frame.fit,
            whole.pitch,
            peaks,
            blanks=blanks,
        )


def _explain(
    picture: InputPicture, whole: np.ndarray, explainer: Explainer, targets: Sequence[int]
) -> Explanation:
    inputs = whole[None]
    try:
        found = explainer.explain(inputs, np.array([targets], np.int32))
        if not np.isfinite(found.probabilities).all():
            raise explainer.refuse_prediction(picture.path, inputs)
        return explainer.find_blanks(inputs, found)
    except tf.errors.ResourceExhaustedError:
        raise OutOfMemoryError(
            f"{picture.path}: not enough memory for the network and {len(whole)} pictures at once; "
            f"choose fewer with --frames or --every, or another --model"
        ) from None


def _clip(
    picture: InputPicture,
    stack: Stack,
    choice: FrameChoice,
    classifier: Classifier,
    task: Task,
    pitch: tuple[float, float, float],
) -> _Whole:
    numbers = _chosen_numbers(stack, choice)
    length = classifier.length or len(numbers)
    steps = spread_evenly(len(numbers), length)
    if len(numbers) < length:
        warnings.warn(
            f"{picture.path}: the network takes {length} {stack.noun}s and gets {len(numbers)}; "
            f"some are repeated",
            GradcamWarning,
            stacklevel=3,
        )
    width, height = task.inputs.size
    _check_size(picture, (length, height, width, classifier.channels), stack.noun)
    wanted = {numbers[step] for step in steps}
    inputs: dict[int, np.ndarray] = {}
    fits: dict[int, Fit] = {}
    for frame in stack.frames(choice):
        if frame.number in wanted:
            prepared = task.inputs.prepare(frame.image)
            inputs[frame.number], fits[frame.number] = prepared.inputs, prepared.fit
    if len(inputs) < len(wanted):
        raise ImageError(f"{picture.path}: ends too early; it may be damaged")
    if len({one.shape for one in inputs.values()}) > 1:
        raise ImageError(
            f"{picture.path}: its {stack.noun}s have several shapes; choose --fit squash"
        )
    along = weights_of_cells(length, pitch[0])
    seen = []
    for number in inputs:
        # A frame that is repeated has several steps.
        own = along([step + 0.5 for step in range(length) if numbers[steps[step]] == number])
        seen.append(_SeenFrame(number, fits[number], _part_of(own)))
    ordered = np.stack([inputs[numbers[step]] for step in steps])
    return _Whole(ordered, lambda one: one, seen, (pitch[1], pitch[2]))


def spread_evenly(number: int, wanted: int) -> list[int]:
    """Spreads some places evenly over a list; if the list is shorter, some are repeated.

    Args:
        number: The length of the list, at least 1.
        wanted: The number of places, at least 1.

    Returns:
        ``wanted`` places, from the first one of the list to the last.
    """
    if wanted == 1:
        return [(number - 1) // 2]
    last = (number - 1) / (wanted - 1)
    return [round(step * last) for step in range(wanted)]


def _chosen_numbers(stack: Stack, choice: FrameChoice) -> list[int]:
    if stack.count is None:
        return [frame.number for frame in stack.frames(choice)]
    numbers = range(stack.count)[choice.numbers or slice(None)][:: choice.every]
    if not numbers:
        raise UsageError(
            f"{stack.path}: has only {stack.count} {stack.noun}s, numbered from 0, and none of "
            f"those that are chosen"
        )
    return list(numbers)


def _volume(
    picture: InputPicture,
    stack: VolumeStack,
    choice: FrameChoice,
    classifier: Classifier,
    task: Task,
    pitch: tuple[float, float, float],
) -> _Whole:
    values = stack.values()
    values = _with_channels(picture, values, classifier, task)
    lengths = classifier.input_shape[:3]
    size = [length or own for length, own in zip(lengths, values.shape[:3], strict=True)]
    if classifier.any_size and None in lengths[1:]:
        size[1:] = task.inputs.size[::-1]
    _check_size(picture, (*size, classifier.channels), stack.noun)
    inputs = resample(values, size)
    # Where an axis of the input comes to lie among slices, rows and columns.
    order = _order_of(stack)
    turned = [size[axis] for axis in order]
    apart = [pitch[axis] for axis in order]
    along = weights_of_cells(turned[0], apart[0])
    number_of_slices = values.shape[order[0]]
    seen = []
    for frame in stack.frames(choice):
        place = (frame.number + 0.5) / number_of_slices * turned[0]
        fit = _squashed(frame, turned)
        seen.append(_SeenFrame(frame.number, fit, _part_of(along([place]))))
    return _Whole(inputs, stack.as_slices, seen, (apart[1], apart[2]))


def _squashed(frame: Frame, turned: Sequence[int]) -> Fit:
    return fit_picture(frame.image.size, "squash", (turned[2], turned[1]))


def _order_of(stack: VolumeStack) -> list[int]:
    """Finds which axis of the values becomes that of the slices, the rows and the columns."""
    probe = np.broadcast_to(np.float32(0), (2, 3, 5))
    axes = {2: 0, 3: 1, 5: 2}
    return [axes[length] for length in stack.as_slices(probe).shape]


def _with_channels(
    picture: InputPicture, values: np.ndarray, classifier: Classifier, task: Task
) -> np.ndarray:
    """Returns a volume with the channels that the network takes, (A, B, C, channels)."""
    wanted = classifier.channels
    if values.ndim == 3:
        values = values[..., None]
    if values.shape[-1] == _GREY and wanted == _RGB:
        values = np.broadcast_to(values, (*values.shape[:3], _RGB))
    if values.shape[-1] != wanted:
        raise ImageError(
            f"{picture.path}: has {values.shape[-1]} channels, but the model takes {wanted}"
        )
    if task.inputs.takes_any_values:
        warn_of_gaps(picture.path, values)
    else:
        check_values(picture.path, values)
    return values


def _part_of(weights: Callable[[int], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Makes the map of one picture out of that of the stack.

    Args:
        weights: From the number of cells along the stack to the weights of these cells at each
            place of the picture, (places, cells).
    """

    def part(maps: np.ndarray) -> np.ndarray:
        at_places = np.tensordot(weights(len(maps)), maps, axes=1)
        # Of a repeated frame, the strongest evidence.
        strongest = np.abs(at_places).argmax(axis=0)
        found: np.ndarray = np.take_along_axis(at_places, strongest[None], axis=0)[0]
        return found

    return part


def _check_size(picture: InputPicture, shape: Sequence[int], noun: str) -> None:
    of_one = int(np.prod(shape[1:]))
    if shape[0] * of_one > _MOST_VALUES:
        raise UsageError(
            f"{picture.path}: {shape[0]} {noun}s of {shape[1]}×{shape[2]} are more than a network "
            f"can take at once, at most {max(1, _MOST_VALUES // of_one)}; choose fewer with "
            f"--frames or --every"
        )
