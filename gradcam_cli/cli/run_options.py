"""The options of a run over many pictures, by what they are about."""

from __future__ import annotations

import click

from gradcam_cli.cli.options import (
    alpha_option,
    classes_option,
    colormap_option,
    filled_with,
    fit_option,
    layers_option,
    max_download_option,
    methods_option,
)
from gradcam_cli.cli.path_types import LocalPath, StoragePath
from gradcam_cli.pictures.regions import DEFAULT_THRESHOLD
from gradcam_cli.rendering.encoding import (
    DEFAULT_FORMAT,
    FIGURE_FORMATS,
    HEATMAP_FORMATS,
    PICTURE_FORMATS,
)
from gradcam_cli.run.options import (
    DEFAULT_EACH,
    DEFAULT_FUSION,
    DEFAULT_TOP_K,
    ONLY_WRONG,
    DrawOptions,
    ExplainOptions,
    MachineOptions,
    WriteOptions,
)

explain_options = filled_with(
    "wanted",
    ExplainOptions,
    layers_option(
        "The layer to explain, by name or index (see 'gradcam layers'). Can be repeated: their "
        "maps are fused. [default: the last with a spatial output]"
    ),
    click.option(
        "--fuse",
        "fusion",
        type=click.Choice(["mean", "max"]),
        help=f"How the maps of several layers become one. [default: {DEFAULT_FUSION}]",
    ),
    methods_option("Can be repeated: a sheet that compares them."),
    click.option(
        "--smooth",
        is_flag=True,
        help="Average the maps of brighter, darker and mirrored copies; takes six times as long.",
    ),
    classes_option(
        "The class to explain: an index, a WordNet id or a name. Can be repeated: an overlay for "
        "each. [default: the most probable]"
    ),
    click.option(
        "-k",
        "--top-k",
        metavar="K",
        type=click.IntRange(min=1),
        help=f"Tell the K most probable classes. [default: {DEFAULT_TOP_K}; of several pictures, "
        f"1]",
    ),
    click.option(
        "--each",
        is_flag=True,
        help=f"An overlay for each of the K most probable classes (K is {DEFAULT_EACH} unless "
        f"--top-k says otherwise), and one picture in which each class has its own hue.",
    ),
    fit_option(
        "How a picture fits the network's input: in its own shape, stretched, its middle with a "
        "margin cut off or without, or with borders. [default: what is stored with a KerasHub "
        "model; else keep, or squash for networks of one size]"
    ),
    click.option(
        "--truth",
        metavar="folders|FILE.csv",
        help="What the pictures really show, by the names of their folders or by a table of "
        "pictures and classes: marks right and wrong predictions.",
    ),
    click.option(
        "--only",
        type=click.Choice([ONLY_WRONG]),
        help="With --truth: write the wrongly predicted pictures only, and explain both the "
        "predicted and the true class.",
    ),
)
draw_options = filled_with(
    "draw",
    DrawOptions,
    alpha_option,
    colormap_option,
    click.option(
        "--heatmap",
        type=click.Choice(list(HEATMAP_FORMATS)),
        metavar=f"[{'|'.join(HEATMAP_FORMATS)}]",
        help="Also write the bare map, as 16-bit grey PNG or as NumPy array.",
    ),
    click.option(
        "--figure",
        type=click.Choice(list(FIGURE_FORMATS)),
        metavar=f"[{'|'.join(FIGURE_FORMATS)}]",
        help="Also write a labelled figure: the original and the overlays side by side.",
    ),
    click.option("--contour", is_flag=True, help="Outline the region above the threshold."),
    click.option(
        "--box", is_flag=True, help="Draw the box of that region's largest connected part."
    ),
    click.option(
        "--threshold",
        metavar="PART",
        type=click.FloatRange(0, 1, min_open=True),
        help=f"Where the region begins, as a part of the map's maximum. "
        f"[default: {DEFAULT_THRESHOLD}]",
    ),
)
write_options = filled_with(
    "write",
    WriteOptions,
    click.option(
        "-o",
        "--out",
        metavar="FOLDER|FILE.png|URL",
        type=StoragePath(),
        help="Write results to this folder, with the subfolders of the pictures; or, for one "
        "picture, to this file (.png, .jpg or .webp). [default: beside each picture]",
    ),
    click.option(
        "--name",
        metavar="PATTERN",
        help='Name results by a pattern: "{stem}_{method}_{class}" gives '
        "photo_gradcam_281-tabby.png. Fields: {stem} (the picture's name), {method}, {layer}, "
        "{model}, {class}.",
    ),
    click.option(
        "--format",
        type=click.Choice(list(PICTURE_FORMATS)),
        default=DEFAULT_FORMAT,
        show_default=True,
        help="What overlays are written as; jpg and webp take a tenth of the room.",
    ),
    click.option(
        "--report",
        metavar="FILE.html",
        type=LocalPath(dir_okay=False),
        help="Write a gallery of all pictures: one page that needs no server and no network. "
        "Overlays are then written only where --out or another option asks for files.",
    ),
    click.option(
        "--report-assets",
        is_flag=True,
        help="Put the pictures of the report into a folder beside it, for thousands of them.",
    ),
    click.option(
        "--skip-existing",
        is_flag=True,
        help="Go on where an earlier run with the same options stopped: leave out pictures whose "
        "results are there.",
    ),
)
machine_options = filled_with(
    "machine",
    MachineOptions,
    click.option(
        "--batch-size",
        metavar="N",
        type=click.IntRange(min=1),
        help="How many pictures go through the network at once. [default: what suits the machine; "
        "half of it, where memory doesn't last]",
    ),
    click.option(
        "--ray",
        "address",
        metavar="ADDRESS|local",
        help="Share the work among the workers of a Ray cluster, as host:6379, or of one that is "
        "started here for the time of the run. Needs --out; adds a table of results in Parquet "
        "files.",
    ),
    click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        help="How many threads decode, draw and, without a GPU, compute. [default: one a core] "
        "With --ray, how many processes hold the model. [default: one on each GPU, or else core]",
    ),
    click.option(
        "--mixed-precision",
        is_flag=True,
        help="Compute in half precision: faster on most GPUs, and slower without one.",
    ),
    max_download_option,
)
