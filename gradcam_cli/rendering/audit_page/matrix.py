"""Arranges the confusion of classes as a table that stays readable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_CLASSES = 25
_LEVELS = 10


@dataclass(frozen=True)
class Cell:
    """The pictures of one true class that are predicted as one class.

    Attributes:
        predicted: The predicted class.
        count: The number of pictures.
        level: Its fraction of the true class in tenths, rounded up.
    """

    predicted: int
    count: int
    level: int


@dataclass(frozen=True)
class Row:
    """The pictures of one true class.

    Attributes:
        truth: The class.
        cells: One for each class of the table.
        elsewhere: The number of pictures predicted as a class that the table leaves out.
        total: The number of pictures.
        right: The fraction that is predicted right.
    """

    truth: int
    cells: Sequence[Cell]
    elsewhere: int
    total: int
    right: float


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix.

    Attributes:
        classes: The classes that its columns show, in ascending order.
        rows: One for each of them that has pictures.
        left_out: The number of further classes that occur.
    """

    classes: Sequence[int]
    rows: Sequence[Row]
    left_out: int


def arrange_matrix(counts: Mapping[tuple[int, int], int], most: int = MOST_CLASSES) -> Matrix:
    """Arranges the classes that occur; if they are many, those of most pictures.

    Args:
        counts: The number of pictures of each true and predicted class.
        most: The largest number of classes.
    """
    totals: Counter[int] = Counter()
    occurring: Counter[int] = Counter()
    for (truth, predicted), count in counts.items():
        totals[truth] += count
        occurring[truth] += count
        occurring[predicted] += count
    by_size = sorted(
        (index for index in occurring if occurring[index]),
        key=lambda index: (-totals[index], -occurring[index], index),
    )
    classes = sorted(by_size[:most])
    rows = []
    for truth in classes:
        total = totals[truth]
        if not total:
            continue
        in_row = [counts.get((truth, predicted), 0) for predicted in classes]
        rows.append(
            Row(
                truth,
                [
                    Cell(predicted, count, -(-_LEVELS * count // total))
                    for predicted, count in zip(classes, in_row, strict=True)
                ],
                total - sum(in_row),
                total,
                counts.get((truth, truth), 0) / total,
            )
        )
    return Matrix(classes, rows, len(by_size) - len(classes))
