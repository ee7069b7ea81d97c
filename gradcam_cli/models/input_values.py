"""The values of a model's other inputs: from texts and files to what the network takes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from gradcam_cli.errors import GradcamError, InputValueError, UsageError, reason
from gradcam_cli.files.arrays import ARRAY_SUFFIXES, read_array
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.finding import InputPicture, PictureKey
from gradcam_cli.files.input_texts import filled, is_pattern, numbers_in
from gradcam_cli.files.storage import to_path
from gradcam_cli.pictures.preparing import InputShape, PreparedPicture
from gradcam_cli.pictures.score_regions import COLUMN as REGION_COLUMN

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.models.inputs import OtherInput

# Larger whole numbers aren't exact in float32, in which all values travel.
_LARGEST_EXACT = 2**24
# A sequence of any length.
_MOST_ELEMENTS = 10_000_000
_KEPT = 8


@dataclass(frozen=True)
class OtherValues:
    """What a network takes beside one explained picture.

    Attributes:
        arrays: The value of each input by name, float32 in the shape of the input. Pictures are in
            [0, 255]. The input of the picture itself is among them.
        pictures: The pictures among them, as they were read.
    """

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    pictures: Mapping[str, PreparedPicture] = field(default_factory=dict)


class ValueReader:
    """Reads what a network takes beside its pictures. Several threads can use it."""

    def __init__(
        self,
        classifier: Classifier,
        inputs: InputShape,
        downloads: Downloads | None = None,
    ) -> None:
        """Sets what the values are for.

        Args:
            classifier: The classifier, which explains the first picture.
            inputs: How pictures become inputs of the network.
            downloads: Downloads files from URLs; None for the default limits.
        """
        self._classifier = classifier
        self._inputs = inputs
        self._downloads = downloads
        # Values that all pictures share are read once.
        self._array = lru_cache(_KEPT)(self._read_array)
        self._picture = lru_cache(_KEPT)(self._read_picture)

    def read(self, picture: InputPicture, prepared: PreparedPicture) -> OtherValues:
        """Reads the values that belong to a picture.

        Args:
            picture: The picture, with a text for each value.
            prepared: The picture as an input.

        Raises:
            InputValueError: A value is missing or can't be used.
        """
        if not self._classifier.others:
            return OtherValues()
        arrays = {self._classifier.explained: prepared.inputs.astype(np.float32)}
        pictures = {self._classifier.explained: prepared}
        texts = dict(picture.values)
        for other in self._classifier.others:
            if other.name not in texts:
                raise InputValueError(
                    f"{picture.name}: has no value for the input {other.name} ({other.describe()})"
                )
            try:
                found = self._read(other, texts[other.name], self._inputs_of(other, prepared))
            except GradcamError as error:
                raise InputValueError(f"{picture.name}: {error}") from error
            if isinstance(found, PreparedPicture):
                pictures[other.name] = found
                arrays[other.name] = found.inputs.astype(np.float32)
            else:
                arrays[other.name] = found
        return OtherValues(arrays, pictures)

    def convert(self, values: Mapping[str, Any], prepared: PreparedPicture) -> OtherValues:
        """Converts values in memory that belong to a picture.

        Args:
            values: The value of each other input by name: a number, a list or an array, or for
                an input of pictures a Pillow picture or an array (height, width, channels) uint8
                of any size; or a text as for ``--input``.
            prepared: The picture as an input.

        Raises:
            UsageError: A value is missing or can't be used, or the model has no such input.
        """
        if not self._classifier.others:
            if values:
                raise UsageError(f"{self._classifier.name} has a single input; leave out inputs=")
            return OtherValues()
        names = [other.name for other in self._classifier.others]
        for name in values:
            if name not in names:
                raise UsageError(
                    f"inputs: {name!r} is not an input beside the picture; these are "
                    f"{', '.join(names)}"
                )
        arrays = {self._classifier.explained: prepared.inputs.astype(np.float32)}
        for other in self._classifier.others:
            if other.name not in values:
                raise UsageError(
                    f"{self._classifier.name} also takes {other.name} ({other.describe()}); give "
                    f"it in inputs="
                )
            try:
                found = self._convert(other, values[other.name], prepared)
            except ValueError as error:
                raise UsageError(
                    f"inputs: {other.name}: {reason(error)}, but the input takes {other.describe()}"
                ) from error
            if isinstance(found, PreparedPicture):
                found = found.inputs.astype(np.float32)
            arrays[other.name] = found
        return OtherValues(arrays)

    def _convert(
        self, other: OtherInput, value: Any, prepared: PreparedPicture
    ) -> np.ndarray | PreparedPicture:
        inputs = self._inputs_of(other, prepared)
        if isinstance(value, str | os.PathLike):
            return self._read(other, str(value), inputs)
        if inputs is None:
            return fitted(np.asarray(value), other.shape, other.network_input.dtype)
        if isinstance(value, Image.Image):
            return inputs.prepare(value.convert("RGB"))
        array = np.squeeze(np.asarray(value))
        if array.dtype != np.uint8:
            raise ValueError(f"it is {array.dtype}, not uint8 in [0, 255]")
        return inputs.prepare(Image.fromarray(array).convert("RGB"))

    def shapes(self, pictures: Iterable[InputPicture]) -> dict[str, tuple[int, ...]]:
        """Finds the shapes of the inputs that take any number of values.

        Args:
            pictures: All pictures. The first with a usable value decides, and the others have to
                agree, because they go through the network together.

        Returns:
            The shapes by name; empty if none is found.
        """
        found: dict[str, tuple[int, ...]] = {}
        for other in self._classifier.others:
            if other.takes_picture or None not in other.shape:
                continue
            for picture in pictures:
                text = dict(picture.values).get(other.name)
                try:
                    value = None if text is None else self._read(other, text, None)
                # It is reported when the picture is explained.
                except GradcamError:
                    continue
                if isinstance(value, np.ndarray):
                    found[other.name] = value.shape
                    break
        return found

    def shared(self, values: Sequence[tuple[str, str]]) -> dict[str, np.ndarray]:
        """Reads values that all pictures share, without those that are patterns of file names.

        Args:
            values: Each input's name and the text of its value.

        Returns:
            The values by name, as in `OtherValues`.

        Raises:
            UsageError: A value can't be used.
        """
        others = {other.name: other for other in self._classifier.others}
        found = {}
        for name, text in values:
            if name not in others or is_pattern(text):
                continue
            try:
                value = self._read(others[name], text, self._inputs_of(others[name], None))
            except GradcamError as error:
                raise UsageError(f"--input {error}") from error
            if isinstance(value, PreparedPicture):
                value = value.inputs.astype(np.float32)
            found[name] = value
        return found

    def _inputs_of(self, other: OtherInput, prepared: PreparedPicture | None) -> InputShape | None:
        """Returns how a picture becomes another input; None for numbers."""
        if not other.takes_picture:
            return None
        view = self._classifier.view(other.name)
        # The parts of "keep" would have other shapes than the explained picture.
        fit = "squash" if self._inputs.fit == "keep" else self._inputs.fit
        if view.any_size:
            size = self._inputs.size
            if prepared is not None:
                height, width = prepared.inputs.shape[:2]
                size = (width, height)
            return InputShape(fit, size, channels=view.channels)
        return InputShape(fit, view.input_size[::-1], channels=view.channels)

    def _read(
        self, other: OtherInput, text: str, inputs: InputShape | None
    ) -> np.ndarray | PreparedPicture:
        """Reads a value; its errors begin with "NAME=VALUE: "."""
        try:
            is_array = PurePath(text).suffix.lower() in ARRAY_SUFFIXES
            if inputs is not None and not is_array:
                return self._picture(text, inputs)
            shape = other.shape if inputs is None else (*inputs.size[::-1], inputs.channels)
            return self._array(text, shape, other.network_input.dtype, is_array)
        except GradcamError as error:
            raise InputValueError(f"{other.name}={text}: {error}") from error
        except FileNotFoundError as error:
            raise InputValueError(f"{other.name}={text}: there is no such file") from error
        except OSError as error:
            raise InputValueError(
                f"{other.name}={text}: cannot be read ({reason(error)})"
            ) from error
        except ValueError as error:
            raise InputValueError(
                f"{other.name}={text}: {reason(error)}, but the input takes {other.describe()}"
            ) from error

    def _read_picture(self, text: str, inputs: InputShape) -> PreparedPicture:
        return inputs.read(to_path(text), self._downloads)

    def _read_array(
        self, text: str, shape: tuple[int | None, ...], dtype: str, is_file: bool
    ) -> np.ndarray:
        if is_file:
            lengths = [length for length in shape if length is not None]
            most = math.prod(lengths) if len(lengths) == len(shape) else _MOST_ELEMENTS
            array = read_array(to_path(text), max(most, 1), self._downloads)
        else:
            if len(shape) > 1:
                raise ValueError(
                    f"it is no {' or '.join(ARRAY_SUFFIXES)} file" if shape else "it is no number"
                )
            array = np.array(numbers_in(text))
        return fitted(array, shape, dtype)


def fitted(values: np.ndarray, shape: Sequence[int | None], dtype: str) -> np.ndarray:
    """Checks a value, and brings it into the shape of its input.

    Args:
        values: The value; axes of length 1 may be missing or added at the front.
        shape: The shape of the input, without the batch; None for axes of any length.
        dtype: The dtype of the input.

    Returns:
        float32, in that shape.

    Raises:
        ValueError: It has another shape, or isn't made of such numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError("it is made of something other than numbers")
    found = array.shape
    while array.ndim > len(shape) and array.shape[0] == 1:
        array = array[0]
    while array.ndim < len(shape) and shape[len(shape) - array.ndim - 1] in (1, None):
        array = array[None]
    if array.ndim != len(shape) or any(
        wanted not in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    ):
        count = f"{array.size} number{'s' * (array.size != 1)}"
        raise ValueError(
            f"it is {count}" if len(found) <= 1 else f"it has the shape {'×'.join(map(str, found))}"
        )
    row = array.astype(np.float64)
    if not np.isfinite(row).all():
        raise ValueError("it contains NaN or infinity")
    kind = "f" if dtype == "bfloat16" else np.dtype(dtype).kind
    if kind == "b" and not np.isin(row, (0, 1)).all():
        raise ValueError("it is neither true nor false (1 or 0)")
    if kind in "iu":
        limits = np.iinfo(dtype)
        low, high = max(limits.min, -_LARGEST_EXACT), min(limits.max, _LARGEST_EXACT)
        if (row != np.rint(row)).any():
            raise ValueError("it isn't a whole number")
        if row.min(initial=0) < low or row.max(initial=0) > high:
            raise ValueError(f"it isn't between {low} and {high}")
    return row.astype(np.float32)


