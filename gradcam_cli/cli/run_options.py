"""The options of a run over many pictures, in groups."""

from __future__ import annotations

import click

from gradcam_cli.cam.fusions import DEFAULT_FUSION, FUSIONS
from gradcam_cli.cli.medical_texts import OrientationText, WindowText
from gradcam_cli.cli.number_range import NumberRange
from gradcam_cli.cli.options import (
    Decorator,
    against_option,
    alpha_option,
    classes_option,
    colormap_option,
    filled_with,
    fit_option,
    hot_only_option,
    join_option,
    layers_option,
    max_download_option,
    methods_option,
    region_option,
    signed_option,
    truth_option,
)
from gradcam_cli.cli.path_types import LocalPath, StoragePath
from gradcam_cli.pictures.boxes import DEFAULT_SCORE
from gradcam_cli.pictures.medical.windows import NAMED_WINDOWS
from gradcam_cli.pictures.regions import DEFAULT_THRESHOLD
from gradcam_cli.pictures.stacks.voxels import PLANES
from gradcam_cli.rendering.encoding import (
    DEFAULT_FORMAT,
    FIGURE_FORMATS,
    HEATMAP_FORMATS,
    PICTURE_FORMATS,
)
from gradcam_cli.run.options import (
    COMMON_SCALE,
    DEFAULT_EACH,
    DEFAULT_TOP_K,
    FRAME_SCALE,
    ONLY_WRONG,
    DrawOptions,
    ExplainOptions,
    MachineOptions,
    StackOptions,
    WriteOptions,
)

explain_options = filled_with(
    "wanted",
    ExplainOptions,
    layers_option(
        "The layer to explain, by name or index ('gradcam layers' lists them). Repeat it to fuse "
        "the maps of several layers. [default: the last layer with a spatial output]"
    ),
    click.option(
        "--fuse",
        "fusion",
        type=click.Choice(FUSIONS),
        help=f"How to combine the maps of several layers. [default: {DEFAULT_FUSION}]",
    ),
    methods_option("Repeat it, or separate names by commas, to compare methods on one sheet."),
    click.option(
        "--smooth",
        is_flag=True,
        help="Average the maps of brighter, darker and mirrored copies. Takes six times as long.",
    ),
    classes_option(
        "The class to explain: an index, a WordNet id or a name. Repeat it for an overlay of each "
        "class. [default: the most probable class; the first output of a regression]"
    ),
    join_option,
    against_option,
    region_option,
    click.option(
        "-k",
        "--top-k",
        metavar="K",
        type=click.IntRange(min=1),
        help=f"Print the K most probable classes. [default: {DEFAULT_TOP_K}; 1 for several "
        f"pictures]",
    ),
    click.option(
        "--min-score",
        metavar="SCORE",
        type=click.FloatRange(0, 1),
        help="For a detector: explain the objects with at least this score, at most --top-k of "
        f"them. [default: {DEFAULT_SCORE}]",
    ),
    click.option(
        "--each",
        is_flag=True,
        help="Write an overlay for each of the K most probable classes, and a composite in which "
        f"each class has its own hue. K is {DEFAULT_EACH} unless --top-k is given.",
    ),
    fit_option(
        "How to fit a picture into the network's input: keep its aspect ratio (keep), stretch it "
        "(squash), cut out its centre with a margin (crop) or without (cover), or add borders "
        "(pad). [default: as stored with a KerasHub model; else keep, or squash if the network has "
        "a fixed input size]"
    ),
    truth_option("Marks right and wrong predictions."),
    click.option(
        "--only",
        type=click.Choice([ONLY_WRONG]),
        help="With --truth: explain only wrongly classified pictures, with one overlay for the "
        "predicted class and one for the true class.",
    ),
)
draw_options = filled_with(
    "draw",
    DrawOptions,
    signed_option,
    alpha_option,
    colormap_option,
    click.option(
        "--heatmap",
        type=click.Choice(list(HEATMAP_FORMATS)),
        metavar=f"[{'|'.join(HEATMAP_FORMATS)}]",
        help="Also write the map alone, as a fraction of its maximum: a 16-bit grey PNG or a NumPy "
        "array.",
    ),
    click.option(
        "--figure",
        type=click.Choice(list(FIGURE_FORMATS)),
        metavar=f"[{'|'.join(FIGURE_FORMATS)}]",
        help="Also write a labelled figure with the original and the overlays side by side.",
    ),
    click.option(
        "--contour", is_flag=True, help="Outline the region where the map exceeds --threshold."
    ),
    click.option(
        "--box",
        is_flag=True,
        help="Draw the bounding box of the largest connected part of that region.",
    ),
    click.option(
        "--mask",
        is_flag=True,
        help="Also write that region as a black and white PNG with 1 bit per pixel.",
    ),
    hot_only_option,
    click.option(
        "--threshold",
        metavar="FRACTION",
        type=click.FloatRange(0, 1, min_open=True),
        help=f"The fraction of the map's maximum at which the region of --contour, --box, --mask "
        f"and --hot-only begins. "
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
        help="Write results to this folder, which gets the same subfolders as the pictures. For "
        "one picture, this may be a file (.png, .jpg or .webp). [default: beside each picture]",
    ),
    click.option(
        "--name",
        metavar="PATTERN",
        help='Name results by this pattern. "{stem}_{method}_{class}" gives '
        "photo_gradcam_281-tabby.png. The fields are {stem} (the picture's name), {method}, "
        "{layer}, {model} and {class}.",
    ),
    click.option(
        "--format",
        type=click.Choice(list(PICTURE_FORMATS)),
        default=DEFAULT_FORMAT,
        show_default=True,
        help="The format of overlays. jpg and webp files are about a tenth of the size.",
    ),
    click.option(
        "--report",
        metavar="FILE.html",
        type=LocalPath(dir_okay=False),
        help="Write a gallery of all pictures as one HTML page, which works offline and without a "
        "server. Overlay files are then written only with --out, --name, --each, --heatmap, "
        "--figure, --contour, --box, --mask or --hot-only.",
    ),
    click.option(
        "--report-assets",
        is_flag=True,
        help="Put the report's pictures into a folder beside it. Use it for thousands of pictures.",
    ),
    click.option(
        "--skip-existing",
        is_flag=True,
        help="Resume an earlier run with the same options: skip pictures that already have their "
        "results.",
    ),
)

