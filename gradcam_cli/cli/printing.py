"""Prints results as they arrive, in the format that the user chose."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from gradcam_cli.cam.facts import ExplainerFacts, describe
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli.console import say, say_error, stderr_console, stdout_console, visible
from gradcam_cli.cli.display import result_json, result_lines

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.cli.results_file import ResultsFile
    from gradcam_cli.run.options import ExplainOptions
    from gradcam_cli.run.records import PictureResult


class ResultPrinter:
    """Prints results to standard output, and errors and progress to standard error.

    Attributes:
        done: The number of pictures that were explained.
        failed: The number of pictures that couldn't be explained.
        skipped: The number of pictures that were skipped because their results exist.
        wrong: The number of wrong predictions among pictures whose true class is known.
    """

    def __init__(
        self,
        explainers: Sequence[ExplainerFacts],
        number_of_pictures: int,
        show_classes: int,
        as_json: bool,
        quiet: bool,
        only_wrong: bool = False,
        results_file: ResultsFile | None = None,
        wanted: ExplainOptions | None = None,
        may_be_stacks: bool = False,
    ) -> None:
        may_take_long = may_be_stacks or any(one.runs_many_times for one in explainers)
        self.done = 0
        self._has_region = wanted is not None and wanted.region is not None
        self._has_classes = wanted is not None and bool(wanted.classes or wanted.each)
        self.failed = 0
        self.skipped = 0
        self._results_file = results_file
        self.wrong = 0
        self._known = 0
        self._explainers = explainers
        self._total = number_of_pictures
        self._show_classes = show_classes
        self._as_json = as_json
        self._quiet = quiet
        self._only_wrong = only_wrong
        self._started = time.perf_counter()
        self._stdout = stdout_console()
        self._stderr = stderr_console()
        self._progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self._stderr,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=quiet
            or not self._stderr.is_terminal
            or (number_of_pictures == 1 and not may_take_long),
        )
        self._task = self._progress.add_task(
            "pictures", total=number_of_pictures, visible=number_of_pictures > 1
        )
        # A live bar and results on the same screen must go through one console.
        # FORCE_COLOR makes a file count as a terminal, but results belong into it.
        if self._stdout.file.isatty() and not self._progress.disable:
            self._stdout = self._stderr

    @property
    def introduction(self) -> str:
        """A line with the method, the model and the layer."""
        return describe(self._explainers)

    def print_introduction(self, with_preprocessing: bool, with_cells: bool) -> None:
        """Prints the method, the model and the layer.

        Args:
            with_preprocessing: Whether to print how pictures are preprocessed.
            with_cells: Whether to print where the cells of the layer lie.
        """
        first = self._explainers[0]
        note = f" ({first.reason})" if first.reason and first.needs_layer else ""
        self._stdout.print(Text(visible(f"{self.introduction}{note}"), style="dim"))
        if with_cells and first.needs_layer:
            self._stdout.print(Text(visible(f"cells {first.cells}"), style="dim"))
        if first.task:
            self._stdout.print(Text(visible(f"task {first.task}"), style="dim"))
        if first.segments:
            self._stdout.print(Text(f"score {self._describe_scores()}", style="dim"))
        if with_preprocessing:
            preprocessing = self._explainers[0].preprocessing
            self._stdout.print(Text(visible(f"preprocessing {preprocessing}"), style="dim"))
        if first.class_names:
            origin = f"class names from {first.class_names}"
            self._stdout.print(Text(visible(origin), style="dim"))
        self._stdout.print()

    def _describe_scores(self) -> str:
        """Says which scores of a segmentation are explained, and of which class."""
        where = "in the region" if self._has_region else "where it is predicted"
        chosen = ""
        if not self._has_classes:
            in_it = "of the region" if self._has_region else "of the picture"
            chosen = f"; explained: the largest share {in_it} except the background"
        return f"the sum of a class's scores {where} (dashed outline){chosen}"

    @contextlib.contextmanager
    def progress(self) -> Iterator[None]:
        """Shows a progress bar for several pictures, if standard error is a terminal."""
        # Before Rich 14.3, a disabled bar writes an empty line.
        with contextlib.nullcontext() if self._progress.disable else self._progress:
            yield

    def follow(self, explainers: Iterable[Explainer]) -> None:
        """Shows the progress of methods that run the network many times."""
        for explainer in explainers:
            explainer.progress = self._follow_runs(METHODS[explainer.method].title)

    def _follow_runs(self, title: str) -> Callable[[int, int], None]:
        """Makes a bar for a method that runs the network many times."""
        task: TaskID | None = None

        def follow(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = self._progress.add_task(f"{title} runs", total=total)
            self._progress.advance(task, done)
            if self._progress.tasks[self._progress.task_ids.index(task)].finished:
                self._progress.remove_task(task)
                task = None

        return follow

    @contextlib.contextmanager
    def follow_frames(self, title: str, steps: int | None) -> Iterator[Callable[[], None]]:
        """Shows the progress within one file of several pictures; see `FrameProgress.follow`."""
        task = self._progress.add_task(visible(title), total=steps)
        try:
            yield lambda: self._progress.advance(task)
        finally:
            self._progress.remove_task(task)

    def print_result(self, result: PictureResult) -> None:
        """Prints the result of one picture, or its error."""
        if result.skipped:
            self.skipped += 1
            self._progress.advance(self._task)
            return
        if result.error is None:
            self.done += 1
        else:
            self.failed += 1
            say_error(result.error, self._stderr)
        self._known += result.truth is not None
        self.wrong += result.is_wrong
        self._progress.advance(self._task)
        if self._only_wrong and result.error is None and not result.is_wrong:
            return
        if self._results_file is not None:
            self._results_file.add(result.picture.key, result_json(result, self._explainers))
        if self._as_json:
            say(result_json(result, self._explainers))
        elif result.error is None and not self._quiet:
            lines = result_lines(result, self._show_classes, self._stdout.width)
            if self._stdout.is_terminal:
                self._stdout.print(lines, soft_wrap=True)
            else:
                say(lines.plain)

    def print_report_path(self, path: Path) -> None:
        """Prints the path and size of the report."""
        if not self._quiet:
            say(f"→ {visible(str(path))} ({path.stat().st_size / 1e6:.1f} MB)", err=self._as_json)

    def summarize(self, prefix: str = "") -> None:
        """Prints how many pictures were explained, failed or skipped, and how long it took."""
        if self._quiet:
            return
        seconds = time.perf_counter() - self._started
        failed = f", {self.failed} failed" if self.failed else ""
        wrong = f"; {self.wrong} of {self._known} predictions are wrong" if self._known else ""
        skipped = f", {self.skipped} skipped (results exist)" if self.skipped else ""
        finished = self.done + self.failed + self.skipped
        of_total = f" of {self._total}" if finished < self._total else ""
        pictures = "picture" if self.done == 1 and not of_total else "pictures"
        explained = f"{self.done}{of_total} {pictures} explained"
        if self._only_wrong:
            wrong = ""
            explained = f"{self.wrong} of {self._known} predictions are wrong and explained"
        say(f"{prefix}{explained}{failed}{skipped} in {seconds:.1f} s{wrong}", err=True)
