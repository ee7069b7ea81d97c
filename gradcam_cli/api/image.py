"""Explains one picture in memory, for notebooks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.cam.facts import TOP_CLASS, describe
from gradcam_cli.cam.methods.table import DEFAULT_METHOD
from gradcam_cli.errors import PredictionError, UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.marks import mark
from gradcam_cli.files.storage import AnyPath, to_path
from gradcam_cli.files.writing import written_whole
from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.pictures.regions import find_region
from gradcam_cli.pictures.score_regions import COVERED, ScoreRegion, weights_of
from gradcam_cli.rendering.caption import add_caption
from gradcam_cli.rendering.encoding import encode_picture, format_for
from gradcam_cli.rendering.overlay import (
    DEFAULT_ALPHA,
    DEFAULT_COLORMAP,
    draw_heatmap,
    draw_overlay,
)
from gradcam_cli.rendering.regions import draw_lines

if TYPE_CHECKING:
    import keras

    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.models.classifier import Classifier


@dataclass(frozen=True)
class ImageExplanation:
    """The predictions of a network for a picture, and the map for one class.

    A notebook displays it as the overlay, with the class and its probability below.

    Attributes:
        picture: The picture, mode "RGB", upright.
        heat: The map, (height, width) float32 in [0, 1], over the region of the picture that
            the network saw.
        position: The left and top edge of that region, in pixels.
        target: The explained class.
        predictions: The most probable classes, most probable first, or the first outputs of a
            regression.
        title: A title with class, method, model and layer.
        source: The file of the picture; None if it was in memory.
        colormap: The name of a Matplotlib colormap.
        alpha: The opacity of the map, 0 to 1.
        made_by: Method, model and layer, as a notebook shows them.
        score_lines: For a network that segments, the outlines of the region whose scores are
            explained: each (points, 2), x and y in pixels of the picture.
        blank: Why the map shows nothing; None if it shows something.
    """

    picture: Image.Image
    heat: np.ndarray
    position: tuple[int, int]
    target: Prediction
    predictions: list[Prediction]
    title: str
    source: AnyPath | None = None
    colormap: str = DEFAULT_COLORMAP
    alpha: float = DEFAULT_ALPHA
    made_by: str = ""
    score_lines: Sequence[np.ndarray] = ()
    blank: BlankMap | None = None

    @property
    def overlay(self) -> Image.Image:
        """The coloured map over the picture, mode "RGB", of the picture's size."""
        drawn = draw_overlay(self.picture, self.heat, self.position, self.colormap, self.alpha)
        return draw_lines(drawn, self.score_lines, dashed=True) if self.score_lines else drawn

    @property
    def heatmap(self) -> np.ndarray:
        """The map at the size of the picture, (height, width) float32 in [0, 1].

        It is 0 outside the region that the network saw, and all zeros if nothing in the
        picture speaks for the class.
        """
        return draw_heatmap(self.heat, self.picture.size, self.position)

    @property
    def has_evidence(self) -> bool:
        """Whether anything in the picture speaks for the class."""
        return bool(self.heat.any())

    def save(self, path: str | AnyPath) -> AnyPath:
        """Writes the overlay and replaces an existing file of that name.

        Args:
            path: The file to write, or its URL. The extension chooses JPEG, WebP or PNG.

        Returns:
            The same path.

        Raises:
            OutputError: The file can't be written.
        """
        path = to_path(path)
        encoded = encode_picture(
            self.overlay,
            format_for(path),
            None if self.source is None else mark(self.source, path.parent, self.title),
            self.picture.info.get("icc_profile"),
        )
        with written_whole(path) as file:
            file.write(encoded)
        return path

    def _repr_png_(self) -> bytes:
        target, detail = self.target, self.made_by
        note = "" if self.blank is None else self.blank.sentence
        captioned = add_caption(self.overlay, target.name, target.text, detail, note)
        return encode_picture(captioned)

    def __repr__(self) -> str:
        return f"<{self.title}, {self.target.text}>"


