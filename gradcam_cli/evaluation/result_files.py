"""Writes figures to files: tables and plots that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import OutputError
from gradcam_cli.evaluation.result_plots import draw_evaluation, draw_sanity
from gradcam_cli.evaluation.result_records import picture_rows, sanity_rows, summary_rows
from gradcam_cli.evaluation.results import Evaluation
from gradcam_cli.evaluation.sanity import SanityCheck
from gradcam_cli.files.marks import OVERLAY_SUFFIX, is_companion, is_own_result, mark
from gradcam_cli.files.tables import write_table
from gradcam_cli.files.writing import written_whole
from gradcam_cli.rendering.encoding import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ResultFiles:
    """A plot and its tables in one folder; earlier ones of this tool are replaced.

    Attributes:
        plot: The PNG, which carries the mark.
        table: The CSV of means and intervals.
        details: The CSV of single pictures.
    """

    def __init__(self, folder: Path, name: str, sources: Sequence[str | Path]) -> None:
        """Names the files, before anything is computed.

        Args:
            folder: Where they go.
            name: What they begin with.
            sources: What the user named to be measured.

        Raises:
            OutputError: A file of the user's has one of the names.
        """
        self.plot = folder / f"{name}{OVERLAY_SUFFIX}.png"
        self.table = folder / f"{name}{OVERLAY_SUFFIX}.csv"
        self.details = folder / f"{name}{OVERLAY_SUFFIX}_pictures.csv"
        self._source = Path(sources[0])
        tables = (self.table, self.details)
        strangers = [path for path in tables if path.exists() and not is_companion(path, self.plot)]
        if self.plot.exists() and not is_own_result(self.plot):
            strangers.append(self.plot)
        if strangers:
            raise OutputError(
                f"{strangers[0]}: is there already and isn't a result of gradcam; choose another "
                f"folder with --out"
            )

    def write_plot(self, figure: Figure, title: str) -> None:
        """Writes the plot, with the mark that lets it and the tables be replaced."""
        tables = (self.table, self.details)
        own = mark(self._source, self.plot.parent, title, tables)
        with written_whole(self.plot) as file:
            save_figure(figure, file, "png", own)

    def write_table(self, path: Path, rows: Sequence[Sequence[Any]]) -> None:
        """Writes one of the tables.

        Args:
            path: `table` or `details`.
            rows: The heading and the rows.
        """
        with written_whole(path) as file:
            file.write(write_table(rows))


def write_evaluation(files: ResultFiles, evaluation: Evaluation) -> list[Path]:
    """Writes the figures as tables and as a plot.

    Returns:
        The written files.
    """
    title = f"{evaluation.model}, {len(evaluation.pictures)} pictures, 95 % confidence intervals"
    files.write_plot(draw_evaluation(evaluation, title), title)
    files.write_table(files.table, summary_rows(evaluation))
    files.write_table(files.details, picture_rows(evaluation))
    return [files.table, files.details, files.plot]


def write_sanity(files: ResultFiles, check: SanityCheck, evaluation: Evaluation) -> list[Path]:
    """Writes how like the original maps stay, as a table and as a plot.

    Args:
        files: Where.
        check: The curves.
        evaluation: Of the same pictures.

    Returns:
        The written files.
    """
    title = (
        f"{evaluation.model}: how like the original maps stay, {len(evaluation.pictures)} pictures"
    )
    files.write_plot(draw_sanity(check, title), title)
    files.write_table(files.table, sanity_rows(check))
    return [files.table, files.plot]
