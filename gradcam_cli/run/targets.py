"""Which classes of a picture are explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.errors import UnknownClassError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.labels import Labels
from gradcam_cli.run.truth import Truth


@dataclass(frozen=True)
class Targets:
    """The classes that are explained in every picture, and those with files of their own.

    Attributes:
        classes: Indices, or -1 for the most probable, -2 for the second, and so on.
        with_files: How many of them, from the first, get files; None for all.
        truth: What the pictures really show; None if nobody knows.
        only_wrong: Explain the class that was predicted and the true one, instead of
            `classes`.
        adds_truth: Explain the true class besides, after the others and without files.
    """

    classes: Sequence[int] = (TOP_CLASS,)
    with_files: int | None = None
    truth: Truth | None = None
    only_wrong: bool = False
    adds_truth: bool = False

    def of(self, picture: InputPicture, labels: Labels) -> list[int]:
        """Gives the classes that a user wants explained in a picture: its own, if it has one.

        Args:
            picture: The picture.
            labels: The classes of the model.

        Raises:
            UnknownClassError: There is no such class as is asked for of it.
        """
        if picture.target is None:
            return list(self.classes)
        try:
            return [labels.find(picture.target)]
        except UnknownClassError as error:
            raise UnknownClassError(f"{picture.path}: {error.message}", error.details) from error

    def explained(self, picture: InputPicture, labels: Labels, truth: int | None) -> list[int]:
        """Gives all classes that are explained in a picture, with those for the truth's sake.

        Args:
            picture: The picture.
            labels: The classes of the model.
            truth: The class that it really shows, where that is known.

        Raises:
            UnknownClassError: There is no such class as is asked for of it.
        """
        if self.only_wrong and truth is not None:
            return [TOP_CLASS, truth]
        targets = self.of(picture, labels)
        return [*targets, truth] if self.adds_truth and truth is not None else targets

    def number_with_files(self, explained: int) -> int:
        """Says how many of a picture's classes, from the first, get files.

        Args:
            explained: How many classes of it are explained.
        """
        if self.with_files is not None:
            return self.with_files
        return explained if self.only_wrong else len(self.classes)
