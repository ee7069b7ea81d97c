"""Tells of results as they come, in the form that the user asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gradcam_cli.cli.console import stderr_console, stdout_console
from gradcam_cli.cli.display import result_json, result_lines
from gradcam_cli.method_names import METHOD_TITLES

if TYPE_CHECKING:
    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.records import PictureResult


class Reporter:
    """Prints results on standard output, errors and progress on standard error.

    Attributes:
        done: How many pictures were explained.
        failed: How many could not be.
        wrong: How many were predicted wrongly, of those whose true class is known.
    """

    def __init__(
        self,
        explainer: Explainer,
        number_of_pictures: int,
        show_classes: int,
        as_json: bool,
        quiet: bool,
        only_wrong: bool = False,
    ) -> None:
        self.done = 0
        self.failed = 0
        self.wrong = 0
        self._known = 0
        self._explainer = explainer
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
            TextColumn("pictures"),
            TimeRemainingColumn(),
            console=self._stderr,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=quiet or number_of_pictures == 1 or not self._stderr.is_terminal,
        )
        self._task = self._progress.add_task("", total=number_of_pictures)
        # A live bar and results on the same screen have to go through one console.
        if self._stdout.is_terminal and not self._progress.disable:
            self._stdout = self._stderr

    @property
    def introduction(self) -> str:
        """What explains, and by which layer."""
        method = METHOD_TITLES[self._explainer.method]
        return f"{method} · {self._explainer.classifier.name} · layer {self._explainer.layer}"

    def introduce(self, chosen: bool, tells_preprocessing: bool) -> None:
        """Says what explains, and by which layer.

        Args:
            chosen: The layer was chosen here, not by the user.
            tells_preprocessing: Say what is done to the pictures before the network.
        """
        note = " (the last with a spatial output)" if chosen else ""
        self._stdout.print(Text(f"{self.introduction}{note}", style="dim"))
        if tells_preprocessing:
            preprocess = self._explainer.classifier.preprocess
            self._stdout.print(
                Text(f"preprocessing {preprocess.mode} ({preprocess.reason})", style="dim")
            )
        self._stdout.print()

    @contextlib.contextmanager
    def progress(self) -> Iterator[None]:
        """Shows a progress bar for folders, where standard error is a terminal."""
        with self._progress:
            yield

    def report(self, result: PictureResult) -> None:
        """Prints what came of one picture."""
        if result.error is None:
            self.done += 1
        else:
            self.failed += 1
            self._stderr.print(Text(f"Error: {result.error}", style="red"), soft_wrap=True)
        self._known += result.truth is not None
        self.wrong += result.is_wrong
        self._progress.advance(self._task)
        if self._only_wrong and result.error is None and not result.is_wrong:
            return
        if self._as_json:
            click.echo(result_json(result, self._explainer))
        elif result.error is None and not self._quiet:
            lines = result_lines(result, self._show_classes, self._stdout.width)
            self._stdout.print(lines, soft_wrap=True)

    def tell_report(self, path: Path) -> None:
        """Says where the report of all pictures is."""
        if not self._quiet:
            click.echo(f"→ {path} ({path.stat().st_size / 1e6:.1f} MB)", err=self._as_json)

    def summarize(self, prefix: str = "") -> None:
        """Prints how many pictures were explained."""
        if self._quiet:
            return
        seconds = time.perf_counter() - self._started
        failed = f", {self.failed} failed" if self.failed else ""
        wrong = f"; {self.wrong} of {self._known} predicted wrongly" if self._known else ""
        of_total = f" of {self._total}" if self.done + self.failed < self._total else ""
        click.echo(
            f"{prefix}{self.done}{of_total} pictures explained{failed} in {seconds:.1f} s{wrong}",
            err=True,
        )
