"""Explains one picture in memory, for notebooks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from gradcam_cli.api.explained_map import ExplainedMap, choose_colors
from gradcam_cli.api.given_picture import take_picture
from gradcam_cli.cam.facts import TOP_CLASS, describe
from gradcam_cli.errors import UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath, to_path
from gradcam_cli.models.input_values import ValueReader
from gradcam_cli.models.labels import Labels, Prediction
from gradcam_cli.networks.tasks import VALUE
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.regions import find_region
from gradcam_cli.pictures.score_regions import COVERED, ScoreRegion, weights_of
from gradcam_cli.rendering.overlay import draw_heatmap
from gradcam_cli.rendering.regions import draw_lines

if TYPE_CHECKING:
    import keras

    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.models.classifier import Classifier


@dataclass(frozen=True, kw_only=True, repr=False)
class ImageExplanation(ExplainedMap):
    """The predictions of a network for a picture, and the map for one class.

    It has all attributes of `gradcam_cli.api.explained_map.ExplainedMap`, and these:

    Attributes:
        predictions: The most probable classes, most probable first, or the first outputs of a
            regression.
        score_lines: For a network that segments, the outlines of the region whose scores are
            explained: each (points, 2), x and y in pixels of the picture.
        number: The place of the picture in a file of several, from 0; None for a file of one.
        seconds: When it is shown, in a file of several; None where pictures have no time.
    """

    predictions: list[Prediction]
    score_lines: Sequence[np.ndarray] = ()
    number: int | None = None
    seconds: float | None = None

    @property
    def overlay(self) -> Image.Image:
        """The coloured map over the picture, mode "RGB", of the picture's size."""
        drawn = super().overlay
        return draw_lines(drawn, self.score_lines, dashed=True) if self.score_lines else drawn


