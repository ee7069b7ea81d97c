"""Finds out what a user's model takes and returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from gradcam_cli.errors import GradcamError, ModelFileError, UnsupportedModelError, UsageError
from gradcam_cli.models.classifier import USUAL_STACK, Classifier
from gradcam_cli.models.detection import FoundBoxes, as_detector, find_boxes, known_boxes
from gradcam_cli.models.detection_onnx import BlackBoxDecoder, find_detector
from gradcam_cli.models.hub import StoredPreparation
from gradcam_cli.models.inputs import OtherInput, arrange, check_input_name, choose_explained
from gradcam_cli.models.labels import (
    IMAGENET_CLASSES,
    Labels,
    imagenet_labels,
    numbered_labels,
    read_labels,
)
from gradcam_cli.models.labels_beside import find_labels
from gradcam_cli.models.preprocessing import OF_RGB, Preprocessing, detect_preprocessing
from gradcam_cli.models.segmentation import REGIONS, check_scores, mask_labels, takes_any_size
from gradcam_cli.models.task_detection import TaskChoice, TaskEvidence, choose_task
from gradcam_cli.networks.black_box import BlackBoxNetwork
from gradcam_cli.networks.conditions import Conditions
from gradcam_cli.networks.detection import BoxDecoder
from gradcam_cli.networks.forward import USUAL_LENGTH, ForwardPass, Network, trace_forward
from gradcam_cli.networks.grids import Grid
from gradcam_cli.networks.inputs import PICTURE_CHANNELS
from gradcam_cli.networks.layers import flattens_first
from gradcam_cli.networks.saved_model import GraphNetwork
from gradcam_cli.networks.tasks import (
    BINARY,
    DETECTION,
    PROBABILITY,
    REGRESSION,
    SEGMENTATION,
    quantity_of,
)
from gradcam_cli.networks.weights import broken_weights, describe_broken
from gradcam_cli.pictures.fitting import LARGEST_STRIDE

# (height, width, channels), and the same with time or depth.
_RANKS = (3, 4)


def inspect_network(
    path: str,
    network: Network,
    size: tuple[int, int] | None = None,
    preprocess: Preprocessing | None = None,
    labels: Path | None = None,
    stored: StoredPreparation | None = None,
    evidence: TaskEvidence | None = None,
    task: str | None = None,
    *,
    box_format: str | None = None,
    decoder: BoxDecoder | None = None,
    file: Path | None = None,
    explained: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Classifier:
    """Finds out what a user's model takes and returns, by tracing it once for each picture.

    Args:
        path: The path of the model; its last part becomes the classifier's name.
        network: The model.
        size: (height, width) of the input in pixels, for models that accept any; None for the
            stored size, or 224 if none is stored.
        preprocess: The preprocessing; None to use the stored one or detect it.
        labels: A file with the names of the classes.
        stored: The preprocessing stored with the model.
        evidence: What is known about the meaning of its outputs.
        task: What they mean; None to find it out.
        box_format: For a detector, the format of its boxes, one of
            `gradcam_cli.pictures.boxes.BOX_FORMATS`; None to find it out.
        decoder: For a detector of a known kind, what reads its boxes; None to find that out.
        file: The model's file or folder, to look for a file with the names of the classes
            beside it; None if the model is in memory.
        explained: The names of the inputs whose pictures are explained, if the model has several
            inputs; empty for all that take pictures.
        names: The names of the classes that are stored in the model; empty if none are.

    Raises:
        UnsupportedModelError: The model isn't an image classifier.
        UsageError: The preprocessing or the task doesn't fit the model, or it has no such input.
    """

    def inspect(network: Network) -> Classifier:
        found: FoundBoxes | None
        if len(network.input_shape) == max(_RANKS):
            # No detector of clips or volumes is known.
            found = None
        elif decoder is not None:
            found = known_boxes(path, network, decoder, task, box_format)
        else:
            shape = _usual_size(path, network, size, stored)
            if isinstance(network, BlackBoxNetwork):
                count = len(names if labels is None else read_labels(labels, None)) or None
                found = find_detector(path, network, shape, task, box_format, count)
            else:
                found = find_boxes(path, network, shape, task, box_format)
        kept = stored
        if kept is not None and found is not None and isinstance(found.decoder, BlackBoxDecoder):
            kept = found.decoder.prepared(kept)
        return _inspect(
            path, network, size, preprocess, labels, kept, evidence, task, file, names, found
        )

    if len(network.inputs) == 1:
        for name in explained:
            check_input_name(name, {one.name: one for one in network.inputs})
        return inspect(network)
    chosen = choose_explained(path, network.inputs, explained)
    pictures = [
        *chosen,
        *(one for one in network.inputs if one.takes_picture and one not in chosen),
    ]
    views = [inspect(network.explaining(one.name)) for one in pictures]
    if not all(one.shape[:2] == (None, None) for one in pictures):
        # Pictures of any size go with those of a fixed size.
        fixed = next((view.input_size for view in views if not view.any_size), None)
        views = [
            replace(view, input_size=fixed or view.input_size, any_size=False)
            if view.any_size
            else view
            for view in views
        ]
    known = {
        one.name: OtherInput(
            one if view.any_size else replace(one, shape=(*view.input_size, view.channels)),
            view.preprocess,
        )
        for one, view in zip(pictures, views, strict=True)
    }
    complete = []
    for picture, view in zip(pictures, views, strict=True):
        others = tuple(
            known.get(one.name) or OtherInput(one)
            for one in network.inputs
            if one.name != picture.name
        )
        conditions = arrange(others, view.any_size) + view.conditions
        complete.append(replace(view, explained=picture.name, others=others, conditions=conditions))
    return replace(complete[0], views=tuple(complete), number_of_views=len(chosen))


def _inspect(
    path: str,
    network: Network,
    size: tuple[int, int] | None,
    preprocess: Preprocessing | None,
    labels: Path | None,
    stored: StoredPreparation | None,
    evidence: TaskEvidence | None,
    task: str | None,
    file: Path | None,
    stored_names: Sequence[str],
    boxes: FoundBoxes | None,
) -> Classifier:
    """Finds out what a model's explained input takes, and what the model returns."""
    network = network if boxes is None else boxes.network
    lengths, (height, width, channels) = _input_shape(path, network)
    any_size = height is None or width is None
    stored_size = None if stored is None else stored.input_size
    usual_height, usual_width = stored_size or (USUAL_LENGTH, USUAL_LENGTH)
    input_size = (height or usual_height, width or usual_width)
    if any_size and size is not None:
        input_size = size
    if preprocess is None and stored is not None:
        preprocess = stored.preprocess
        _check_channels(path, preprocess, channels)
    found: list[tuple[TaskChoice, int, bool, Preprocessing]] = []
    several = network.inputs if len(network.inputs) > 1 else ()
    explained = network.explained_input if several else None
    other_inputs = [one for one in several if one != explained]

    def trace(inputs: tf.Tensor, *values: tf.Tensor) -> tf.Tensor:
        others = {one.name: value for one, value in zip(other_inputs, values, strict=True)}
        forward = trace_forward(
            network, inputs, others=others, decoder=None if boxes is None else boxes.decoder
        )
        nodes = network.nodes
        if others:
            # Other branches of the network may be of another family.
            nodes = [node for node in nodes if forward.depends_on_input(node.path)]
        names = (node.path.rpartition("/")[2] for node in nodes)
        has_lambda = any(node.kind == "Lambda" for node in nodes)
        if len(network.input_shape) == 2:
            _check_rows(path, network, forward)
        if boxes is None:
            choice = choose_task(path, forward, evidence or TaskEvidence(), task)
        else:
            choice = TaskChoice(DETECTION, boxes.reason, boxes.doubt, is_sure=True)
        is_mask = choice.task == SEGMENTATION and forward.units == 1
        if choice.task == SEGMENTATION:
            check_scores(path, forward, is_sure=choice.is_sure)
        found.append(
            (
                choice,
                2 if choice.task == BINARY or is_mask else forward.units or 0,
                is_mask,
                detect_preprocessing(inputs, names, channels, has_lambda),
            )
        )
        return forward.logits

    usual_lengths = [length or USUAL_STACK for length in lengths]
    signature = [tf.TensorSpec((None, *usual_lengths, *input_size, channels), tf.float32)]
    signature += [
        tf.TensorSpec((None, *OtherInput(one).condition(any_size=False).shape), tf.float32)
        if not one.takes_picture
        else tf.TensorSpec(
            (None, one.shape[0] or input_size[0], one.shape[1] or input_size[1], one.shape[2]),
            tf.float32,
        )
        for one in other_inputs
    ]
    try:
        tf.function(trace, autograph=False).get_concrete_function(*signature)
    except GradcamError:
        raise
    # Each layer that finds its inputs unfit raises an error of its own.
    except Exception as error:
        if not any_size or size is None:
            raise
        raise UsageError(
            f"--size {'x'.join(map(str, size))}: the model can't take pictures of this size, "
            f"probably because its strides don't divide it; choose multiples of {LARGEST_STRIDE}"
        ) from error
    ((choice, classes, is_mask, detected),) = found
    segments = choice.task == SEGMENTATION
    if segments and lengths:
        raise UnsupportedModelError(
            f"{path}: returns scores at each position of a clip or volume; of models of clips and "
            f"volumes, only those that return one score for each class can be explained"
        )
    if any_size and (segments or boxes is not None):
        decoder = None if boxes is None else boxes.decoder
        any_size = not other_inputs and takes_any_size(network, channels, decoder)
    if channels != 3 and preprocess is not None and preprocess.mode in OF_RGB:
        raise UsageError(
            f"--preprocess {preprocess.mode}: needs RGB, but the model takes {channels} channels"
        )
    quantity = quantity_of(choice.task)
    names = None
    if labels is not None:
        names = read_labels(labels, classes, quantity)
    elif file is not None:
        # A file beside the model is more specific than ImageNet's names.
        names = find_labels(file, classes, quantity)
    if names is None and len(stored_names) == classes:
        names = Labels([[name] for name in stored_names], quantity=quantity)
    has_names = names is not None or classes == IMAGENET_CLASSES
    is_unnamed = choice.is_guess and not has_names
    if is_unnamed and isinstance(network, BlackBoxNetwork) and network.gives_embedding:
        raise UnsupportedModelError(
            f"{path}: its {classes} outputs are a vector of length 1, as networks give it that "
            f"compare pictures, not the scores of classes; to explain one of its numbers, add "
            f"--task {REGRESSION}"
        )
    if names is None and classes == IMAGENET_CLASSES and quantity == PROBABILITY:
        names = imagenet_labels()
    if names is None:
        names = mask_labels() if is_mask else numbered_labels(classes, quantity)
    classifier = Classifier(
        name=Path(path).name,
        network=network,
        input_size=input_size,
        channels=channels,
        any_size=any_size,
        # Keras's own loading of image folders squashes pictures, and so most training does.
        default_fit="squash" if stored is None else stored.fit,
        preprocess=preprocess or detected,
        labels=names,
        is_size_exact=stored_size is not None and size is None,
        task=choice.task,
        task_reason=choice.reason,
        task_doubt="" if choice.is_guess and has_names else choice.doubt,
        is_task_guess=choice.is_guess,
        # A constant may be infinite on purpose, as in the mask of an attention.
        damage=describe_broken(broken_weights(network, with_infinity=not network.is_constant)),
        is_mask=is_mask,
        is_black_box=isinstance(network, BlackBoxNetwork),
        conditions=REGIONS if segments else Conditions(),
        takes_stacks=bool(lengths),
        length=lengths[0] if lengths else None,
    )
    return classifier if boxes is None else as_detector(classifier, boxes)


