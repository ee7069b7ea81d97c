"""Reads pictures with all that the network takes beside them."""

from __future__ import annotations

from gradcam_cli.errors import ImageError
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import ARRAY_SUFFIX, InputPicture
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.input_values import ValueReader
from gradcam_cli.pictures.preparing import PreparedPicture
from gradcam_cli.pictures.reading import IfSeveral, SeveralPicturesError
from gradcam_cli.pictures.score_regions import COLUMN as REGION_COLUMN
from gradcam_cli.pictures.score_regions import ScoreRegion
from gradcam_cli.pictures.stacks.array import open_array
from gradcam_cli.pictures.stacks.opening import is_stack_by_name, open_stack
from gradcam_cli.pictures.stacks.stack import FrameChoice, Stack
from gradcam_cli.run.records import LoadedPicture
from gradcam_cli.run.task import Task


class PictureLoader:
    """Loads one picture after the other. Several threads can use it at the same time."""

    def __init__(
        self, classifier: Classifier, task: Task, downloads: Downloads, several: IfSeveral
    ) -> None:
        """Sets what is loaded.

        Args:
            classifier: The network.
            task: How pictures become inputs, and which classes are explained.
            downloads: Downloads pictures from URLs.
            several: What to do with files of several pictures.
        """
        self._task = task
        self._downloads = downloads
        self._several = several
        self._classifier = classifier
        self._stacks = classifier.describe_length()
        self._segments = classifier.segments
        self._labels = classifier.labels
        self._values = ValueReader(classifier, task.inputs, downloads)

    def load(self, picture: InputPicture) -> LoadedPicture:
        """Reads and prepares a picture.

        Args:
            picture: The picture.

        Raises:
            SeveralPicturesError: The file holds several pictures, which is refused.
            GradcamError: It can't be read, or something that belongs to it is wrong.
        """
        targets = self._task.targets
        truth = None if targets.truth is None else targets.truth.of(picture)
        prepared = self._prepare(picture)
        others = self._values.read(picture, prepared)
        explained = targets.explained(picture, self._labels, truth)
        region = self._task.region
        own = dict(picture.values).get(REGION_COLUMN) if self._segments else None
        if own is not None:
            region = ScoreRegion(own)
        weights = None if region is None else region.weights(picture, prepared)
        return LoadedPicture(prepared, explained, truth, weights, others)

    def _prepare(self, picture: InputPicture) -> PreparedPicture:
        inputs = self._task.inputs
        if self._stacks:
            raise SeveralPicturesError(
                f"{picture.path}: the model takes {self._stacks} at once, and only "
                f"'gradcam' itself explains such models"
            )
        is_stack = bool(picture.files) or is_stack_by_name(picture.path)
        if inputs.takes_bands and (is_stack or picture.part is not None):
            raise ImageError(
                f"{picture.name}: its pictures have at most 3 channels, but the model takes "
                f"{inputs.channels}"
            )
        if picture.part is not None:
            return inputs.prepare(picture.part.image)
        if is_stack:
            if self._several is IfSeveral.REFUSE:
                raise SeveralPicturesError(f"{picture.path}: holds several pictures, not one")
            if self._several is IfSeveral.TAKE_FIRST:
                stack = opened(picture, self._task, self._downloads, self._classifier)
                assert stack is not None
                return inputs.prepare(next(stack.frames(FrameChoice(slice(0, 1)))).image)
        return inputs.read(picture.path, self._downloads, several=self._several)


def opened(
    picture: InputPicture, task: Task, downloads: Downloads, classifier: Classifier
) -> Stack | None:
    """Opens a file of several pictures; None if it holds only one.

    Args:
        picture: The file.
        classifier: The network that is explained.
        task: How to turn the values of a volume into pictures.
        downloads: Downloads it from a URL.

    Raises:
        ImageError: It can't be read; see `gradcam_cli.pictures.stacks.opening.open_stack`.
        StorageError: Its store can't be reached, or it exceeds a download limit.
    """
    if task.inputs.takes_bands and not classifier.takes_stacks:
        # The pages of a TIFF file are its bands.
        return None
    if picture.path.suffix.lower() == ARRAY_SUFFIX:
        if not classifier.takes_stacks:
            return None
        return open_array(picture.path, classifier.channels, downloads)
    return open_stack(picture.path, downloads, task.stack.volume, picture.files)
