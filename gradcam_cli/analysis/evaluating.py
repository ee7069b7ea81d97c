"""Measures maps of pictures from Python, as ``gradcam evaluate`` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.cam.methods.table import find_method
from gradcam_cli.cam.usual_method import usual_method
from gradcam_cli.evaluation.table import DEFAULT_METRICS
from gradcam_cli.files.manifest import gather_given
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.options import as_size

if TYPE_CHECKING:
    import keras

    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.evaluation.results import Evaluation
    from gradcam_cli.models.classifier import Classifier


def evaluate(
    pictures: str | AnyPath | Iterable[str | AnyPath],
    *,
    model: str | keras.Model | Classifier | None = None,
    labels: Sequence[str] | None = None,
    preprocess: str | None = None,
    task: str | None = None,
    methods: Sequence[str] = (),
    layers: Sequence[str | int] = (),
    metrics: Sequence[str] = (),
    target: int | str | None = None,
    annotations: str | Path | None = None,
    fit: str | None = None,
    size: int | tuple[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
    report: Callable[[Evaluation], None] | None = None,
) -> Evaluation:
    """Measures whether maps show what a network used, as ``gradcam evaluate`` does.

    Args:
        pictures: Folders, files or URLs, as for the command; or one of them.
        model: A name or file as for ``--model``, a Keras model or a `Classifier`; None for the
            built-in model.
        labels: The names of the classes; None for the model's own, ImageNet's or numbers.
        preprocess: The preprocessing, as for ``--preprocess``; None to detect it.
        task: What the outputs mean, as for ``--task``; None to find it out.
        methods: Names that ``gradcam methods`` lists; empty for the usual one of the model.
        layers: Names, paths or indices of layers, each of which is measured with each method;
            empty for the last one with spatial output.
        metrics: Names that ``gradcam metrics`` lists, or "all"; empty for those that the list
            marks.
        target: The class to explain in every picture: an index, a WordNet id or a name. None for
            the most probable one.
        annotations: The objects in the pictures, as for ``--annotations``; None for no
            localisation metrics.
        fit: How to fit a picture into the network's input, as for ``--fit``.
        size: The input size in pixels, one number or (height, width), for networks that accept
            any; None for the best known.
        progress: Called with the number of maps measured since the last call. Each picture has
            a map for each method and layer, and two as baselines.
        report: Called with the results so far each time that some pictures are done.

    Returns:
        The values, their intervals and, with `Evaluation.judge`, what they say.

    Raises:
        ImageError: There are no pictures, or none can be measured.
        UsageError: A metric doesn't suit the model.
        GradcamError: The model or the annotations can't be read.
    """
    found = gather_given(pictures)
    for name in methods:
        find_method(name)

    from gradcam_cli.api.loading import find_classifier
    from gradcam_cli.evaluation.annotations import Annotations
    from gradcam_cli.evaluation.measuring import evaluate_pictures
    from gradcam_cli.evaluation.metric_choice import choose_metrics
    from gradcam_cli.evaluation.options import EvaluationOptions

    classifier = find_classifier(model, labels, preprocess, task)
    options = EvaluationOptions(
        metrics=choose_metrics(classifier, metrics, DEFAULT_METRICS),
        target=TOP_CLASS if target is None else classifier.labels.find(str(target)),
        inputs=classifier.input_for(fit, as_size(size)),
        annotations=None
        if annotations is None
        else Annotations(Path(annotations), classifier.labels),
    )
    if not options.changes_weights:
        classifier = classifier.folded(layers)
    explainers = explainers_of(classifier, list(dict.fromkeys(methods)), layers)
    return evaluate_pictures(found, explainers, options, progress, report)


def explainers_of(
    classifier: Classifier, methods: Sequence[str], layers: Sequence[str | int]
) -> list[Explainer]:
    """Makes an explainer for each method at each layer.

    Args:
        classifier: The classifier.
        methods: The methods; empty for the usual one of the model. Those that explain all layers
            together are there once.
        layers: The layers; empty for the default layer.

    Raises:
        GradcamError: As for `Explainer`.
    """
    from gradcam_cli.cam.explainer import Explainer

    default: Sequence[str | int | None] = (None,)
    return [
        Explainer(classifier, layer, method)
        for method in methods or [usual_method(classifier)]
        for layer in (layers if layers and find_method(method).needs_layer else default)
    ]
