"""Reads animations (GIF, WebP, PNG) and the pages of TIFF files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from PIL import Image, ImageOps, PngImagePlugin

from gradcam_cli.errors import GradcamError, ImageError, reason
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.reading import (
    brightest_of,
    check_page,
    content_of,
    holds_several,
    messages_hidden,
    most_pixels,
    open_picture,
    pages_of,
    reading_errors,
    to_picture,
    too_many_pixels,
    value_limits,
    warn_of_darkness,
)
from gradcam_cli.pictures.stacks.stack import (
    FRAME,
    PAGE,
    Frame,
    FrameChoice,
    none_chosen,
    unreadable_after,
)

_ENDINGS = {"GIF": "gif", "WEBP": "webp", "PNG": "png", "TIFF": "tif"}
_MOST_PICTURES = 100_000
# In milliseconds. Browsers show frames of at most the first for the second.
_NO_DURATION, _USUAL_DURATION = 10, 100


def open_animation(path: AnyPath, downloads: Downloads | None = None) -> AnimationStack | None:
    """Opens an animation or pages; see `gradcam_cli.pictures.stacks.opening.open_stack`."""
    with reading_errors(path):
        content = content_of(path, downloads)
        with open_picture(path, content) as image, messages_hidden(image):
            if not holds_several(image):
                return None
            first = 0
            if image.format == "TIFF":
                numbers = list(islice(pages_of(image), _MOST_PICTURES + 1))
            else:
                # A picture for viewers that can't show the animation comes before it.
                if isinstance(image, PngImagePlugin.PngImageFile) and image.default_image:
                    first = 1
                number = _count(image)
                numbers = list(range(first, min(number, first + _MOST_PICTURES + 1)))
            if len(numbers) > _MOST_PICTURES:
                raise ImageError(
                    f"{path}: refused, it has more than {_MOST_PICTURES:,} pictures; split it first"
                )
            return AnimationStack(path, content, numbers, str(image.format), image.info.get("loop"))


class AnimationStack:
    """The frames of an animation, or the pages of a TIFF file.

    Attributes:
        loop: How often the animation repeats, as the format counts it; 0 for without end, None
            for not at all.
    """

    def __init__(
        self,
        path: AnyPath,
        content: Path | io.BytesIO,
        numbers: list[int],
        format_: str,
        loop: int | None,
    ) -> None:
        """Sets what to read.

        Args:
            path: The file as the user would write it.
            content: The local file, or the content of one in a store.
            numbers: The numbers by which Pillow calls the pictures.
            format_: Pillow's name of the format.
            loop: As the attribute.
        """
        self.path = path
        self.loop = loop
        self.ending = _ENDINGS[format_]
        self._is_timed = format_ != "TIFF"
        self.noun = FRAME if self._is_timed else PAGE
        self._content = content
        self._numbers = numbers
        self._limits: tuple[float, float] | None = None

    @property
    def count(self) -> int:
        """The number of frames or pages."""
        return len(self._numbers)

    def frames(self, choice: FrameChoice) -> Iterator[Frame]:
        """Reads the chosen frames or pages; see `gradcam_cli.pictures.stacks.stack.Stack`."""
        chosen = choice.among(self.count)
        if not chosen:
            raise none_chosen(self.path, self.noun, self.count)
        with reading_errors(self.path):
            image = open_picture(self.path, self._content)
        with image:
            yield from self._timed(image, chosen) if self._is_timed else self._pages(image, chosen)

    def _pages(self, image: Image.Image, chosen: range) -> Iterator[Frame]:
        if self._limits is None:
            self._limits = self._find_limits(image)
        brightest = 0
        for number in chosen:
            picture = self._picture(image, number)
            brightest = max(brightest, brightest_of(image))
            yield Frame(number, picture)
        warn_of_darkness(self.path, brightest)

    def _find_limits(self, image: Image.Image) -> tuple[float, float] | None:
        """Finds the limits of the values of all pages; pages on one scale can be compared."""
        limits = None
        for number in range(self.count):
            try:
                self._load(image, number)
            except GradcamError:
                break
            own = value_limits(image)
            if own is None and number == 0:
                break
            if own is not None:
                low, high = limits or own
                limits = min(low, own[0]), max(high, own[1])
        return limits

    def _timed(self, image: Image.Image, chosen: range) -> Iterator[Frame]:
        """Yields frames with their times; one is shown until the next chosen one would follow."""
        held: Frame | None = None
        clock = 0.0
        # The last chosen frame may be followed by others until the next one would be chosen.
        for number in range(min(self.count, chosen[-1] + chosen.step)):
            is_chosen = number in chosen
            try:
                picture = self._picture(image, number) if is_chosen else None
                if picture is None:
                    self._load(image, number)
            except GradcamError:
                if held is not None:
                    yield _until(held, clock)
                raise
            if picture is not None:
                if held is not None:
                    yield _until(held, clock)
                held = Frame(number, picture, clock / 1000)
            clock += _duration(image)
        if held is not None:
            yield _until(held, clock)

    def _picture(self, image: Image.Image, number: int) -> Image.Image:
        self._load(image, number)
        with reading_errors(self.path):
            # A copy, because Pillow draws the next frame over this one.
            return to_picture(ImageOps.exif_transpose(image), self._limits)

    def _load(self, image: Image.Image, number: int) -> None:
        with reading_errors(self.path), messages_hidden(image):
            try:
                image.seek(self._numbers[number])
                if image.width * image.height > most_pixels():
                    raise too_many_pixels(self.path)
                image.load()
                check_page(self.path, image)
            except (GradcamError, Image.DecompressionBombError):
                raise
            # Pillow's decoders raise many kinds of errors for broken files.
            except Exception as error:
                raise unreadable_after(self.path, self.noun, number, reason(error)) from error


def _count(image: Image.Image) -> int:
    """Returns the number of frames; of a damaged file, up to the first that can't be read."""
    try:
        return int(getattr(image, "n_frames", 1))
    # Pillow counts those of a GIF by looking for them. It is then at the last that it found.
    except Exception:
        return image.tell() + 2


def _duration(image: Image.Image) -> float:
    """Returns for how many milliseconds a frame is shown."""
    duration = float(image.info.get("duration") or 0)
    return duration if duration > _NO_DURATION else _USUAL_DURATION


def _until(frame: Frame, end: float) -> Frame:
    """Returns a frame that is shown until a time in milliseconds."""
    seconds = frame.seconds or 0.0
    return replace(frame, duration=end / 1000 - seconds)