def _usual_size(
    path: str,
    network: Network,
    size: tuple[int, int] | None,
    stored: StoredPreparation | None,
) -> tuple[int, int, int]:
    """Returns the (height, width, channels) of an input for a first look at a network."""
    _, (height, width, channels) = _input_shape(path, network)
    usual = size or (None if stored is None else stored.input_size) or (USUAL_LENGTH, USUAL_LENGTH)
    return height or usual[0], width or usual[1], channels


def _check_channels(path: str, preprocess: Preprocessing, channels: int) -> None:
    for values in (preprocess.scale, preprocess.offset):
        if len(values) not in (0, 1, channels):
            raise ModelFileError(
                f"{path}: its preprocessor has {len(values)} values for {channels} channels; "
                f"override it with --preprocess"
            )


def _input_shape(
    path: str, network: Network
) -> tuple[tuple[int | None, ...], tuple[int | None, int | None, int]]:
    """Returns what a model takes: its (length,) if it takes stacks, (height, width, channels)."""
    shape = network.input_shape
    if isinstance(network, BlackBoxNetwork) and not network.has_known_axes:
        _check_unknown_axes(path, network)
    if len(shape) == 2 and None not in shape:
        return (), (shape[0], shape[1], 1)
    channels = shape[-1] if len(shape) in _RANKS else None
    if channels is None:
        if len(shape) == 1:
            raise UnsupportedModelError(f"{path}: {_describe_flat(network)}")
        raise UnsupportedModelError(
            f"{path}: takes inputs of the shape {(None, *shape)}; only models of pictures, "
            f"(None, height, width, channels), and of clips and volumes, (None, time or depth, "
            f"height, width, channels), can be explained"
        )
    if len(shape) == max(_RANKS) and isinstance(network, GraphNetwork):
        raise UnsupportedModelError(
            f"{path}: a SavedModel of clips or volumes, whose layers can't be followed through "
            f"time or depth; save the model as .keras"
        )
    if len(shape) == max(_RANKS) and getattr(network, "channels_first", False):
        raise UnsupportedModelError(
            f"{path}: takes clips or volumes with the channels first, {(None, *shape)}; save it "
            f"with channels last, (None, time or depth, height, width, channels)"
        )
    *lengths, height, width, _ = shape
    return tuple(lengths), (height, width, channels)


