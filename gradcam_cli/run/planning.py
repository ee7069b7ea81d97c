"""Decides which files to write for each picture, and how to name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from gradcam_cli.errors import GradcamError, UnknownClassError
from gradcam_cli.files.arrays import ARRAY_SUFFIXES
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.input_texts import words_of
from gradcam_cli.files.name_pattern import name_part
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.input_values import OtherValues
from gradcam_cli.models.labels import Labels
from gradcam_cli.rendering.encoding import MASK_FORMAT
from gradcam_cli.run.result_names import class_word
from gradcam_cli.run.task import Task

# What a file shows ("overlay", "heatmap", ...), the number of its target, or None if it shows all
# targets, and the input that it explains, or "" if it shows all or there is only one.
PlannedFile = tuple[str, int | None, str]


class FilePlanner:
    """Names the files of pictures, one picture after the other."""

    def __init__(self, task: Task, labels: Labels, namer: OutputNamer | None = None) -> None:
        """Sets what the names depend on.

        Args:
            task: What to write.
            labels: The classes of the model.
            namer: Chooses free names; None for a new one.
        """
        self._task = task
        self._labels = labels
        self._namer = namer or OutputNamer(task.write.out, variant=task.names.identity)

    @property
    def identity(self) -> str:
        """The options of the run, as the marks of its files have them."""
        return self._task.names.identity

    def for_stacks(self) -> FilePlanner:
        """Returns a planner for files of several pictures, which gives other names than this one.

        The options that say what is explained in such a file are part of its names.
        """
        names = self._task.names.of_stacks(self._task.stack)
        namer = self._namer.with_variant(names.identity[len(self._task.names.identity) :])
        return FilePlanner(replace(self._task, names=names), self._labels, namer)

    def plan_stack(
        self, picture: InputPicture, targets: Sequence[int], endings: Mapping[str, str]
    ) -> dict[PlannedFile, AnyPath]:
        """Names the files of a file of several pictures.

        Args:
            picture: The file.
            targets: The indices of its explained classes.
            endings: What each of its results shows, "overlay" first, and its extension.

        Raises:
            OutputError: The name that the user chose is taken by a file of the user's.
        """
        names = self._names(picture, targets, self._task.views[:1], endings)
        paths = self._namer.name(picture, list(names.values())) if names else []
        return dict(zip(names, paths, strict=True))

    def is_stack_done(self, picture: InputPicture, endings: Mapping[str, str]) -> bool:
        """Returns whether an earlier run has written all results of a file of several pictures.

        Args:
            picture: The file.
            endings: As for `plan_stack`.
        """
        try:
            targets = self._task.targets.of(picture, self._labels)
        except GradcamError:
            return False
        if self._task.targets.number_with_files(len(targets)) > 1 and min(targets) < 0:
            return False
        names = self._names(picture, targets, self._task.views[:1], endings)
        return bool(names) and self._namer.has_all(picture, list(names.values()))

    def plan(
        self,
        picture: InputPicture,
        targets: Sequence[int],
        others: OtherValues | None = None,
    ) -> dict[PlannedFile, AnyPath]:
        """Names the files of one picture.

        Must be called in the order of the pictures, so that names don't depend on the timing of
        threads.

        Args:
            picture: The picture.
            targets: The indices of its explained classes.
            others: What the network takes beside the picture. Explained inputs without a picture
                get no files.

        Raises:
            OutputError: The name that the user chose is taken by a file of the user's.
        """
        views = self._task.views
        if others is not None:
            views = [view for view in views if not view or view in others.pictures]
        names = self._names(picture, targets, views)
        if not names:
            return {}
        paths = self._namer.name(picture, list(names.values()))
        return dict(zip(names, paths, strict=True))

    def is_done(self, picture: InputPicture) -> bool:
        """Returns whether an earlier run has written all files of a picture.

        Names that depend on the prediction aren't known yet. The other files are written last, so
        if these exist, all do.

        Args:
            picture: The picture.
        """
        try:
            targets = self._task.targets.of(picture, self._labels)
        except UnknownClassError:
            # It is reported when the picture is explained.
            return False
        views = [view for view in self._task.views if _has_picture(picture, view)]
        names = self._names(picture, targets, views)
        are_unknown = self._task.targets.number_with_files(len(targets)) > 1 and min(targets) < 0
        if are_unknown or self._task.targets.are_objects:
            names = {file: name for file, name in names.items() if file[1] is None}
        return bool(names) and self._namer.has_all(picture, list(names.values()))

    def _words(self, targets: Sequence[int]) -> list[str]:
        return [class_word(index, self._labels.name(index)) for index in targets]

    def _names(
        self,
        picture: InputPicture,
        targets: Sequence[int],
        views: Sequence[str],
        of_stack: Mapping[str, str] | None = None,
    ) -> dict[PlannedFile, str]:
        """Returns the patterns for a picture's files; the first is for an overlay or a sheet.

        The kinds and extensions of the files of a stack are given.
        """
        targets = targets[: self._task.targets.number_with_files(len(targets))]
        draw = self._task.draw
        names = self._task.names.with_values(words_of(picture))
        ending = self._task.write.ending or self._task.write.format
        has_own_class = names.names_classes or picture.target is not None
        joined = self._task.targets.joined
        words = self._words(joined or targets)
        if joined:
            words = ["+".join(words)] if targets else []
        of_all = ""
        if self._task.targets.are_objects:
            # The classes of the objects aren't known in advance, those to look for are.
            chosen = self._task.targets.of(picture, self._labels)
            of_all = name_part("+".join(self._words([one for one in chosen if one >= 0])))
            words = [name_part(word) for word in _numbered(words)]
        elif has_own_class or names.pattern is not None:
            of_all = name_part("+".join(words))
        files: dict[PlannedFile, str] = {}
        words_of_views = [name_part(view).casefold() for view in self._task.views]
        for view in views:
            place = self._task.views.index(view)
            # Two names may differ only in signs that file names don't have.
            is_unique = words_of_views.count(words_of_views[place]) == 1
            named = view if is_unique else f"{view}-{place + 1}"
            shown = names.showing(named, is_first=view == views[0])
            if self._task.sheet and of_stack is None:
                files["sheet", None, view] = f"{shown.sheet(of_all)}.{ending}"
                continue
            for number, word in enumerate(words):
                is_own = len(words) > 1 or self._task.targets.are_objects
                of_one = word if is_own else of_all
                if of_stack is not None:
                    of_kinds = {"overlay": shown.overlay, "heatmap": shown.heatmap}
                    for kind, own_ending in of_stack.items():
                        if kind == "overlay":
                            own_ending = self._task.write.ending or own_ending
                        name = f"{of_kinds[kind](of_one)}.{own_ending}"
                        files[kind, number, view] = name
                    continue
                files["overlay", number, view] = f"{shown.overlay(of_one)}.{ending}"
                if draw.heatmap:
                    files["heatmap", number, view] = f"{shown.heatmap(of_one)}.{draw.heatmap}"
                if draw.mask:
                    files["mask", number, view] = f"{shown.mask(of_one)}.{MASK_FORMAT}"
            if words and self._task.composite and of_stack is None:
                files["composite", None, view] = f"{shown.composite(of_all)}.{ending}"
        if files and draw.figure and not self._task.sheet and of_stack is None:
            files["figure", None, ""] = f"{names.figure(of_all)}.{draw.figure}"
        return files


def _numbered(words: Sequence[str]) -> list[str]:
    """Adds a number to each word that is there already."""
    return [
        word if word not in words[:place] else f"{word}-{words[: place + 1].count(word)}"
        for place, word in enumerate(words)
    ]


def _has_picture(picture: InputPicture, view: str) -> bool:
    """Returns whether a picture file is given for an explained input; the first has its own."""
    text = dict(picture.values).get(view)
    return text is None or PurePath(text).suffix.lower() not in ARRAY_SUFFIXES