stack_options = filled_with(
    "stack",
    StackOptions,
    click.option(
        "--every",
        metavar="N",
        type=click.IntRange(min=1),
        default=1,
        help="In files of several pictures (videos, animations, pages): explain one picture in N.",
    ),
    click.option(
        "--frames",
        metavar="A:B",
        type=NumberRange(),
        help="Explain only the pictures from number A up to B, without B, counted from 0. Either "
        "may be left out; a negative number counts from the end.",
    ),
    click.option(
        "--scale",
        type=click.Choice([COMMON_SCALE, FRAME_SCALE]),
        default=COMMON_SCALE,
        show_default=True,
        help="The scale of colours: one for all pictures of a file, so that a picture without the "
        "class stays dark, or the maximum of each picture (frame).",
    ),
    click.option(
        "--slice",
        "slices",
        metavar="K|A:B",
        type=NumberRange(takes_one=True),
        help="In volumes (NIfTI, DICOM): explain only slice K, or slices A up to B, without B, "
        "counted from 0 in the order of the file.",
    ),
    click.option(
        "--plane",
        type=click.Choice(PLANES),
        help="The slices of volumes to explain. [default: axial; of DICOM, as they were taken]",
    ),
    click.option(
        "--window",
        metavar="CENTER,WIDTH|NAME",
        type=WindowText(),
        help="The values of medical pictures that are spread over all greys, such as 40,80, or a "
        f"name: {', '.join(NAMED_WINDOWS)}. [default: that of the file, else all values]",
    ),
    click.option(
        "--orientation",
        metavar="RAS|LPS|...",
        type=OrientationText(),
        help="The directions of the axes of volumes for a network that takes them whole. "
        "[default: as in the file]",
    ),
    click.option(
        "--first-frame",
        is_flag=True,
        help="Explain only the first picture of such files, as a picture.",
    ),
)


def _machine_options(about_ray: str) -> Decorator:
    return filled_with(
        "machine",
        MachineOptions,
        click.option(
            "--batch-size",
            metavar="N",
            type=click.IntRange(min=1),
            help="How many pictures go through the network at once. [default: chosen for the "
            "machine, and halved when memory runs out]",
        ),
        click.option(
            "--ray",
            "address",
            metavar="ADDRESS|local",
            help=f"Run on a Ray cluster: its address (host:6379), or 'local' to start one on this "
            f"machine for the run. {about_ray}",
        ),
        click.option(
            "--workers",
            metavar="N",
            type=click.IntRange(min=1),
            help="The number of threads that decode and draw and, if there is no GPU, run the "
            "network. [default: one per core] With --ray: the number of processes that load the "
            "model. [default: one per GPU, or one per core]",
        ),
        click.option(
            "--mixed-precision",
            is_flag=True,
            help="Compute in half precision: faster on most GPUs, slower on CPUs.",
        ),
        max_download_option,
    )


machine_options = _machine_options(
    "Requires --out. Also writes a table of results as Parquet files."
)
# For commands whose results come back to this machine.
analysis_machine_options = _machine_options("All machines must have the pictures and the model.")
