"""Decides which files of each picture are written, and by what names."""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_cli.errors import UnknownClassError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.name_pattern import name_part
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.labels import Labels
from gradcam_cli.run.task import Task

# What a file shows ("overlay", "heatmap", ...), and of which target, if of one.
PlannedFile = tuple[str, int | None]
# In bytes.
_LONGEST_CLASS = 32


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
        self._namer = namer or OutputNamer(task.write.out, variant=task.names.identity)

    def plan(self, picture: InputPicture, targets: Sequence[int]) -> dict[PlannedFile, AnyPath]:
        """Names the files of one picture.

        To be called in the pictures' order, so that names don't depend on the speed of
        threads.

        Args:
            picture: The picture.
            targets: The indices of its explained classes.

        Raises:
            OutputError: A file of the user's has the only name that a result may have.
        """
        names = self._names(picture, targets)
        if not names:
            return {}
        paths = self._namer.name(picture, list(names.values()))
        return dict(zip(names, paths, strict=True))

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
        names = self._names(picture, targets)
        if self._task.targets.number_with_files(len(targets)) > 1 and min(targets) < 0:
            names = {file: name for file, name in names.items() if file[1] is None}
        return bool(names) and self._namer.has_all(picture, list(names.values()))

    def _names(self, picture: InputPicture, targets: Sequence[int]) -> dict[PlannedFile, str]:
        """Gives the patterns of a picture's file names; the first is an overlay's."""
        targets = targets[: self._task.targets.number_with_files(len(targets))]
        draw, names = self._task.draw, self._task.names
        ending = self._task.write.ending or self._task.write.format
        has_own_class = names.names_classes or picture.target is not None
        words = [f"{index}-{_class_word(self._labels.name(index))}" for index in targets]
        of_all = ""
        if has_own_class or names.pattern is not None:
            of_all = name_part("+".join(words))
        files: dict[PlannedFile, str] = {}
        if self._task.sheet:
            files["sheet", None] = f"{names.sheet(of_all)}.{ending}"
            return files
        for number, word in enumerate(words):
            of_one = word if len(words) > 1 else of_all
            files["overlay", number] = f"{names.overlay(of_one)}.{ending}"
            if draw.heatmap:
                files["heatmap", number] = f"{names.heatmap(of_one)}.{draw.heatmap}"
        if files and self._task.composite:
            files["composite", None] = f"{names.composite(of_all)}.{ending}"
        if files and draw.figure:
            files["figure", None] = f"{names.figure(of_all)}.{draw.figure}"
        return files


def _class_word(name: str) -> str:
    """Leaves letters and digits of a class name, for any file system."""
    return name_part(name.casefold().replace("+", "-"), _LONGEST_CLASS)
