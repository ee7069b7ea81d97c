"""Reads pictures as the network sees them, with what is known to be in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gradcam_cli.errors import AnnotationError, GradcamError
from gradcam_cli.evaluation.annotations import AnnotatedObject
from gradcam_cli.evaluation.options import EvaluationOptions
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.pictures.preparing import PreparedPicture


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """A picture that can be measured.

    Attributes:
        prepared: What the network is given, and how the picture lies in it.
        objects: What is annotated in it; none where nothing is known.
    """

    prepared: PreparedPicture
    objects: list[AnnotatedObject]


def load_picture(
    picture: InputPicture, options: EvaluationOptions, errors: list[GradcamError]
) -> LoadedPicture:
    """Reads a picture and its annotation.

    Args:
        picture: The picture.
        options: How it reaches the network, and where annotations are.
        errors: Gets the error of an annotation that can't be used: the metrics that ask
            the network need none.

    Raises:
        GradcamError: The picture can't be read.
    """
    prepared = options.inputs.read(picture.path, options.downloads)
    objects = []
    if options.annotations is not None:
        try:
            objects = options.annotations.of(picture, prepared.image.size)
        except AnnotationError as error:
            errors.append(error)
    return LoadedPicture(prepared, objects)


def by_shape(pictures: dict[int, LoadedPicture]) -> Iterator[dict[int, LoadedPicture]]:
    """Puts together what fits in one batch.

    Args:
        pictures: By any number.

    Yields:
        Those of one shape, by their numbers.
    """
    groups: dict[tuple[int, ...], dict[int, LoadedPicture]] = defaultdict(dict)
    for number, picture in pictures.items():
        groups[picture.prepared.inputs.shape][number] = picture
    yield from groups.values()


def load_inputs(pictures: Sequence[InputPicture], options: EvaluationOptions) -> list[np.ndarray]:
    """Reads pictures as the network sees them, and nothing else.

    Args:
        pictures: The pictures.
        options: How they reach the network.

    Returns:
        For each shape a batch (N, height, width, channels) uint8; pictures that can't be
        read are left out.
    """
    groups: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
    for picture in pictures:
        try:
            inputs = options.inputs.read(picture.path, options.downloads).inputs
        except GradcamError:
            continue
        groups[inputs.shape].append(inputs)
    return [np.stack(group) for group in groups.values()]
