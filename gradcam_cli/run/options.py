"""What a user asks for in a run, grouped by what it is about, as plain values.

What to load is in `gradcam_cli.models.options`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gradcam_cli.cam.methods.table import DEFAULT_METHOD, METHODS
from gradcam_cli.files.downloads import DEFAULT_MEGABYTES
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.regions import DEFAULT_THRESHOLD
from gradcam_cli.rendering.encoding import DEFAULT_FORMAT
from gradcam_cli.rendering.overlay import DEFAULT_ALPHA, DEFAULT_COLORMAP

DEFAULT_TOP_K = 5
DEFAULT_EACH = 3
DEFAULT_FUSION = "mean"
ONLY_WRONG = "wrong"


@dataclass(frozen=True)
class ExplainOptions:
    """What to explain.

    Attributes:
        layers: Names, paths or indices of layers; none for the last with a spatial output.
        fusion: How the maps of several layers become one, "mean" or "max"; None for "mean".
        methods: Names of methods; several make a sheet, but with a figure or report.
        smooth: Average the maps of brighter, darker and mirrored copies.
        classes: The classes to explain, as a user names them; none for the most probable.
        top_k: How many of the most probable classes are told; None for 5.
        each: Explain each of the `top_k` most probable classes (3 if that is None), and
            draw one picture of all of them, each in a hue of its own.
        fit: How a picture fits the input: one of `gradcam_cli.pictures.fitting.FITS`; None
            for the way that suits the network.
        truth: What the pictures really show: "folders" or a CSV file.
        only: "wrong" to draw only what was predicted wrongly, and explain both the class
            that was predicted and the true one.
    """

    layers: Sequence[str | int] = ()
    fusion: str | None = None
    methods: Sequence[str] = (DEFAULT_METHOD,)
    smooth: bool = False
    classes: Sequence[str] = ()
    top_k: int | None = None
    each: bool = False
    fit: str | None = None
    truth: str | None = None
    only: str | None = None

    @property
    def only_wrong(self) -> bool:
        """Whether only wrongly predicted pictures are drawn."""
        return self.only == ONLY_WRONG

    @property
    def runs_many_times(self) -> bool:
        """Whether a single picture fills the machine."""
        return any(METHODS[method].runs_many_times for method in self.methods)


@dataclass(frozen=True)
class DrawOptions:
    """What to draw.

    Attributes:
        alpha: How much of the colour shows, 0 to 1.
        colormap: A name that Matplotlib knows.
        heatmap: Also write the bare map: one of
            `gradcam_cli.rendering.encoding.HEATMAP_FORMATS`.
        figure: Also write a labelled figure: one of
            `gradcam_cli.rendering.encoding.FIGURE_FORMATS`.
        contour: Draw and tell the outline of the region above the threshold.
        box: Draw and tell the box of that region's largest connected part.
        threshold: Where the region begins, as a fraction of the map's maximum, above 0 and
            up to 1; None for 0.15.
    """

    alpha: float = DEFAULT_ALPHA
    colormap: str = DEFAULT_COLORMAP
    heatmap: str | None = None
    figure: str | None = None
    contour: bool = False
    box: bool = False
    threshold: float | None = None

    @property
    def finds_regions(self) -> bool:
        """Whether the region above the threshold is wanted."""
        return self.contour or self.box

    @property
    def region_from(self) -> float:
        """Where the region begins, as a fraction of the map's maximum."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold


@dataclass(frozen=True)
class WriteOptions:
    """Where to write.

    Attributes:
        out: The folder for results; None for beside each picture.
        name: The pattern of the names of results (see
            `gradcam_cli.files.name_pattern.NamePattern`); None for the usual names.
        format: What overlays and composites are written as: one of
            `gradcam_cli.rendering.encoding.PICTURE_FORMATS`.
        ending: What their names end in ("jpeg"); None for the name of the format.
        report: The page that shows all pictures; None for none.
        report_assets: Put the pictures of the report into a folder beside it.
        skip_existing: Pass over pictures whose results are all there.
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
        batch_size: How many pictures go through the network at once; None for what suits
            the machine. Less, where memory doesn't last.
        workers: How many threads, or on a cluster processes, work side by side; None for
            what suits the machine.
        address: The address of a Ray cluster, or "local"; None for this process.
        mixed_precision: Compute in float16, with weights in float32.
        max_download: How large a picture from a URL may be, in 10^6 bytes.
    """

    batch_size: int | None = None
    workers: int | None = None
    address: str | None = None
    mixed_precision: bool = False
    max_download: int = DEFAULT_MEGABYTES