def with_values(
    pictures: Iterable[InputPicture],
    classifier: Classifier,
    of_all: Sequence[tuple[str, str]],
) -> list[InputPicture]:
    """Gives each picture the values of the model's other inputs, from its columns and the options.

    For a network that segments, the column "region" is such a value too.

    Args:
        pictures: The pictures, with all further columns of their lists.
        classifier: The classifier.
        of_all: The values that the options give for all pictures. A picture's own come first.

    Returns:
        The pictures, each once for each combination of values.

    Raises:
        UsageError: The model has no input of a name in the options, the options give a value for
            the explained input, or none of the pictures has a value for an input.
    """
    from gradcam_cli.models.inputs import check_input_name

    pictures = list(pictures)
    if not (classifier.others or of_all or any(picture.values for picture in pictures)):
        return pictures
    names = [other.name for other in classifier.others]
    if classifier.segments and REGION_COLUMN not in names:
        names.append(REGION_COLUMN)
    for name, _ in of_all:
        if not classifier.others:
            raise UsageError(f"--input {name}: {classifier.name} has a single input; leave it out")
        if name == classifier.explained:
            raise UsageError(
                f"--input {name}: PATH gives the pictures of this input; to give them to another "
                f"one, name it with --input NAME"
            )
        check_input_name(name, dict.fromkeys(names))
    found: dict[PictureKey, InputPicture] = {}
    given: set[str] = set()
    folded = {name.casefold(): name for name in names}
    for picture in pictures:
        for name, text in picture.values:
            if names and name == classifier.explained and text != str(picture.path):
                raise UsageError(
                    f"--from-file: {picture.path} has another picture in the column {name}, which "
                    f"is the explained input; rename that column, or name another input with "
                    f"--input NAME"
                )
        own = {
            name if name in names else folded.get(name.casefold(), ""): text
            for name, text in picture.values
        }
        both = {**dict(of_all), **own}
        complete = replace(
            picture,
            values=tuple((name, filled(both[name], picture)) for name in names if name in both),
        )
        given.update(both)
        found.setdefault(complete.key, complete)
    missing = [other for other in classifier.others if other.name not in given]
    if missing:
        described = ", ".join(f"{other.name} ({other.describe()})" for other in missing)
        first = missing[0]
        value = "FILE" if first.takes_picture or len(first.shape) > 1 else "VALUE"
        raise UsageError(
            f"{classifier.name} also takes {described}; give each a value with "
            f"--input {first.name}={value}, or a column of --from-file named {first.name}"
        )
    return list(found.values())


def bind_values(
    classifier: Classifier,
    pictures: Iterable[InputPicture],
    inputs: InputShape,
    of_all: Sequence[tuple[str, str]],
) -> Classifier:
    """Gives a classifier of several inputs the same values for all pictures.

    Args:
        classifier: The classifier.
        pictures: The pictures.
        inputs: How pictures become inputs of the network.
        of_all: The values that the options give.

    Returns:
        A classifier of pictures alone.

    Raises:
        UsageError: A value is missing, can't be used, or differs between pictures.
    """
    pictures = with_values(pictures, classifier, of_all)
    if not classifier.others:
        return classifier
    for name, text in of_all:
        if is_pattern(text):
            raise UsageError(
                f"--input {name}={text}: here all pictures need the same value, without a field "
                f"in braces"
            )
    if inputs.fit == "keep" and any(other.takes_picture for other in classifier.others):
        raise UsageError(
            "--fit keep gives each picture a shape of its own, and the other input has one shape; "
            "choose squash, crop, cover or pad"
        )
    reader = ValueReader(classifier, inputs)
    classifier = classifier.with_shapes(reader.shapes(pictures))
    return classifier.bound(ValueReader(classifier, inputs).shared(of_all))
