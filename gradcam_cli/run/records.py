"""What is known of each picture on its way through a run, and what comes of it, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradcam_cli.errors import GradcamError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.regions import Region
from gradcam_cli.rendering.figure import Panel
from gradcam_cli.rendering.report import ReportPicture


@dataclass(frozen=True)
class LoadedPicture:
    """A picture in memory, with what is to be explained of it.

    Attributes:
        prepared: The picture, ready for the network.
        targets: The classes to explain: indices, or -1 for the most probable, and so on.
        truth: The index of the class that it really shows, where that is known.
    """

    prepared: PreparedPicture
    targets: Sequence[int]
    truth: int | None = None


@dataclass(frozen=True)
class ExplainedTarget:
    """One explained class of a picture.

    Attributes:
        prediction: The class.
        output: The overlay, or the sheet that it is on, if it was written.
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
