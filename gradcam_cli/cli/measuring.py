"""What the commands that measure maps share: options, preparation, progress, results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.cli.console import (
    say,
    say_error,
    say_warning,
    stderr_console,
    stdout_console,
    visible,
)
from gradcam_cli.cli.options import analysis_fit_option, max_download_option, model_options
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.evaluation.table import DEFAULT_METRICS, METRICS
from gradcam_cli.files.downloads import DownloadLimits, Downloads
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.manifest import gather_pictures
from gradcam_cli.models.options import ModelOptions

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.cli.evaluation_display import ResultTables
    from gradcam_cli.errors import GradcamError
    from gradcam_cli.evaluation.options import EvaluationOptions
    from gradcam_cli.evaluation.results import Evaluation
    from gradcam_cli.models.classifier import Classifier

_FAILED = 1
_OPTIONS = (
    click.option(
        "-c",
        "--class",
        "wanted_class",
        metavar="CLASS",
        help="The class to explain: an index, a WordNet id or a name. [default: the most "
        "probable class of each picture]",
    ),
    click.option(
        "--metric",
        "metrics",
        metavar="NAME",
        type=click.Choice([*METRICS, "all"]),
        multiple=True,
        help="A metric to measure ('gradcam metrics' lists them). Can be repeated; 'all' measures "
        "all that suit the model. [default: those that the list marks]",
    ),
    analysis_fit_option,
    max_download_option,
    click.option(
        "-o",
        "--out",
        metavar="FOLDER",
        type=LocalPath(file_okay=False),
        help="Also write the results to this folder: tables (CSV), a plot (PNG) and JSON. "
        "[default: write nothing]",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    click.option("-q", "--quiet", is_flag=True, help="Show no progress and no time."),
)


def measuring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options for the model and for what to measure."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return model_options(command)


@dataclass(frozen=True)
class Measuring:
    """What to measure: pictures, a classifier and the options."""

    pictures: list[InputPicture]
    classifier: Classifier
    options: EvaluationOptions


def prepare(
    show_messages: bool,
    paths: Sequence[str],
    layers: Sequence[str | int],
    *,
    model: ModelOptions,
    wanted_class: str | None,
    metrics: Sequence[str],
    fit: str | None,
    max_download: int,
    usual_metrics: Sequence[str] = DEFAULT_METRICS,
) -> Measuring:
    """Finds the pictures and loads the classifier.

    Args:
        show_messages: Whether TensorFlow may write to standard error.
        paths: The paths of the pictures, as the user wrote them.
        layers: The layers that the user named. They may imply the model.
        model: What to load.
        wanted_class: The class to explain; None for the most probable one of each picture.
        metrics: The metrics to measure, or "all"; empty for the usual ones.
        fit: How to fit pictures into the input; None for the way that suits the network.
        max_download: The maximum size of a picture from a URL, in 10^6 bytes.
        usual_metrics: The metrics to measure by default, as far as they suit the model.

    Raises:
        UsageError: A metric doesn't suit the model.
    """
    model.check_files()
    pictures = gather_pictures(paths)
    model = model.having(layers)

    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow(show_messages)

    from gradcam_cli.evaluation.metric_choice import choose_metrics
    from gradcam_cli.evaluation.options import EvaluationOptions
    from gradcam_cli.models.input_choice import parse_inputs
    from gradcam_cli.models.input_values import bind_values
    from gradcam_cli.models.loading import load_classifier

    classifier = load_classifier(model)
    chosen = choose_metrics(classifier, metrics, usual_metrics)
    inputs = classifier.input_for(fit, model.size)
    values = parse_inputs(model.inputs).values
    classifier = bind_values(classifier, pictures, inputs, values)
    return Measuring(
        pictures,
        classifier,
        EvaluationOptions(
            metrics=chosen,
            target=TOP_CLASS if wanted_class is None else classifier.labels.find(wanted_class),
            inputs=inputs,
            downloads=Downloads(DownloadLimits(max_download)),
        ),
    )


@dataclass(frozen=True)
class Measured:
    """The results, and what ended the measuring early.

    Attributes:
        evaluation: The results; those so far after an interruption.
        interruption: Ctrl-C or another signal; None if all pictures were measured.
    """

    evaluation: Evaluation
    interruption: KeyboardInterrupt | None = None


def evaluate_in_view(
    measuring: Measuring, explainers: Sequence[Explainer], options: EvaluationOptions, quiet: bool
) -> Measured:
    """Measures the maps of explainers and baselines, and shows the results so far.

    Args:
        measuring: The pictures.
        explainers: The explainers that compute the maps.
        options: What to measure.
        quiet: Whether to hide the progress and the warnings about the model and ``--size``.

    Raises:
        KeyboardInterrupt: The command was interrupted before a picture was measured.
    """
    from gradcam_cli.cli.evaluation_view import EvaluationView
    from gradcam_cli.evaluation.map_sources import BASELINES
    from gradcam_cli.evaluation.measuring import evaluate_pictures
    from gradcam_cli.run.size_check import describe_collapse

    if not quiet:
        inputs, downloads = measuring.options.inputs, measuring.options.downloads
        warning = describe_collapse(explainers[0], measuring.pictures, inputs, downloads)
        for one in filter(None, (measuring.classifier.warning, warning)):
            say_warning(one)
    so_far: list[Evaluation] = []
    rows = len(explainers) + len(BASELINES) * options.with_baselines
    with EvaluationView(len(measuring.pictures), rows, quiet) as view:

        def report(evaluation: Evaluation) -> None:
            so_far[:] = [evaluation]
            view.show(evaluation)

        try:
            return Measured(
                evaluate_pictures(
                    measuring.pictures, explainers, options, view.advance, report=report
                )
            )
        except KeyboardInterrupt as interruption:
            if not so_far:
                raise
            return Measured(so_far[0], interruption)


@contextmanager
def progress_bar(description: str, total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on standard error, if that is a terminal.

    Yields:
        A function that advances the bar by a number of steps.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = stderr_console()
    progress = Progress(
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    # Before Rich 14.3, a disabled bar writes an empty line.
    with nullcontext() if progress.disable else progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.advance(task, done)


def print_results(results: ResultTables, classifier: Classifier) -> None:
    """Prints the tables and the verdict."""
    console = stdout_console()
    console.print(results.heading())
    if classifier.task_reason:
        console.print(Text(visible(f"task {classifier.described_task}"), style="dim"))
    for table in results.tables(console.width):
        console.print()
        console.print(table)
    console.print()
    for sentence in results.verdict.sentences:
        console.print(visible(sentence))


def finish(
    ctx: click.Context, measured: Measured, written: Sequence[Path], started: float | None
) -> None:
    """Prints where the results are and what failed, and ends the command.

    Args:
        ctx: Ends with exit code 1 if pictures failed.
        measured: The results.
        written: The files of the results.
        started: When the command started, as `time.perf_counter` tells it; None to print
            neither the duration nor the files.

    Raises:
        KeyboardInterrupt: What interrupted the measuring.
    """
    if started is not None:
        names = ", ".join(visible(str(path)) for path in written)
        seconds = f"({time.perf_counter() - started:.0f} s)"
        say(f"→ {names}  {seconds}" if names else seconds, err=True)
    print_errors(measured.evaluation.errors)
    if measured.interruption is not None:
        raise measured.interruption
    if measured.evaluation.errors:
        ctx.exit(_FAILED)


def print_errors(errors: Sequence[GradcamError]) -> None:
    """Prints the errors of pictures that couldn't be measured."""
    for error in errors:
        say_error(error)
