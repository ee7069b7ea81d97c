"""The choice of classes that are explained in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.errors import UnknownClassError, UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.labels import Labels, Prediction
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
        joined: The classes that are explained together under the first of `classes`; empty for
            each on its own.
        against: The class whose score is subtracted from that of each explained class; None for
            none. A class isn't explained against itself, but what lowers an output of a
            regression is: then `classes` has nothing else.
        are_objects: Whether the targets of a picture are the objects that a detector finds in it.
        skips_against: Whether a picture whose most probable class is `against` is explained for the
            next ones. Otherwise it is an error.
    """

    classes: Sequence[int] = (TOP_CLASS,)
    with_files: int | None = None
    truth: Truth | None = None
    only_wrong: bool = False
    adds_truth: bool = False
    joined: tuple[int, ...] = ()
    against: int | None = None
    skips_against: bool = False
    are_objects: bool = False

    def of(self, picture: InputPicture, labels: Labels) -> list[int]:
        """Returns the requested classes of a picture: its own, if it has one, or `classes`.

        Args:
            picture: The picture.
            labels: The classes of the model.

        Raises:
            UnknownClassError: The model doesn't have the class requested for the picture.
            UsageError: It is the class to explain it against.
        """
        if picture.target is None:
            return list(self.classes)
        try:
            index = labels.find(picture.target)
        except UnknownClassError as error:
            raise UnknownClassError(f"{picture.name}: {error.message}", error.details) from error
        if index == self.against and index not in self.classes:
            raise UsageError(
                f"{picture.name}: its class and --against are both {labels.name(index)}; a class "
                f"can't be explained against itself"
            )
        return [index]

    def explained(self, picture: InputPicture, labels: Labels, truth: int | None) -> list[int]:
        """Returns all classes that are explained in a picture, including the true class if needed.

        Args:
            picture: The picture.
            labels: The classes of the model.
            truth: The index of its true class; None if it isn't known.

        Raises:
            UnknownClassError: The model doesn't have the class requested for the picture.
            UsageError: It is the class to explain it against.
        """
        if truth is None:
            return self.of(picture, labels)
        # It can't be explained against itself, and is explained already if it is joined.
        truths = [] if truth in (self.against, *self.joined) else [truth]
        if self.only_wrong:
            return [TOP_CLASS, *truths]
        own = self.of(picture, labels)
        if picture.target is not None and truth in own:
            # The true class was requested for this picture.
            return own
        return [*own, *(truths if self.adds_truth else [])]

    def check_predicted(self, targets: Sequence[int], predicted: Prediction) -> None:
        """Checks that the most probable class isn't explained against itself.

        Args:
            targets: The classes to explain in a picture.
            predicted: The most probable class.

        Raises:
            UsageError: It would be.
        """
        if TOP_CLASS in targets and predicted.index == self.against and not self.skips_against:
            raise UsageError(
                f"{predicted.name} is the most probable class itself; choose the class to explain "
                f"against it with --class, or the most probable others with --each"
            )

    def prediction(self, labels: Labels, index: int, probabilities: np.ndarray) -> Prediction:
        """Combines an explained class, or all that are explained together, with its probability.

        Args:
            labels: The classes of the model.
            index: The index of the class.
            probabilities: (classes,) in [0, 1].
        """
        if index in self.joined:
            return labels.together(self.joined, probabilities)
        return labels.prediction(index, probabilities)

    def number_with_files(self, explained: int) -> int:
        """Returns how many of a picture's classes, from the first, get files.

        Args:
            explained: The number of its explained classes.
        """
        if self.with_files is not None:
            return self.with_files
        return explained if self.only_wrong or self.are_objects else len(self.classes)
