"""What to do with every picture of a run, once the model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gradcam_cli.files.downloads import DownloadLimits
from gradcam_cli.pictures.boxes import DetectionChoice
from gradcam_cli.pictures.preparing import InputShape
from gradcam_cli.pictures.score_regions import ScoreRegion
from gradcam_cli.rendering.report import PREVIEW_SIDE
from gradcam_cli.run.options import DEFAULT_TOP_K, DrawOptions, StackOptions, WriteOptions
from gradcam_cli.run.result_names import ResultNames
from gradcam_cli.run.targets import Targets
from gradcam_cli.runtime.cores import Parallelism, usable_cores


@dataclass(frozen=True)
class Task:
    """What to do with every picture.

    Attributes:
        inputs: How pictures become inputs of the network.
        download_limits: The limits of size and time for a picture from a URL.
        targets: The classes to explain.
        top_k: The number of most probable classes in each result.
        draw: What to draw.
        write: Where to write.
        stack: What to explain in files of several pictures.
        names: What the names of all files have in common.
        region: The region whose scores are explained; None for where each class is predicted.
        detection: For a detector, the objects to explain; None for other networks.
        composite: Whether to also write one picture of all classes, each in its own hue.
        sheet: Whether to write a sheet with an overlay by each explainer, instead of overlays.
        keeps_panels: Whether to keep the overlays in memory, labelled for a figure.
        keeps_card: Whether to keep what a report shows.
        preview_side: The length of the longer side of its pictures, in pixels.
        observes: Whether to keep what an analysis of many pictures needs of each.
        views: The explained inputs; only "" if the network has only one for pictures.
        chosen_views: The explained inputs that the user named.
        batch_size: The number of pictures that go through the network at once, reduced if memory
            runs out; None for a size that suits the machine.
        parallelism: The number of threads for pictures, and of batches in parallel.
    """

    inputs: InputShape = field(default_factory=InputShape)
    download_limits: DownloadLimits = field(default_factory=DownloadLimits)
    targets: Targets = field(default_factory=Targets)
    top_k: int = DEFAULT_TOP_K
    draw: DrawOptions = field(default_factory=DrawOptions)
    write: WriteOptions = field(default_factory=WriteOptions)
    stack: StackOptions = field(default_factory=StackOptions)
    names: ResultNames = field(default_factory=ResultNames)
    region: ScoreRegion | None = None
    detection: DetectionChoice | None = None
    composite: bool = False
    sheet: bool = False
    keeps_panels: bool = False
    keeps_card: bool = False
    preview_side: int = PREVIEW_SIDE
    observes: bool = False
    views: Sequence[str] = ("",)
    chosen_views: Sequence[str] = ()
    batch_size: int | None = None
    parallelism: Parallelism = field(default_factory=lambda: Parallelism(usable_cores()))
