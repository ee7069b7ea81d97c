"""What is done with every picture of a run, once the model is known."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradcam_cli.files.downloads import DownloadLimits
from gradcam_cli.pictures.preparing import InputShape
from gradcam_cli.run.options import DEFAULT_TOP_K, DrawOptions, WriteOptions
from gradcam_cli.run.result_names import ResultNames
from gradcam_cli.run.targets import Targets
from gradcam_cli.runtime.cores import Parallelism, usable_cores


@dataclass(frozen=True)
class Task:
    """What is done with every picture.

    Attributes:
        inputs: How pictures become inputs of the network.
        download_limits: What it may take to fetch a picture from a URL.
        targets: The classes that are explained.
        top_k: How many of the most probable classes are told.
        draw: What is drawn.
        write: Where it is written.
        names: What the names of all files have in common.
        composite: Also write one picture of all classes, each in a hue of its own.
        sheet: Write a sheet with an overlay by each explainer, instead of overlays.
        keeps_panels: Also keep the overlays in memory, labelled for a figure.
        keeps_card: Also keep what a report shows.
        batch_size: How many pictures go through the network at once; None for what suits
            the machine. Less, where memory doesn't last.
        parallelism: How many pictures are worked on side by side.
    """

    inputs: InputShape = field(default_factory=InputShape)
    download_limits: DownloadLimits = field(default_factory=DownloadLimits)
    targets: Targets = field(default_factory=Targets)
    top_k: int = DEFAULT_TOP_K
    draw: DrawOptions = field(default_factory=DrawOptions)
    write: WriteOptions = field(default_factory=WriteOptions)
    names: ResultNames = field(default_factory=ResultNames)
    composite: bool = False
    sheet: bool = False
    keeps_panels: bool = False
    keeps_card: bool = False
    batch_size: int | None = None
    parallelism: Parallelism = field(default_factory=lambda: Parallelism(usable_cores()))
