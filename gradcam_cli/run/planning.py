"""Decides which files of each picture are written, and by what names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gradcam_cli.errors import UnknownClassError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.marks import (
    COMPOSITE_SUFFIX,
    FIGURE_SUFFIX,
    HEATMAP_SUFFIX,
    OVERLAY_SUFFIX,
    SHEET_SUFFIX,
)
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.labels import Labels
from gradcam_cli.run.task import Task

# What a file shows ("overlay", "heatmap", ...), and of which target, if of one.
PlannedFile = tuple[str, int | None]


class FilePlanner:
    """Names the files of one picture after the other."""

    def __init__(self, task: Task, labels: Labels, namer: OutputNamer | None = None) -> None:
        """Takes what is done with every picture.

        Args:
            task: What is to be written.
            labels: The classes of the model.
            namer: What names the files; None for one that begins here.
        """
        self._task = task
        self._labels = labels
        self._namer = namer or OutputNamer(task.write.out)

    def plan(self, picture: InputPicture, targets: Sequence[int]) -> dict[PlannedFile, AnyPath]:
        """Names the files of one picture.

        To be called in the pictures' order, so that names don't depend on the speed of
        threads.

        Args:
            picture: The picture.
            targets: The indices of its explained classes.
        """
        suffixes = self._suffixes(picture, targets)
        if not suffixes:
            return {}
        paths = self._namer.name(picture, list(suffixes.values()))
        return dict(zip(suffixes, paths, strict=True))

    def is_done(self, picture: InputPicture) -> bool:
        """Says whether all files of a picture are there, from an earlier run.

        Where their names depend on what the network predicts, those that don't speak for
        them: they are written last.

        Args:
            picture: The picture.
        """
        try:
            targets = self._task.targets.of(picture, self._labels)
        except UnknownClassError:
            # It is told where the picture would be explained.
            return False
        suffixes = self._suffixes(picture, targets)
        if self._task.targets.number_with_files(len(targets)) > 1 and min(targets) < 0:
            suffixes = {file: suffix for file, suffix in suffixes.items() if file[1] is None}
        return bool(suffixes) and self._namer.has_all(picture, list(suffixes.values()))

    def _suffixes(self, picture: InputPicture, targets: Sequence[int]) -> dict[PlannedFile, str]:
        """Gives the endings of a picture's files; the first is an overlay's."""
        targets = targets[: self._task.targets.number_with_files(len(targets))]
        draw, format_ = self._task.draw, self._task.write.format
        suffixes: dict[PlannedFile, str] = {}
        if self._task.sheet:
            suffixes["sheet", None] = f"{SHEET_SUFFIX}.{format_}"
            return suffixes
        for number, index in enumerate(targets):
            name = ""
            if len(targets) > 1 or picture.target is not None:
                name = f"_{index}-{_file_name(self._labels.name(index))}"
            suffixes["overlay", number] = f"{OVERLAY_SUFFIX}{name}.{format_}"
            if draw.heatmap:
                suffixes["heatmap", number] = f"{HEATMAP_SUFFIX}{name}.{draw.heatmap}"
        if suffixes and self._task.composite:
            suffixes["composite", None] = f"{COMPOSITE_SUFFIX}.{format_}"
        if suffixes and draw.figure:
            suffixes["figure", None] = f"{FIGURE_SUFFIX}.{draw.figure}"
        return suffixes


def _file_name(name: str) -> str:
    """Leaves letters and digits of a class name, for any file system."""
    return re.sub(r"\W+", "-", name.casefold()).strip("-")[:40]
