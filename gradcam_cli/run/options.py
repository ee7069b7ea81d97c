"""The options of a run as plain values, in groups.

The options of the model are in `gradcam_cli.models.options`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.files.downloads import DEFAULT_MEGABYTES
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.regions import DEFAULT_THRESHOLD
from gradcam_cli.pictures.stacks.volumes import VolumeOptions
from gradcam_cli.rendering.color_scale import (
    DEFAULT_ALPHA,
    DEFAULT_COLORMAP,
    DEFAULT_SIGNED_ALPHA,
    DEFAULT_SIGNED_COLORMAP,
)
from gradcam_cli.rendering.encoding import DEFAULT_FORMAT

DEFAULT_TOP_K = 5
DEFAULT_EACH = 3
ONLY_WRONG = "wrong"
COMMON_SCALE, FRAME_SCALE = "common", "frame"


@dataclass(frozen=True)
class ExplainOptions:
    """What to explain.

    Attributes:
        layers: Names, paths or indices of layers; empty for the last with a spatial output.
        fusion: How to combine the maps of several layers, one of
            `gradcam_cli.cam.fusions.FUSIONS`; None for "mean".
        methods: Names of methods; empty for the usual one of the model. Several make a sheet,
            unless there is a figure or report.
        smooth: Whether to average the maps of brighter, darker and mirrored copies.
        classes: The classes to explain, as the user wrote them; empty for the most probable.
        join: Whether to explain the sum of the scores of all `classes` instead of each.
        against: The class whose score is subtracted from that of each explained class, as the
            user wrote it; None for none.
        region: For segmentation, the region whose scores are summed, as the user wrote it; None
            for where each class is predicted. See `gradcam_cli.pictures.score_regions`.
        top_k: The number of most probable classes in each result; None for 5.
        min_score: For a detector, the lowest probability of an object; None for the usual one.
        each: Whether to explain each of the `top_k` most probable classes (3 if that is None),
            and to draw a composite of all of them, each in its own hue.
        fit: How to fit a picture into the input: one of `gradcam_cli.pictures.fitting.FITS`;
            None for the way that suits the network.
        truth: The source of the true classes: "folders" or the path or URL of a CSV file;
            None if they aren't known.
        only: "wrong" to draw only wrong predictions, and to explain both the predicted and the
            true class; None to draw all.
    """

    layers: Sequence[str | int] = ()
    fusion: str | None = None
    methods: Sequence[str] = ()
    smooth: bool = False
    classes: Sequence[str] = ()
    join: bool = False
    against: str | None = None
    region: str | None = None
    top_k: int | None = None
    min_score: float | None = None
    each: bool = False
    fit: str | None = None
    truth: str | None = None
    only: str | None = None

    @property
    def only_wrong(self) -> bool:
        """Whether only wrong predictions are drawn."""
        return self.only == ONLY_WRONG

    @property
    def runs_many_times(self) -> bool:
        """Whether a method runs the network many times, so that one picture uses all cores."""
        return any(METHODS[method].runs_many_times for method in self.methods)

    def with_methods(self, usual: str) -> ExplainOptions:
        """Returns the options with the usual method of the model, if none is chosen.

        Args:
            usual: The name of that method.
        """
        return self if self.methods else replace(self, methods=(usual,))


@dataclass(frozen=True)
class DrawOptions:
    """What to draw.

    Attributes:
        signed: Whether to keep what speaks against a class, in the colours of a diverging map.
        alpha: The opacity of the colours, 0 to 1; None for the usual one.
        colormap: The name of a Matplotlib colour map; None for the usual one.
        heatmap: The format in which to write the map alone, one of
            `gradcam_cli.rendering.encoding.HEATMAP_FORMATS`; None to not write it.
        figure: The format in which to write a labelled figure, one of
            `gradcam_cli.rendering.encoding.FIGURE_FORMATS`; None to not write one.
        contour: Whether to draw and report the outline of the region above the threshold.
        box: Whether to draw and report the box of that region's largest connected part.
        mask: Whether to write the region above the threshold as a picture with 1 bit per pixel.
        hot_only: Whether to colour only this region, and leave the rest of the picture as it is.
        threshold: The lower limit of the region, as a fraction of the map's maximum, in
            (0, 1]; None for 0.15.
    """

    signed: bool = False
    alpha: float | None = None
    colormap: str | None = None
    heatmap: str | None = None
    figure: str | None = None
    contour: bool = False
    box: bool = False
    mask: bool = False
    hot_only: bool = False
    threshold: float | None = None

    @property
    def opacity(self) -> float:
        """The opacity of the colours, 0 to 1; in signed maps, that of the strongest evidence."""
        if self.alpha is not None:
            return self.alpha
        return DEFAULT_SIGNED_ALPHA if self.signed else DEFAULT_ALPHA

    @property
    def colors(self) -> str:
        """The name of the colour map."""
        if self.colormap is not None:
            return self.colormap
        return DEFAULT_SIGNED_COLORMAP if self.signed else DEFAULT_COLORMAP

    @property
    def finds_regions(self) -> bool:
        """Whether the outlines of the region above the threshold are needed."""
        return self.contour or self.box

    @property
    def uses_threshold(self) -> bool:
        """Whether anything depends on the region above the threshold."""
        return self.finds_regions or self.mask or self.hot_only

    @property
    def region_from(self) -> float:
        """The lower limit of the region, as a fraction of the map's maximum."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold


