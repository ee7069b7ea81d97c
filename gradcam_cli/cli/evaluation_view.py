"""Shows how measuring goes on: how long it will take, and the results so far."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gradcam_cli.cli.console import stderr_console
from gradcam_cli.cli.evaluation_display import running_table

if TYPE_CHECKING:
    from gradcam_cli.evaluation.results import Evaluation

# Shorter waits aren't worth a line. In seconds.
_WORTH_TELLING = 10
# A first picture that takes this long says enough; preparing the network, which adds to it,
# takes a few seconds. In seconds.
_LONG = 20
# Seconds in a minute, and minutes in an hour.
_MINUTE = 60


class EvaluationView:
    """A line that tells the time, a progress bar and a table of running means.

    All go to standard error. The bar and the table, which move, appear only in a terminal.
    """

    def __init__(self, pictures: int, rows: int, quiet: bool) -> None:
        self._pictures = pictures
        self._rows = rows
        self._console = stderr_console()
        self._bar = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task("maps", total=pictures * rows)
        self._live = Live(self._bar, console=self._console, transient=True)
        self._is_live = self._console.is_terminal and not quiet
        self._says_time = not quiet
        self._started = time.perf_counter()
        self._last = self._started
        self._done = 0

    def __enter__(self) -> Self:
        """Shows the bar."""
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the bar and the table."""
        if self._is_live:
            self._live.stop()

    def advance(self, maps: int) -> None:
        """Advances the bar."""
        self._bar.advance(self._task, maps)

    def show(self, evaluation: Evaluation) -> None:
        """Shows the results so far."""
        done = self._pictures - evaluation.pictures_left
        if self._says_time and evaluation.pictures_left:
            self._tell_time(done)
        self._last, self._done = time.perf_counter(), done
        if self._is_live and evaluation.pictures_left:
            table = running_table(evaluation, self._console.width)
            # A table that is too high is cut at its end, so the bar comes first.
            self._live.update(Group(self._bar, table))

    def _tell_time(self, done: int) -> None:
        """Tells once how long all pictures take, as soon as that is known."""
        now = time.perf_counter()
        each = (now - self._last) / (done - self._done)
        # The first picture includes the preparation of the network.
        if not self._done and each < _LONG:
            return
        self._says_time = False
        whole = now - self._started + each * (self._pictures - done)
        if whole >= _WORTH_TELLING:
            # The console of the bar prints above it.
            self._console.print(
                f"about {describe_duration(whole)} for {self._pictures} pictures and {self._rows} "
                f"rows; Ctrl-C prints what is measured by then"
            )


def describe_duration(seconds: float) -> str:
    """Describes a duration roughly: "40 s", "3 min", "2 h 10 min"."""
    if seconds < _WORTH_TELLING:
        return f"{seconds:.0f} s"
    tens = 10 * round(seconds / 10)
    if tens < _MINUTE:
        return f"{tens} s"
    minutes = round(seconds / _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min"
    hours, minutes = divmod(10 * round(minutes / 10), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
