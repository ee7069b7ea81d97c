"""The plain values that pass between the pipeline, what draws for it, and its callers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.errors import GradcamError, UnknownClassError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.labels import Labels, Prediction
from gradcam_cli.pictures.fitting import Fit
from gradcam_cli.pictures.regions import DEFAULT_THRESHOLD, Region
from gradcam_cli.rendering.encoding import DEFAULT_FORMAT
from gradcam_cli.rendering.figure import Panel
from gradcam_cli.rendering.overlay import DEFAULT_ALPHA, DEFAULT_COLORMAP
from gradcam_cli.rendering.report import ReportPicture
from gradcam_cli.run.truth import Truth
from gradcam_cli.runtime.cores import Parallelism, usable_cores


@dataclass(frozen=True)
class PipelineOptions:
    """How pictures are explained and what is written.

    Attributes:
        targets: The classes to explain in every picture: indices, or -1 for the most
            probable, -2 for the second, and so on.
        fit: One of `gradcam_cli.pictures.fitting.FITS`.
        input_size: (width, height) of the network's input in pixels; for the fit "keep"
            its area, in the shape of each picture.
        stride: Of what the sides of the shapes that "keep" chooses are multiples.
        top_k: How many of the most probable classes are told.
        out: The folder for results; None for beside each picture.
        format: What overlays and composites are written as: one of
            `gradcam_cli.rendering.encoding.PICTURE_FORMATS`.
        colormap: A name that Matplotlib knows.
        alpha: How much of the colour shows, 0 to 1.
        heatmap: Also write the bare map: one of
            `gradcam_cli.rendering.encoding.HEATMAP_FORMATS`.
        truth: What the pictures really show.
        only_wrong: Draw only what was predicted wrongly, and explain both the class that
            was predicted and the true one, instead of `targets`.
        figure: Also write a labelled figure: one of
            `gradcam_cli.rendering.encoding.FIGURE_FORMATS`.
        composite: Also write one picture of all classes, each in a hue of its own.
        contour: Draw and tell the outline of the region above the threshold.
        box: Draw and tell the box of that region's largest connected part.
        threshold: Where the region begins, as a part of the map's maximum, 0 to 1.
        files_for: How many of the targets, from the first, get files; None for all.
        panels: Also keep the overlays in memory, labelled for a figure.
        skip_existing: Pass over pictures whose results are all there.
        batch_size: How many pictures go through the network at once; None for what suits the
            machine. Less, where memory doesn't last.
        parallelism: How many pictures are worked on side by side.
        report: Also keep what a report shows of each picture, the true class explained too.
    """

    targets: Sequence[int] = (TOP_CLASS,)
    fit: str = "keep"
    input_size: tuple[int, int] = (256, 256)
    stride: int = 32
    top_k: int = 5
    out: AnyPath | None = None
    format: str = DEFAULT_FORMAT
    colormap: str = DEFAULT_COLORMAP
    alpha: float = DEFAULT_ALPHA
    heatmap: str | None = None
    truth: Truth | None = None
    only_wrong: bool = False
    figure: str | None = None
    composite: bool = False
    contour: bool = False
    box: bool = False
    threshold: float = DEFAULT_THRESHOLD
    files_for: int | None = None
    panels: bool = False
    report: bool = False
    skip_existing: bool = False
    batch_size: int | None = None
    parallelism: Parallelism = field(default_factory=lambda: Parallelism(usable_cores()))

    def targets_of(self, picture: InputPicture, labels: Labels) -> list[int]:
        """Gives the classes to explain in a picture: its own, where it has one.

        Args:
            picture: The picture.
            labels: The classes.

        Raises:
            UnknownClassError: There is no such class as is asked for of it.
        """
        if picture.target is None:
            return list(self.targets)
        try:
            return [labels.find(picture.target)]
        except UnknownClassError as error:
            raise UnknownClassError(f"{picture.path}: {error}") from error


@dataclass(frozen=True)
class ExplainedTarget:
    """One explained class of a picture.

    Attributes:
        prediction: The class.
        output: The overlay, if it was written.
        heatmap: The bare map, if it was asked for.
        has_evidence: Whether anything in the picture speaks for the class; if not, the
            map is all zeros.
        region: Where the map is above the threshold, if that was asked for.
    """

    prediction: Prediction
    output: AnyPath | None
    heatmap: AnyPath | None
    has_evidence: bool
    region: Region | None = None


@dataclass(frozen=True)
class PictureResult:
    """What came of one picture: predictions and results, or an error.

    Attributes:
        picture: The picture.
        predictions: The most probable classes, in their order.
        targets: The explained classes.
        truth: What the picture really shows, where that is known.
        is_wrong: Whether another class was held more probable than the true one.
        error: Why there is no result.
        skipped: Nothing was done, since its results were there already.
        figure: The labelled figure, if it was asked for.
        composite: The picture of all classes, if it was asked for.
        panels: The rows of its figure, if that was asked for: the original and the overlays
            of one explainer, then a row for each of the others.
        card: What a report shows of it, if that was asked for.
    """

    picture: InputPicture
    predictions: list[Prediction] = field(default_factory=list)
    targets: list[ExplainedTarget] = field(default_factory=list)
    truth: Prediction | None = None
    is_wrong: bool = False
    error: GradcamError | None = None
    skipped: bool = False
    figure: AnyPath | None = None
    composite: AnyPath | None = None
    panels: Sequence[Sequence[Panel | None]] = ()
    card: ReportPicture | None = None


@dataclass(frozen=True)
class DecodedPicture:
    """A picture in memory, ready for the network.

    Attributes:
        image: Upright, mode "RGB".
        fit: How it lies in the network's input.
        inputs: (height, width, channels) uint8, what the network is given.
        targets: The classes to explain, as in `PipelineOptions`.
        truth: The index of the class that it really shows, where that is known.
    """

    image: Image.Image
    fit: Fit
    inputs: np.ndarray
    targets: Sequence[int]
    truth: int | None = None
