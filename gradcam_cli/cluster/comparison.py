"""Compares two networks, methods or layers, in this process or on a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gradcam_cli.analysis.comparison import Comparison
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cluster.run import connected, explain_on_cluster
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.manifest import gather_given
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.catalogue import is_model_path
from gradcam_cli.models.input_choice import parse_inputs
from gradcam_cli.models.input_values import with_values
from gradcam_cli.models.options import ModelOptions, as_size
from gradcam_cli.run.comparison import (
    COMPARES,
    OpenNetwork,
    compare_pictures,
    opened_here,
)
from gradcam_cli.run.comparison_files import choose_drawn, comparison_folder, write_comparison
from gradcam_cli.run.comparison_plan import ComparisonPlan, pair_models, plan_comparison
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import ExplainOptions, MachineOptions
from gradcam_cli.run.ready_job import labels_of, load_model_of
from gradcam_cli.run.records import PictureResult
from gradcam_cli.run.truth import TruthNames
from gradcam_cli.run.whole_pictures import check_whole_pictures


def compare(
    pictures: str | AnyPath | Iterable[str | AnyPath],
    *,
    models: Sequence[str | Path] = (),
    weights: Sequence[str | Path] = (),
    methods: Sequence[str] = (),
    layers: Sequence[str | int] = (),
    truth: str | Path | None = None,
    target: int | str | None = None,
    labels: str | Path | Sequence[str | Path] = (),
    preprocess: str | None = None,
    task: str | None = None,
    fit: str | None = None,
    size: int | tuple[int, int] | None = None,
    out: str | Path | None = None,
    ray: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Compares two networks, methods or layers on pictures, as ``gradcam compare`` does.

    One of `models`, `weights`, `methods` and `layers` has two entries, and the others at most one.

    Args:
        pictures: Folders, files or URLs, as for the command; or one of them.
        models: Names or files as for ``--model``; empty for the built-in model.
        weights: Files with weights of the model, or of each model.
        methods: Names that ``gradcam methods`` lists; empty for the usual one of each model.
        layers: Names, paths or indices of layers; empty for the last one with spatial output of
            each model.
        truth: The true classes: "folders" for the names of the pictures' folders, or a CSV file
            with the picture in the first column and its class in the second. None if they
            aren't known.
        target: The class whose maps are compared, if the true classes aren't known: an index, a
            WordNet id or a name. None for the one that the first network predicts.
        labels: A file with the names of the classes for all models, or one for each.
        preprocess: The preprocessing for all models, as for ``--preprocess``; None to detect it.
        task: What the outputs of all models mean, as for ``--task``; None to find it out.
        fit: How to fit a picture into the network's input, as for ``--fit``.
        size: The input size in pixels, one number or (height, width), for networks that accept
            any; None for the best known.
        out: The folder for the sheets and tables; None to write no files.
        ray: The address of a Ray cluster, or "local"; None to run in this process.
        progress: Called with the number of pictures that a network has explained since the last
            call. Two networks explain each picture.

    Returns:
        The comparison. Its `errors` tell which pictures couldn't be compared.

    Raises:
        ImageError: There are no pictures.
        OutputError: The folder holds something else, or can't be written.
        UsageError: It isn't clear what to compare, or the models have nothing to compare.
        GradcamError: A model or the true classes can't be read.
    """
    found = gather_given(pictures)
    shared = ModelOptions(
        preprocess=preprocess,
        task=task,
        size=as_size(size),
    )
    of_labels = [labels] if isinstance(labels, (str, Path)) else labels
    plan = plan_comparison(
        pair_models(shared, [str(model) for model in models], _paths(weights), _paths(of_labels)),
        ExplainOptions(
            layers=tuple(layers),
            methods=tuple(methods),
            classes=() if target is None else (str(target),),
            fit=fit,
            truth=None if truth is None else str(truth),
        ),
        MachineOptions(address=ray),
    )
    names = None if truth is None else TruthNames(str(truth))
    folder = None if out is None else Path(out)
    return compare_and_write(plan, found, folder, names, progress)[0]


def compare_and_write(
    plan: ComparisonPlan,
    pictures: Sequence[InputPicture],
    out: Path | None,
    truth: TruthNames | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Comparison, list[Path]]:
    """Compares pictures, and writes the files.

    Args:
        plan: What to compare.
        pictures: The pictures.
        out: The folder for the files; None to write none.
        truth: The names of the true classes; None if they aren't known.
        progress: As for `compare`.

    Returns:
        The comparison and its files.

    Raises:
        GradcamError: As for `compare`.
    """
    folder = None if out is None else comparison_folder(out)
    address = plan.jobs[0].machine.address
    # Two networks then share a cluster that is started for them.
    cluster = contextlib.nullcontext() if address is None else connected(address)
    opener = opened_here if address is None else _opened_on_cluster
    with cluster:
        comparison, drawn = compare_pictures(
            plan, pictures, opener, truth, progress, None if folder is None else choose_drawn
        )
    if folder is None or not comparison.pictures:
        return comparison, []
    with folder:
        write_comparison(comparison, drawn, folder.making)
        return comparison, folder.publish()


@contextlib.contextmanager
def _opened_on_cluster(
    job: Job, pictures: Sequence[InputPicture], truth: TruthNames | None
) -> Iterator[OpenNetwork]:
    """Prepares a network that the workers of a cluster load; see `run.comparison.Opener`."""
    labels, doubts = job.model.known_labels(), []
    values = list(pictures)
    if labels is None or is_model_path(job.model.name):
        classifier = load_model_of(job)
        check_whole_pictures(classifier, *COMPARES)
        values = with_values(pictures, classifier, parse_inputs(job.model.inputs).values)
        labels = labels_of(job, pictures, classifier)
        doubts = [classifier.warning] if classifier.warning else []
    facts: list[ExplainerFacts] = []

    def run(asked: Sequence[InputPicture], with_cards: bool) -> Iterator[PictureResult]:
        if with_cards:
            # For so few pictures, no worker needs to load the model again.
            here = replace(job, machine=replace(job.machine, address=None, workers=None))
            with opened_here(here, pictures, truth) as network:
                facts[:] = network.facts
                yield from network.run(asked, with_cards)
            return
        with explain_on_cluster(asked, job) as running:
            facts[:] = running.explainers
            yield from running.results

    yield OpenNetwork(labels, values, lambda: doubts, facts, run)


def _paths(files: Sequence[str | Path]) -> list[Path]:
    return [Path(file) for file in files]