def explain_image(
    image: str | AnyPath | Image.Image | np.ndarray,
    target: int | str | Sequence[int | str] | None = None,
    *,
    against: int | str | None = None,
    signed: bool = False,
    inputs: Mapping[str, Any] | None = None,
    explained_input: str | None = None,
    model: str | Path | keras.Model | Classifier | None = None,
    labels: Sequence[str] | None = None,
    preprocess: str | None = None,
    task: str | None = None,
    layer: str | int | Sequence[str | int] | None = None,
    method: str | None = None,
    fusion: str = "mean",
    smoothing: bool = False,
    region: str | Path | Sequence[int] | np.ndarray | None = None,
    fit: str | None = None,
    top_k: int = 5,
    colormap: str | None = None,
    alpha: float | None = None,
) -> ImageExplanation:
    """Explains a picture, as the command line does.

    Args:
        image: A picture file or its URL, a Pillow picture, or an array (height, width, 3) uint8.
        target: The class to explain: an index, a WordNet id or a name; None for the most
            probable or, for regression, the first output. Several classes are explained together:
            the sum of their scores.
        against: A class whose score is subtracted: the map shows why the network gives the
            target and not this class. For regression without a target, the map shows what
            lowers this output. None for none.
        signed: Whether to keep what speaks against the target, as negative values.
        inputs: For a model with several inputs, the values of the others by name: numbers, lists,
            arrays, pictures, or texts as for ``--input``.
        explained_input: The input to which the picture belongs, if several take one; None for the
            first of them.
        model: A name or file as for ``--model``, a Keras model or a `Classifier`; None for
            the built-in model. The last few models are cached.
        labels: The names of the classes; None for the model's own, ImageNet's or numbers.
        preprocess: The preprocessing, as for ``--preprocess``; None to detect it.
        task: What the outputs mean, as for ``--task``: "classification", "binary", "regression",
            "multilabel" or "segmentation"; None to find it out from the loss of the model, or from
            its final activation.
        layer: The name, path or index of a layer; None for the last one with spatial output.
            The maps of several layers are fused.
        method: A name that ``gradcam methods`` lists; None for the usual one of the model.
        fusion: How to fuse the maps of several layers: "mean", "max" or "product".
        smoothing: Whether to average the maps of brighter, darker and mirrored copies.
        region: For a network that segments, the region whose scores are explained: a mask
            (height, width) of the picture's size, in which pixels other than 0 count; a file with
            such a mask; or (left, top, right, bottom) in pixels. None for where the class is
            predicted.
        fit: How to fit the picture to the network's input, as for ``--fit``.
        top_k: The number of most probable classes to return.
        colormap: The name of a Matplotlib colormap; None for "jet" or, for a signed map, which
            needs a diverging one, "bwr".
        alpha: The opacity of the map, 0 to 1; None for 0.5 or, for a signed map, 0.75 where it
            is strongest.

    Returns:
        The explanation, with overlay, map, predictions and ``save()``.

    Raises:
        GradcamError: As on the command line; see `gradcam_cli.errors`. A `UsageError` if a class
            would be explained against itself.

    Warns:
        UserWarning: The map shows nothing; the message says why.
    """
    from gradcam_cli.api.loading import find_explainer
    from gradcam_cli.cam.score_weights import ScoreWeights
    from gradcam_cli.cam.segmentation import check_one_region

    picture, source = take_picture(image)
    if isinstance(target, Sequence) and not isinstance(target, str):
        named = list(target)
    else:
        named = [] if target is None else [target]

    def weigh(labels: Labels) -> ScoreWeights:
        classes = _find_classes(named, labels)
        compared = None if against is None else labels.find(str(against))
        if compared is not None and compared in classes:
            raise UsageError(f"target and against are both {labels.name(compared)}")
        return ScoreWeights(classes if len(classes) > 1 else (), compared)

    def explainer_for(model: str | Path | keras.Model | Classifier | None) -> Explainer:
        return find_explainer(
            model,
            labels,
            preprocess,
            layer,
            method,
            fusion=fusion,
            smoothing=smoothing,
            task=task,
            explained_input=explained_input,
            weights=weigh,
            signed=signed,
        )

    explainer = explainer_for(model)
    classifier, weights = explainer.classifier, explainer.weights
    classifier.check_single_pictures("explain_image")
    if classifier.detects:
        raise UsageError(
            f"{classifier.name} detects objects, and explain_image explains whole pictures; "
            f"call explain_objects, which explains each object"
        )
    if classifier.warning:
        warnings.warn(classifier.warning, stacklevel=2)
    (index, *_) = [*_find_classes(named, classifier.labels), TOP_CLASS]
    if not named and weights.against is not None and classifier.labels.quantity == VALUE:
        if signed:
            raise UsageError(
                f"signed=True shows what raises {classifier.labels.name(weights.against)} and what "
                f"lowers it; leave out against="
            )
        index = weights.against
    shape = classifier.input_for(fit)
    prepared = shape.prepare(picture)
    others = ValueReader(classifier, shape).convert(inputs or {}, prepared).arrays
    known = classifier.with_shapes({name: value.shape for name, value in others.items()})
    if known != classifier:
        # It takes any number of values.
        explainer = explainer_for(known)
        classifier = explainer.classifier
    shown = picture if source is None else source
    rows = classifier.pack_values(others)[None] if others else None
    conditions = _conditions_of(region, shown, prepared, explainer, rows)
    if region is None and classifier.segments:
        check_one_region(weights.joined, weights.against, "region=")
    batch = prepared.inputs[None]
    targets = np.array([[index]], np.int32)
    explanation = explainer.explain(batch, targets, conditions)
    probabilities = explanation.probabilities[0]
    if not np.isfinite(probabilities).all():
        raise explainer.refuse_prediction(source or "the picture", batch, conditions)
    predictions = classifier.labels.most_probable(probabilities, max(top_k, 1))
    is_top = index == TOP_CLASS and not classifier.segments
    if is_top and predictions[0].index == weights.against:
        raise UsageError(
            f"{predictions[0].name} is the most probable class itself; choose the target to "
            f"explain against it"
        )
    explanation = explainer.find_blanks(batch, explanation, conditions)
    blank = explanation.blanks.get((0, 0))
    if blank is not None:
        warnings.warn(blank.note, stacklevel=2)
    if weights.joined:
        explained = classifier.labels.together(weights.joined, probabilities)
    else:
        explained = classifier.labels.prediction(explanation.targets[0, 0], probabilities)
    score_lines: list[np.ndarray] = []
    if explanation.regions is not None:
        scored = explanation.regions[0, 0]
        laid = prepared.fit.upsample(scored, explainer.region_pitch)
        covered = draw_heatmap(laid, picture.size, prepared.fit.seen[:2])
        score_lines = find_region(covered, COVERED).outlines
    colors, opacity = choose_colors(colormap, alpha, signed=signed)
    return ImageExplanation(
        picture=picture,
        heat=prepared.fit.upsample(explanation.maps[0, 0], explainer.pitch),
        position=prepared.fit.seen[:2],
        target=explained,
        predictions=predictions[:top_k],
        title=explainer.facts.title_of(explained),
        source=source,
        colormap=colors,
        alpha=opacity,
        made_by=describe([explainer.facts]),
        ends=explainer.ends,
        score_lines=score_lines,
        blank=blank,
    )


def _find_classes(named: Sequence[int | str], labels: Labels) -> tuple[int, ...]:
    """Returns the indices of classes that a user names, each once."""
    return tuple(dict.fromkeys(labels.find(str(name)) for name in named))


def _conditions_of(
    region: str | Path | Sequence[int] | np.ndarray | None,
    picture: Image.Image | AnyPath,
    prepared: PreparedPicture,
    explainer: Explainer,
    rows: np.ndarray | None,
) -> np.ndarray | None:
    """Adds a region to explain to the values of other inputs, as `Explainer.explain` takes it."""
    from gradcam_cli.cam.region_values import region_values

    classifier = explainer.classifier
    if not classifier.segments:
        if region is not None:
            raise UsageError(f"region: {classifier.name} doesn't segment pictures")
        return rows
    weights = None
    if isinstance(region, np.ndarray):
        weights = weights_of(region != 0, prepared)
    elif region is not None:
        if isinstance(region, (str, Path)):
            text = str(region)
        else:
            text = ",".join(str(int(edge)) for edge in region)
        named = to_path("the picture" if isinstance(picture, Image.Image) else picture)
        weights = ScoreRegion(text).weights(InputPicture(named, Path()), prepared)
    values = region_values(prepared, weights)[None]
    return classifier.conditions.with_regions(rows, values, values.shape)