def explain_image(
    image: str | AnyPath | Image.Image | np.ndarray,
    target: int | str | None = None,
    *,
    model: str | keras.Model | Classifier | None = None,
    labels: Sequence[str] | None = None,
    preprocess: str | None = None,
    task: str | None = None,
    layer: str | int | Sequence[str | int] | None = None,
    method: str = DEFAULT_METHOD,
    fusion: str = "mean",
    smoothing: bool = False,
    region: str | Path | Sequence[int] | np.ndarray | None = None,
    fit: str | None = None,
    top_k: int = 5,
    colormap: str = DEFAULT_COLORMAP,
    alpha: float = DEFAULT_ALPHA,
) -> ImageExplanation:
    """Explains a picture, as the command line does.

    Args:
        image: A picture file or its URL, a Pillow picture, or an array (height, width, 3) uint8.
        target: The class to explain: an index, a WordNet id or a name; None for the most
            probable or, for regression, the first output.
        model: A name or file as for ``--model``, a Keras model or a `Classifier`; None for
            the built-in model. The last few models are cached.
        labels: The names of the classes; None for the model's own, ImageNet's or numbers.
        preprocess: The preprocessing, as for ``--preprocess``; None to detect it.
        task: What the outputs mean, as for ``--task``: "classification", "binary", "regression",
            "multilabel" or "segmentation"; None to find it out from the loss of the model, or from
            its final activation.
        layer: The name, path or index of a layer; None for the last one with spatial output.
            The maps of several layers are fused.
        method: A name that ``gradcam methods`` lists.
        fusion: How to fuse the maps of several layers: "mean" or "max".
        smoothing: Whether to average the maps of brighter, darker and mirrored copies.
        region: For a network that segments, the region whose scores are explained: a mask
            (height, width) of the picture's size, in which pixels other than 0 count; a file with
            such a mask; or (left, top, right, bottom) in pixels. None for where the class is
            predicted.
        fit: How to fit the picture to the network's input, as for ``--fit``.
        top_k: The number of most probable classes to return.
        colormap: The name of a Matplotlib colormap.
        alpha: The opacity of the map, 0 to 1.

    Returns:
        The explanation, with overlay, map, predictions and ``save()``.

    Raises:
        GradcamError: As on the command line; see `gradcam_cli.errors`.

    Warns:
        UserWarning: The map shows nothing; the message says why.
    """
    from gradcam_cli.api.loading import find_explainer

    source = None
    if isinstance(image, Image.Image):
        picture = image.convert("RGB")
    elif isinstance(image, np.ndarray):
        picture = Image.fromarray(np.asarray(image, np.uint8)).convert("RGB")
    else:
        source = to_path(image)
        picture = read_picture(source)
    explainer = find_explainer(
        model, labels, preprocess, layer, method, fusion=fusion, smoothing=smoothing, task=task
    )
    classifier = explainer.classifier
    if classifier.warning:
        warnings.warn(classifier.warning, stacklevel=2)
    index = TOP_CLASS if target is None else classifier.labels.find(str(target))
    prepared = classifier.input_for(fit).prepare(picture)
    conditions = None
    if region is not None:
        named = picture if source is None else source
        conditions = _conditions_of(region, named, prepared, explainer)
    inputs = prepared.inputs[None]
    targets = np.array([[index]], np.int32)
    explanation = explainer.explain(inputs, targets, conditions)
    probabilities = explanation.probabilities[0]
    if not np.isfinite(probabilities).all():
        raise PredictionError(
            f"{source or 'the picture'}: the prediction has NaN or infinity: "
            f"{explainer.explain_prediction(inputs, 0, conditions)}"
        )
    explanation = explainer.find_blanks(inputs, explanation, conditions)
    blank = explanation.blanks.get((0, 0))
    if blank is not None:
        warnings.warn(blank.note, stacklevel=2)
    explained = classifier.labels.prediction(explanation.targets[0, 0], probabilities)
    score_lines: list[np.ndarray] = []
    if explanation.regions is not None:
        scored = explanation.regions[0, 0]
        laid = prepared.fit.upsample(scored, explainer.region_pitch)
        covered = draw_heatmap(laid, picture.size, prepared.fit.seen[:2])
        score_lines = find_region(covered, COVERED).outlines
    return ImageExplanation(
        picture,
        prepared.fit.upsample(explanation.maps[0, 0], explainer.pitch),
        prepared.fit.seen[:2],
        explained,
        classifier.labels.most_probable(probabilities, top_k),
        explainer.facts.title_of(explained),
        source,
        colormap,
        alpha,
        describe([explainer.facts]),
        score_lines=score_lines,
        blank=blank,
    )


def _conditions_of(
    region: str | Path | Sequence[int] | np.ndarray,
    picture: Image.Image | AnyPath,
    prepared: PreparedPicture,
    explainer: Explainer,
) -> np.ndarray:
    """Arranges a region to explain, as `Explainer.explain` takes it."""
    classifier = explainer.classifier
    if not classifier.segments:
        raise UsageError(f"region: {classifier.name} doesn't segment pictures")
    if isinstance(region, np.ndarray):
        weights = weights_of(region != 0, prepared)
    else:
        if isinstance(region, (str, Path)):
            text = str(region)
        else:
            text = ",".join(str(int(edge)) for edge in region)
        named = to_path("the picture" if isinstance(picture, Image.Image) else picture)
        weights = ScoreRegion(text).weights(InputPicture(named, Path()), prepared)
    shape = (1, *weights.shape)
    return classifier.conditions.with_regions(None, weights[None], shape)