def _check_unknown_axes(path: str, network: BlackBoxNetwork) -> None:
    """Refuses inputs of which nothing says that they are pictures.

    Lists of numbers have a message of their own. Of rows, columns and bands, the bands are taken
    for the last.
    """
    port = network.explained_input
    if len(port.shape) in (1, min(_RANKS)):
        return
    raise UnsupportedModelError(
        f"{path}: its input {port.name} has the shape {(None, *port.shape)}, which isn't that of "
        f"pictures, (None, channels, height, width), (None, height, width, channels) or (None, "
        f"height, width), nor that of clips and volumes; only networks of pictures can be explained"
    )


def _check_rows(path: str, network: Network, forward: ForwardPass) -> None:
    """Refuses inputs (N, steps, features), which look like grey pictures (N, height, width).

    A network that flattens them at once, before any layer with weights, takes them for pictures.
    """
    if any(isinstance(forward.grid(layer), Grid) for layer in forward.layer_outputs):
        return
    if not flattens_first(network):
        raise UnsupportedModelError(
            f"{path}: takes inputs of the shape {(None, *network.input_shape)}, and no layer has "
            f"rows and columns of a picture; if they are grey pictures, wrap it and save that: "
            f"keras.Sequential([keras.Input({(*network.input_shape, 1)}), "
            f"keras.layers.Reshape({network.input_shape}), model]); --method rise explains it"
        )


def _describe_flat(network: Network) -> str:
    """Says of a model that takes lists of numbers what to do about it."""
    (length,) = network.input_shape
    problem = f"takes flat lists of numbers, {(None, length)}, without rows and columns"
    has_maps = any("conv" in node.kind.lower() for node in network.nodes)
    then = "" if has_maps else "; --method rise then explains it, although it has no feature maps"
    for channels in sorted(PICTURE_CHANNELS):
        side = math.isqrt((length or 0) // channels)
        if length and side > 1 and side * side * channels == length:
            return (
                f"{problem}; if they are pictures, wrap it and save that: keras.Sequential(["
                f"keras.Input({(side, side, channels)}), keras.layers.Flatten(), model]){then}"
            )
    return f"{problem}; wrap it in a model that takes pictures and flattens them{then}"