@dataclass(frozen=True)
class StackOptions:
    """What to explain in files of several pictures: the frames of a video, the slices of a volume.

    Attributes:
        frames: The frames or pages to explain, as a slice of their numbers from 0; None for all.
        every: Of these, explain one in this many.
        scale: "common" to draw all maps of a file with one scale, from 0 to their common maximum;
            "frame" to scale each by its own maximum.
        first_frame: Whether to explain only the first picture of each file, as a picture.
        slices: The slices of a volume to explain, as a slice of their numbers from 0; None for
            all.
        window: How to turn the values of a volume into grey, as the user wrote it; None for the
            usual way. See `gradcam_cli.pictures.stacks`.
        plane: The plane of the slices of a volume: one of
            `gradcam_cli.pictures.stacks.voxels.PLANES`; None for the usual one.
        orientation: The axes of a volume as a network takes it, as three letters such as "RAS";
            None for those of the file.
    """

    frames: slice | None = None
    every: int = 1
    scale: str = COMMON_SCALE
    first_frame: bool = False
    slices: slice | None = None
    window: str | None = None
    plane: str | None = None
    orientation: str | None = None

    @property
    def volume(self) -> VolumeOptions:
        """How a volume becomes pictures."""
        return VolumeOptions(self.window, self.plane, self.orientation)

    @property
    def chooses_frames(self) -> bool:
        """Whether it chooses among the pictures of a file, or how they are drawn together."""
        return self.frames is not None or self.every > 1 or self.scale != COMMON_SCALE


@dataclass(frozen=True)
class WriteOptions:
    """Where to write.

    Attributes:
        out: The folder for results; None to write each beside its picture.
        name: The pattern for the names of results (see
            `gradcam_cli.files.name_pattern.NamePattern`); None for the default names.
        format: The format of overlays, composites and sheets: one of
            `gradcam_cli.rendering.encoding.PICTURE_FORMATS`.
        ending: The extension of their names ("jpeg"); None for the name of the format.
        report: The file for the report, a page that shows all pictures; None for no report.
        report_assets: Whether to put the pictures of the report into a folder beside it.
        skip_existing: Whether to skip pictures whose results all exist.
    """

    out: AnyPath | None = None
    name: str | None = None
    format: str = DEFAULT_FORMAT
    ending: str | None = None
    report: Path | None = None
    report_assets: bool = False
    skip_existing: bool = False


@dataclass(frozen=True)
class MachineOptions:
    """How to run.

    Attributes:
        batch_size: The number of pictures that go through the network at once, reduced if memory
            runs out; None for a size that suits the machine.
        workers: The number of threads, or of processes on a cluster; None for a number that
            suits the machine.
        address: The address of a Ray cluster, or "local"; None to run in this process.
        mixed_precision: Whether to compute in float16, with weights in float32.
        max_download: The maximum size of a picture from a URL, in 10^6 bytes.
    """

    batch_size: int | None = None
    workers: int | None = None
    address: str | None = None
    mixed_precision: bool = False
    max_download: int = DEFAULT_MEGABYTES
