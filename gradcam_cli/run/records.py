"""What a run knows about each picture, and its result, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gradcam_cli.analysis.observation import Observation
from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.errors import GradcamError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.input_values import OtherValues
from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.boxes import Detection
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.regions import Region
from gradcam_cli.rendering.figure import Panel
from gradcam_cli.rendering.report import ReportPicture


@dataclass(frozen=True)
class LoadedPicture:
    """A picture in memory, with the classes to explain.

    Attributes:
        prepared: The picture, ready for the network.
        targets: The classes to explain: indices, or -1 for the most probable, -2 for the second
            and so on.
        truth: The index of the true class, if it is known.
        region: For segmentation, (height, width) float32 in [0, 1] of the input's size: the part
            of each pixel that belongs to the region to explain; None for where each class is
            predicted.
        others: What the network takes beside the picture.
    """

    prepared: PreparedPicture
    targets: Sequence[int]
    truth: int | None = None
    region: np.ndarray | None = None
    others: OtherValues = field(default_factory=OtherValues)


@dataclass(frozen=True)
class ExplainedTarget:
    """One explained class of a picture.

    Attributes:
        prediction: The class.
        output: The file of the overlay, or of the sheet with it; None if none was written.
        heatmap: The file of the map alone; None if none was written.
        blank: Why its map shows nothing; None if it shows something. With several explainers, it
            is about the first of their maps that show nothing.
        mask: The file of the mask; None if none was written.
        region: The region where the map is above the threshold; None if it wasn't requested.
        input: The input that the map explains; "" if the network has only one for pictures.
        detected: The object of a detector; None for other networks.
    """

    prediction: Prediction
    output: AnyPath | None
    heatmap: AnyPath | None
    blank: BlankMap | None
    region: Region | None = None
    mask: AnyPath | None = None
    input: str = ""
    detected: Detection | None = None


@dataclass(frozen=True)
class FrameResult:
    """The result of one picture of a stack.

    Attributes:
        number: Its place in the file, from 0.
        predictions: Its most probable classes, in descending order.
        heat: For each explained class, how high its map reaches on the scale with which it is
            drawn, in [0, 1].
        seconds: When it is shown; None where pictures have no time.
        position: Where it lies, for people; empty where pictures have no place.
    """

    number: int
    predictions: list[Prediction]
    heat: Sequence[float]
    seconds: float | None = None
    position: str = ""


@dataclass(frozen=True)
class PictureResult:
    """The result of one picture: predictions and files, or an error.

    Attributes:
        picture: The picture.
        predictions: The most probable classes, in descending order.
        targets: The explained classes.
        truth: The true class, if it is known.
        is_wrong: Whether the most probable class isn't the true one. False if that isn't known.
        error: Why the picture couldn't be explained; None if it was.
        skipped: Whether the picture was skipped because its results exist.
        figure: The file of the labelled figure; None if none was written.
        composites: The file of the composite of all classes, by the name of the input that it
            shows ("" if the network has only one for pictures); empty if none was written.
        panels: The rows of its figure, if they were requested: the original and the overlays of
            the first explainer, then a row for each of the others.
        cards: What a report shows for it: one for each explained input; empty without a report.
        observation: What an analysis of many pictures keeps of it; None without one.
        frames: For a file of several pictures, the result of each of them that was explained; the
            predictions are then means over these. Empty for a file with one picture.
        noun: What one of them is called: "frame".
        scale: The scale with which their maps are drawn, one of
            `gradcam_cli.run.options.COMMON_SCALE` and `FRAME_SCALE`.
        shown: How it was turned into pictures, for people: "axial slices, window 40,80 (brain)";
            empty if there is only one way.
        is_whole: Whether the network saw all these pictures as one input.
        note: Why there is nothing to draw, or what the user should know about the frames; empty
            for nothing.
    """

    picture: InputPicture
    predictions: list[Prediction] = field(default_factory=list)
    targets: list[ExplainedTarget] = field(default_factory=list)
    truth: Prediction | None = None
    is_wrong: bool = False
    error: GradcamError | None = None
    skipped: bool = False
    figure: AnyPath | None = None
    composites: Mapping[str, AnyPath] = field(default_factory=dict)
    panels: Sequence[Sequence[Panel | None]] = ()
    cards: Sequence[ReportPicture] = ()
    observation: Observation | None = None
    frames: Sequence[FrameResult] = ()
    noun: str = ""
    scale: str = ""
    shown: str = ""
    is_whole: bool = False
    note: str = ""

    @property
    def composite(self) -> AnyPath | None:
        """The first composite; None if none was written."""
        return next(iter(self.composites.values()), None)
