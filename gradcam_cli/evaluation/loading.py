"""Reads pictures as network inputs, with their annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from gradcam_cli.errors import AnnotationError, GradcamError
from gradcam_cli.evaluation.annotations import AnnotatedObject
from gradcam_cli.evaluation.options import EvaluationOptions
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.pictures.preparing import PreparedPicture


@dataclass(frozen=True, eq=False)
class LoadedPicture:
    """A picture to measure.

    Attributes:
        prepared: The network's input, and how the picture fits into it.
        objects: The annotated objects; empty if there is no annotation.
        ignored: Annotated places where heat counts neither for nor against a map.
    """

    prepared: PreparedPicture
    objects: list[AnnotatedObject]
    ignored: list[AnnotatedObject] = field(default_factory=list)


def load_picture(
    picture: InputPicture, options: EvaluationOptions, errors: list[GradcamError]
) -> LoadedPicture:
    """Reads a picture and its annotation.

    Args:
        picture: The picture.
        options: How the picture becomes an input, and the annotations.
        errors: An annotation that can't be used adds its error to this list. The picture is
            still returned, since the faithfulness metrics need no annotation.

    Raises:
        GradcamError: The picture can't be read.
    """
    prepared = options.inputs.read(picture.path, options.downloads)
    if options.annotations is not None:
        try:
            annotation = options.annotations.read(picture, prepared.image.size)
            return LoadedPicture(prepared, annotation.objects, annotation.ignored)
        except AnnotationError as error:
            errors.append(error)
    return LoadedPicture(prepared, [])


def by_shape(pictures: dict[int, LoadedPicture]) -> Iterator[dict[int, LoadedPicture]]:
    """Groups pictures whose inputs have the same shape, so that they fit in one batch.

    Args:
        pictures: The pictures by number.

    Yields:
        The pictures of each shape, by their numbers.
    """
    groups: dict[tuple[int, ...], dict[int, LoadedPicture]] = defaultdict(dict)
    for number, picture in pictures.items():
        groups[picture.prepared.inputs.shape][number] = picture
    yield from groups.values()


def load_inputs(pictures: Sequence[InputPicture], options: EvaluationOptions) -> list[np.ndarray]:
    """Reads pictures as network inputs, without annotations.

    Args:
        pictures: The pictures.
        options: How the pictures become inputs.

    Returns:
        One batch (N, height, width, channels) uint8 for each shape. Pictures that can't be
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
