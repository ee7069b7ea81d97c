"""Writes results to files: tables and a plot that belong together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import OutputError
from gradcam_cli.evaluation.result_plots import draw_evaluation, draw_sanity
from gradcam_cli.evaluation.result_records import picture_rows, sanity_rows, summary_rows
from gradcam_cli.evaluation.results import Evaluation
from gradcam_cli.evaluation.sanity import SanityCheck
from gradcam_cli.files.marks import is_companion, is_own_result, mark
from gradcam_cli.files.tables import write_table
from gradcam_cli.files.writing import written_whole
from gradcam_cli.rendering.encoding import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ResultFiles:
    """A plot and what belongs to it, in one folder. They replace earlier results of this tool.

    Attributes:
        plot: The PNG, which carries the mark of this tool.
        table: The CSV of means and intervals.
        details: The CSV of values for single pictures.
        record: The JSON of everything.
    """

    def __init__(self, folder: Path, name: str, sources: Sequence[str | Path]) -> None:
        """Chooses the file names, before anything is computed.

        Args:
            folder: The output folder.
            name: The start of each file name.
            sources: The pictures or folders that the user named.

        Raises:
            OutputError: A file of one of these names exists and isn't a result of this tool.
        """
        self.plot = folder / f"{name}.png"
        self.table = folder / f"{name}.csv"
        self.details = folder / f"{name}_pictures.csv"
        self.record = folder / f"{name}.json"
        self._source = Path(sources[0])
        self._companions = (self.table, self.details, self.record)
        strangers = [
            path for path in self._companions if path.exists() and not is_companion(path, self.plot)
        ]
        if self.plot.exists() and not is_own_result(self.plot):
            strangers.append(self.plot)
        if strangers:
            raise OutputError(
                f"{strangers[0]}: exists already and isn't a result of gradcam; choose another "
                f"folder with --out"
            )

    def write_plot(self, figure: Figure, title: str) -> None:
        """Writes the plot with the mark that allows replacing it and its companions later."""
        own = mark(self._source, self.plot.parent, title, self._companions)
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

    def write_record(self, record: dict[str, Any]) -> None:
        """Writes the JSON."""
        with written_whole(self.record) as file:
            file.write(json.dumps(record, indent=2).encode() + b"\n")


def write_evaluation(
    files: ResultFiles, evaluation: Evaluation, record: dict[str, Any]
) -> list[Path]:
    """Writes the results as tables, as a plot and as JSON.

    Args:
        files: The files to write.
        evaluation: The results.
        record: From `gradcam_cli.evaluation.result_records.evaluation_record`.

    Returns:
        The written files.
    """
    number = len(evaluation.pictures)
    title = f"{evaluation.model}, {number} picture{'s' * (number != 1)}"
    if number > 1:
        title += ", 95 % confidence intervals"
    files.write_plot(draw_evaluation(evaluation, title), title)
    files.write_table(files.table, summary_rows(evaluation))
    files.write_table(files.details, picture_rows(evaluation))
    files.write_record(record)
    return [files.table, files.details, files.plot, files.record]


def write_sanity(files: ResultFiles, check: SanityCheck, evaluation: Evaluation) -> list[Path]:
    """Writes the similarity of randomized to original maps, as a table and as a plot.

    Args:
        files: The files to write.
        check: The curves.
        evaluation: An evaluation of the same pictures.

    Returns:
        The written files.
    """
    title = (
        f"{evaluation.model}: similarity to the original maps, {len(evaluation.pictures)} pictures"
    )
    files.write_plot(draw_sanity(check, title), title)
    files.write_table(files.table, sanity_rows(check))
    return [files.table, files.plot]
