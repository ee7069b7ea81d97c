"""Explains the objects that a detector finds in one picture, for notebooks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gradcam_cli.api.explained_map import ExplainedMap, choose_colors
from gradcam_cli.api.given_picture import take_picture
from gradcam_cli.cam.facts import describe
from gradcam_cli.errors import UsageError
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.boxes import DEFAULT_SCORE, Detection, DetectionChoice
from gradcam_cli.pictures.fitting import Box
from gradcam_cli.rendering.objects import draw_object

if TYPE_CHECKING:
    import keras

    from gradcam_cli.models.classifier import Classifier


@dataclass(frozen=True, kw_only=True, repr=False)
class ObjectExplanation(ExplainedMap):
    """An object that a detector found in a picture, and the map for it.

    It has all attributes of `gradcam_cli.api.explained_map.ExplainedMap`, of which `target` is the
    class of the object with its score, and this:

    Attributes:
        detected: The object.
    """

    detected: Detection

    @property
    def index(self) -> int:
        """The index of its class."""
        return self.detected.index

    @property
    def name(self) -> str:
        """The name of its class."""
        return self.target.name

    @property
    def score(self) -> float:
        """Its probability, in [0, 1]."""
        return self.detected.score

    @property
    def box(self) -> Box:
        """Its left, top, right and bottom edge, in pixels of the picture."""
        return self.detected.box

    @property
    def overlay(self) -> Image.Image:
        """The coloured map over the picture, with the box, class and score of the object.

        Mode "RGB", of the picture's size.
        """
        return draw_object(super().overlay, self.detected, self.target)


def explain_objects(
    image: str | AnyPath | Image.Image | np.ndarray,
    model: str | Path | keras.Model | Classifier,
    *,
    classes: int | str | Sequence[int | str] = (),
    min_score: float = DEFAULT_SCORE,
    top_k: int = 5,
    labels: Sequence[str] | None = None,
    preprocess: str | None = None,
    box_format: str | None = None,
    layer: str | int | Sequence[str | int] | None = None,
    method: str | None = None,
    fusion: str = "mean",
    signed: bool = False,
    fit: str | None = None,
    colormap: str | None = None,
    alpha: float | None = None,
) -> list[ObjectExplanation]:
    """Explains each object that a detector finds in a picture, as the command line does.

    Args:
        image: A picture file or its URL, a Pillow picture, or an array (height, width, 3) uint8.
        model: The detector: its file as for ``--model`` (Keras, ONNX or TensorFlow Lite, or the
            folder of a preset), a Keras model or a `Classifier`. The last few models are cached.
        classes: The class or classes to look for: indices, WordNet ids or names; empty for all.
        min_score: The lowest score of an object, in [0, 1].
        top_k: The largest number of objects.
        labels: The names of the classes; None for the model's own or numbers.
        preprocess: The preprocessing, as for ``--preprocess``; None to detect it.
        box_format: How the model gives its boxes, as for ``--box-format``; None to find it out.
        layer: The name, path or index of a layer; None for the last ones from which the boxes are
            made. The maps of several layers are fused.
        method: A name that ``gradcam methods`` lists; None for the usual one of the model.
        fusion: How to fuse the maps of several layers: "mean", "max" or "product".
        signed: Whether to keep what speaks against an object, as negative values.
        fit: How to fit the picture to the network's input, as for ``--fit``.
        colormap: The name of a Matplotlib colormap; None for "jet" or, for signed maps, "bwr".
        alpha: The opacity of the map, 0 to 1; None for 0.5 or, for a signed map, 0.75 where it
            is strongest.

    Returns:
        The objects, those with the highest scores first; empty if there are none. Each has a box
        in pixels of the picture, a map, an overlay and ``save()``.

    Raises:
        GradcamError: As on the command line; see `gradcam_cli.errors`. A `UsageError` if the model
            isn't a detector.

    Warns:
        UserWarning: The results may be meaningless, such as no object with a preprocessing that is
            a guess, or a map shows nothing; the message says why.
    """
    from gradcam_cli.api.loading import find_explainer, find_object_explainer
    from gradcam_cli.cam.score_weights import ScoreWeights

    if not 0 <= min_score <= 1:
        raise UsageError(f"min_score is {min_score:g}; choose a number from 0 to 1")
    if top_k < 1:
        raise UsageError(f"top_k is {top_k}; choose 1 or more")
    picture, source = take_picture(image)
    explainer = find_explainer(
        model,
        labels,
        preprocess,
        layer,
        method,
        fusion=fusion,
        smoothing=False,
        weights=lambda _: ScoreWeights(),
        signed=signed,
        box_format=box_format,
    )
    classifier, facts = explainer.classifier, explainer.facts
    if not classifier.detects:
        raise UsageError(
            f"{classifier.name} doesn't detect objects; call explain_image, or wrap the model so "
            f"that it returns boxes and scores"
        )
    for doubt in filter(None, (classifier.warning, facts.method_doubt)):
        warnings.warn(doubt, stacklevel=2)
    named = [classes] if isinstance(classes, (int, str)) else classes
    choice = DetectionChoice(
        min_score,
        top_k,
        classes=tuple(classifier.labels.find(str(name)) for name in named),
        without=tuple(classifier.background),
    )
    prepared = classifier.input_for(fit).prepare(picture)
    explained = find_object_explainer(explainer).explain(prepared, choice)
    if explained is None:
        raise explainer.refuse_prediction(source or "the picture", prepared.inputs[None])
    (explanation,) = explained
    if not explanation.objects and classifier.preprocess.is_guess:
        warnings.warn(
            f"{classifier.name}: found no object, which a wrong preprocessing can cause; "
            f"{classifier.preprocess.mode} is a guess, set it with preprocess=",
            stacklevel=2,
        )
    for blank in dict.fromkeys(explanation.blanks.values()):
        warnings.warn(blank.note, stacklevel=2)
    colors, opacity = choose_colors(colormap, alpha, signed=signed)
    found = []
    for number, detected in enumerate(explanation.objects):
        target = classifier.labels.detected(detected.index, detected.score)
        found.append(
            ObjectExplanation(
                picture=picture,
                heat=prepared.fit.upsample(explanation.maps[0, number], explainer.pitch),
                position=prepared.fit.seen[:2],
                target=target,
                title=facts.title_of(target),
                source=source,
                colormap=colors,
                alpha=opacity,
                made_by=describe([facts]),
                ends=explainer.ends,
                blank=explanation.blanks.get((0, number)),
                detected=detected,
            )
        )
    return found
