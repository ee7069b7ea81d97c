"""Checks whether a network still recognizes pictures at the size that the user chose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import GradcamError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.input_values import ValueReader
from gradcam_cli.networks.tasks import PROBABILITY
from gradcam_cli.pictures.preparing import InputShape
from gradcam_cli.pictures.reading import IfSeveral, read_picture

_FIRST = 4
# Networks are often tested at sizes that differ less than this.
_FAR = 1.25
_LOST = 0.5


def describe_collapse(
    explainer: Explainer,
    pictures: Sequence[InputPicture],
    asked: InputShape,
    downloads: Downloads | None = None,
) -> str | None:
    """Compares the predictions for the first pictures at the chosen and the usual size.

    Args:
        explainer: The explainer with the network.
        pictures: All pictures. The first four are classified.
        asked: How pictures become inputs, with the size that the user chose.
        downloads: Fetches pictures from URLs.

    Returns:
        A warning if the size is far from the usual one and the mean probability of the most
        probable class is less than half of that at the usual size; otherwise None. The values of
        a regression don't tell.
    """
    classifier = explainer.classifier
    if classifier.labels.quantity != PROBABILITY or classifier.takes_stacks:
        return None
    usual = classifier.input_for(asked.fit)
    factor = math.sqrt(math.prod(asked.size) / math.prod(usual.size))
    if 1 / _FAR < factor < _FAR:
        return None
    readers = [(shape, ValueReader(classifier, shape, downloads)) for shape in (asked, usual)]
    probabilities = []
    for picture in pictures[:_FIRST]:
        try:
            image = read_picture(picture.path, downloads, several=IfSeveral.TAKE_FIRST)
            pair = []
            for shape, reader in readers:
                prepared = shape.prepare(image)
                arrays = reader.read(picture, prepared).arrays
                rows = classifier.pack_values(arrays)[None] if arrays else None
                pair.append(explainer.classify(prepared.inputs[None], rows)[0].max())
            probabilities.append(pair)
        # The run reports the error.
        except (GradcamError, tf.errors.ResourceExhaustedError):
            continue
    if not probabilities:
        return None
    there, here = (sum(column) / len(probabilities) for column in zip(*probabilities, strict=True))
    if there >= _LOST * here:
        return None
    width, height = asked.size
    if len(probabilities) == 1:
        what = f"the most probable class of {pictures[0].path} has"
        mean = ""
    else:
        what = f"the most probable classes of the first {len(probabilities)} pictures have"
        mean = " on average"
    return (
        f"{classifier.name} recognizes little at {height}×{width} px: {what} {_percent(there)}"
        f"{mean}, but {_percent(here)} without --size; choose a size closer to "
        f"{'×'.join(map(str, usual.size[::-1]))}"
    )


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"
