"""The choice of classes that are explained in a picture."""

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
    """The classes that are explained in every picture, and which of them get files.

    Attributes:
        classes: Indices, or -1 for the most probable class, -2 for the second and so on.
        with_files: The number of classes, from the first, that get files; None for all.
        truth: The true classes of the pictures; None if they aren't known.
        only_wrong: Whether to explain the predicted and the true class instead of `classes`.
        adds_truth: Whether to also explain the true class, after the others and without files.
    """

    classes: Sequence[int] = (TOP_CLASS,)
    with_files: int | None = None
    truth: Truth | None = None
    only_wrong: bool = False
    adds_truth: bool = False

    def of(self, picture: InputPicture, labels: Labels) -> list[int]:
        """Returns the requested classes of a picture: its own, if it has one, or `classes`.

        Args:
            picture: The picture.
            labels: The classes of the model.

        Raises:
            UnknownClassError: The model doesn't have the class requested for the picture.
        """
        if picture.target is None:
            return list(self.classes)
        try:
            return [labels.find(picture.target)]
        except UnknownClassError as error:
            raise UnknownClassError(f"{picture.path}: {error.message}", error.details) from error

    def explained(self, picture: InputPicture, labels: Labels, truth: int | None) -> list[int]:
        """Returns all classes that are explained in a picture, including the true class if needed.

        Args:
            picture: The picture.
            labels: The classes of the model.
            truth: The index of its true class; None if it isn't known.

        Raises:
            UnknownClassError: The model doesn't have the class requested for the picture.
        """
        if self.only_wrong and truth is not None:
            return [TOP_CLASS, truth]
        targets = self.of(picture, labels)
        return [*targets, truth] if self.adds_truth and truth is not None else targets

    def number_with_files(self, explained: int) -> int:
        """Returns how many of a picture's classes, from the first, get files.

        Args:
            explained: The number of its explained classes.
        """
        if self.with_files is not None:
            return self.with_files
        return explained if self.only_wrong else len(self.classes)
