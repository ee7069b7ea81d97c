"""Compares methods: a sheet for each picture, methods across, classes down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from PIL import Image

from gradcam_cli.api.image import ImageExplanation, explain_picture
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.errors import GradcamError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.marks import OVERLAY_SUFFIX, mark
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.writing import written_whole
from gradcam_cli.pictures.fitting import fit_picture
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.rendering.encoding import encode_picture
from gradcam_cli.rendering.sheet import CELL_SIDE, draw_sheet
from gradcam_cli.run.records import ExplainedTarget, PictureResult, PipelineOptions


def compare_pictures(
    pictures: Iterable[InputPicture],
    explainers: Sequence[Explainer],
    options: PipelineOptions,
    namer: OutputNamer | None = None,
) -> Iterator[PictureResult]:
    """Explains pictures with several methods and writes a sheet of each.

    Args:
        pictures: The pictures, in any number.
        explainers: What explains them, all with the same classifier.
        options: Which classes, and how. Heat maps, truth and what depends on it aren't
            looked at.
        namer: What names the files; None for one that begins with these pictures.

    Yields:
        One result for each picture, in their order. When it is yielded, its sheet is
        complete: the output of each of its targets.
    """
    namer = namer or OutputNamer(options.out)
    suffixes = _suffixes(options)
    for picture in pictures:
        if options.skip_existing and not picture.redo and namer.has_all(picture, suffixes):
            yield PictureResult(picture, skipped=True)
            continue
        try:
            yield _compare(picture, explainers, options, namer)
        except GradcamError as error:
            yield PictureResult(picture, error=error)


def _compare(
    picture: InputPicture,
    explainers: Sequence[Explainer],
    options: PipelineOptions,
    namer: OutputNamer,
) -> PictureResult:
    image = read_picture(picture.path)
    fit = fit_picture(image.size, options.fit, options.input_size, options.stride)
    targets = options.targets_of(picture, explainers[0].classifier.labels)
    by_method: list[list[ImageExplanation]] = []
    for explainer in explainers:
        explanations = explain_picture(
            image,
            fit,
            explainer,
            targets,
            options.top_k,
            colormap=options.colormap,
            alpha=options.alpha,
        )
        by_method.append(explanations)
    by_class = list(zip(*by_method, strict=True))
    predictions = [explanations[0].target for explanations in by_class]
    sheet = draw_sheet(
        [METHODS[explainer.method].title for explainer in explainers],
        [(target.name, target.percent) for target in predictions],
        [[_draw_cell(explanation) for explanation in explanations] for explanations in by_class],
    )
    (path,) = namer.name(picture, _suffixes(options))
    titles = ", ".join(METHODS[explainer.method].title for explainer in explainers)
    title = f"{titles}; {explainers[0].classifier.name} layer {explainers[0].layer}"
    encoded = encode_picture(sheet, options.format, mark(picture.path, path.parent, title))
    with written_whole(path) as file:
        file.write(encoded)
    return PictureResult(
        picture,
        by_class[0][0].predictions,
        [
            ExplainedTarget(
                explanations[0].target,
                path,
                None,
                any(explanation.has_evidence for explanation in explanations),
            )
            for explanations in by_class
        ],
    )


def _suffixes(options: PipelineOptions) -> list[str]:
    return [f"{OVERLAY_SUFFIX}_methods.{options.format}"]


def _draw_cell(explanation: ImageExplanation) -> Image.Image:
    overlay = explanation.overlay
    overlay.thumbnail((CELL_SIDE, CELL_SIDE), Image.Resampling.LANCZOS)
    return overlay
