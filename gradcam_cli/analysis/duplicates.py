"""Pictures that look the same: copies in other sizes, formats or of other brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam_cli.analysis.audit_results import Duplicates
from gradcam_cli.analysis.observation import GRID, Observation

# Of the 64 bits of the hash, copies differ in fewer, and different pictures in about half.
_MOST_BITS = 16
# Candidates are compared on this many rows and columns: first quickly, then closely. Finer cells
# change too much when a small picture is scaled.
_COARSE = 8
_FINE = 16
_CORRELATION = 0.95
# A picture whose colours spread less has no structure that the hash could describe. Levels of 255.
_PLAIN = 3.0
# Plain pictures are the same if their mean colours differ by less.
_SAME_COLOR = 1.0
# How much brighter a copy may be.
_MOST_GAIN = 1.3
_MOST_OFFSET = 40.0
# How far copies of the same brightness differ: on average, and in the cell that differs most.
_MEAN_DIFFERENCE = 4.0
_LARGEST_DIFFERENCE = 24.0
_BLOCK = 512


def find_duplicates(observations: Sequence[Observation]) -> list[Duplicates]:
    """Finds pictures that look the same.

    Candidates have similar perceptual hashes (`gradcam_cli.analysis.fingerprints`). Since pictures
    with the same background have them too, candidates are compared cell by cell.

    Args:
        observations: The observations.

    Returns:
        Each set of pictures that look the same: those of several classes first, then the largest.
    """
    if len(observations) < 2:
        return []
    pictures = np.stack([one.picture for one in observations]).reshape(len(observations), -1)
    sets = [
        _described(observations, [int(number) for number in found])
        for found in [*_find_plain(pictures), *_find_structured(pictures, observations)]
    ]
    return sorted(
        sets, key=lambda one: (-min(len(one.classes), 2), -len(one.pictures), one.pictures[0])
    )


def _described(observations: Sequence[Observation], numbers: list[int]) -> Duplicates:
    classes = [(observations[number].truth or observations[number].predicted) for number in numbers]
    return Duplicates(numbers, list(dict.fromkeys(one.name for one in classes)))


def _is_plain(pictures: np.ndarray) -> np.ndarray:
    """Returns (pictures,) bool: which show one colour."""
    found = np.empty(len(pictures), bool)
    for start in range(0, len(pictures), _BLOCK):
        block = pictures[start : start + _BLOCK].reshape(-1, GRID * GRID, 3)
        found[start : start + _BLOCK] = block.std(1, dtype=np.float32).max(1) < _PLAIN
    return found


def _find_plain(pictures: np.ndarray) -> list[np.ndarray]:
    """Finds sets of pictures of the same colour, by sorting: their hashes say nothing.

    Args:
        pictures: (pictures, values) uint8.
    """
    plain = np.flatnonzero(_is_plain(pictures))
    colours = pictures[plain].reshape(len(plain), GRID * GRID, 3).mean(1)
    order = np.lexsort(colours.T)
    sets = []
    left = list(order)
    while left:
        first = left[0]
        # Sorted by the last colour, so that candidates follow the first one.
        candidates = [one for one in left if colours[one, 2] - colours[first, 2] < _SAME_COLOR]
        same = {
            int(one)
            for one in candidates
            if np.abs(colours[one] - colours[first]).max() < _SAME_COLOR
        }
        if len(same) > 1:
            sets.append(np.sort(plain[list(same)]))
        left = [one for one in left if one not in same]
    return sets


def _find_structured(pictures: np.ndarray, observations: Sequence[Observation]) -> list[np.ndarray]:
    """Finds sets of pictures with the same structure.

    Args:
        pictures: (pictures, values) uint8.
        observations: The observations.
    """
    numbers = np.flatnonzero(~_is_plain(pictures))
    hashes = np.frombuffer(b"".join(observations[int(n)].fingerprint for n in numbers), np.uint8)
    # The product of two rows is the number of bits less twice the number of those that differ.
    signs = np.unpackbits(hashes.reshape(-1, 8), axis=1).astype(np.float32) * 2 - 1
    shapes = _averaged(pictures[numbers], _COARSE)
    shapes -= shapes.mean(1, keepdims=True)
    shapes /= np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-6)
    fine = _averaged(pictures[numbers], _FINE)
    sets = _Sets(len(numbers))
    for start in range(0, len(numbers), _BLOCK):
        block = slice(start, start + _BLOCK)
        close = signs[block] @ signs[start:].T >= signs.shape[1] - 2 * _MOST_BITS
        close &= shapes[block] @ shapes[start:].T >= _CORRELATION
        for row in map(int, np.flatnonzero(close.sum(1) > 1)):
            candidates = start + row + 1 + np.flatnonzero(close[row, row + 1 :])
            candidates = sets.without_joined(start + row, candidates)
            if len(candidates):
                same = _look_same(fine[start + row], fine[candidates])
                sets.join(start + row, candidates[same])
    return [numbers[found] for found in sets.found()]


def _averaged(pictures: np.ndarray, side: int) -> np.ndarray:
    """Returns (pictures, values) float32: pictures on fewer rows and columns."""
    step = GRID // side
    averaged = np.empty((len(pictures), side * side * 3), np.float32)
    for start in range(0, len(pictures), _BLOCK):
        block = pictures[start : start + _BLOCK].reshape(-1, side, step, side, step, 3)
        averaged[start : start + _BLOCK] = block.mean((2, 4), dtype=np.float32).reshape(
            len(block), -1
        )
    return averaged


def _look_same(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Returns (pictures,) bool: which pictures are the same as another, but for their brightness.

    Args:
        one: (values,) float32.
        many: (pictures, values) float32.
    """
    middle, middles = one.mean(), many.mean(1, keepdims=True)
    gain = ((many - middles) @ (one - middle) / ((one - middle) ** 2).sum())[:, None]
    difference = np.abs(many - middles - gain * (one - middle))
    return np.asarray(
        (difference.mean(1) <= _MEAN_DIFFERENCE)
        & (difference.max(1) <= _LARGEST_DIFFERENCE)
        & (gain[:, 0] >= 1 / _MOST_GAIN)
        & (gain[:, 0] <= _MOST_GAIN)
        & (np.abs(middles[:, 0] - middle) <= _MOST_OFFSET)
    )


class _Sets:
    """Sets of numbers that grow together."""

    def __init__(self, count: int) -> None:
        self._of = np.arange(count)

    def without_joined(self, number: int, candidates: np.ndarray) -> np.ndarray:
        """Returns those candidates that aren't in the set of a number."""
        return np.asarray(candidates[self._of[candidates] != self._of[number]])

    def join(self, number: int, others: np.ndarray) -> None:
        """Joins the set of a number with those of others."""
        if len(others):
            joined = np.append(self._of[others], self._of[number])
            self._of[np.isin(self._of, joined)] = joined.min()

    def found(self) -> list[np.ndarray]:
        """Returns the sets of several numbers, each ascending."""
        order = np.argsort(self._of, kind="stable")
        _, starts = np.unique(self._of[order], return_index=True)
        return [one for one in np.split(order, starts[1:]) if len(one) > 1]
