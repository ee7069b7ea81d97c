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
# By how many levels of 255 copies differ on the coarser grid, as the root of the mean square.
_COARSE_DIFFERENCE = 6.0
# A picture whose colours spread less has no structure that the hash could describe. Levels of 255.
_PLAIN = 3.0
# How much brighter a copy may be.
_MOST_GAIN = 1.3
_MOST_OFFSET = 40.0
# How far copies of the same brightness differ: on average, and in the cell that differs most.
_MEAN_DIFFERENCE = 4.0
_LARGEST_DIFFERENCE = 24.0
_WHITE = 250
_NEARLY_WHITE = 200
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
    hashes = np.frombuffer(b"".join(one.fingerprint for one in observations), np.uint8)
    is_plain = _is_plain(pictures)
    # The hashes of plain pictures say nothing.
    plain, structured = np.flatnonzero(is_plain), np.flatnonzero(~is_plain)
    sets = [plain[found] for found in _find_plain(pictures[plain])]
    hashes = hashes.reshape(len(pictures), -1)[structured]
    sets += [structured[found] for found in _find_structured(pictures[structured], hashes)]
    duplicates = [_described(observations, [int(number) for number in found]) for found in sets]
    return sorted(
        duplicates, key=lambda one: (-min(len(one.classes), 2), -len(one.pictures), one.pictures[0])
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
    """Finds sets of pictures of the same colour.

    Args:
        pictures: (pictures, values) uint8.

    Returns:
        The rows of each set.
    """
    colours = np.rint(pictures.reshape(len(pictures), GRID * GRID, 3).mean(1))
    _, sets = np.unique(colours, axis=0, return_inverse=True)
    order = np.argsort(sets.ravel(), kind="stable")
    _, starts = np.unique(sets.ravel()[order], return_index=True)
    return [one for one in np.split(order, starts[1:]) if len(one) > 1]


def _find_structured(pictures: np.ndarray, hashes: np.ndarray) -> list[np.ndarray]:
    """Finds sets of pictures that look like the first one of their set.

    Args:
        pictures: (pictures, values) uint8.
        hashes: (pictures, 8) uint8, their perceptual hashes.

    Returns:
        The rows of each set.
    """
    # The product of two rows is the number of bits less twice the number of those that differ.
    signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    shapes = _averaged(pictures, _COARSE)
    shapes -= shapes.mean(1, keepdims=True)
    norms = np.maximum(np.linalg.norm(shapes, axis=1), 1e-6)
    shapes /= norms[:, None]
    # What a picture of this contrast may differ in, as a correlation.
    least = np.sqrt(np.maximum(1 - (_COARSE_DIFFERENCE / norms) ** 2 * shapes.shape[1], 0))
    least = np.maximum(least, _CORRELATION).astype(np.float32)
    fine = _averaged(pictures, _FINE)
    is_taken = np.zeros(len(pictures), bool)
    sets = []
    for start in range(0, len(pictures), _BLOCK):
        block = slice(start, start + _BLOCK)
        close = signs[block] @ signs[start:].T >= signs.shape[1] - 2 * _MOST_BITS
        close &= shapes[block] @ shapes[start:].T >= least[start:]
        for row in np.flatnonzero(close.sum(1) > 1):
            first = start + int(row)
            candidates = first + 1 + np.flatnonzero(close[row, row + 1 :])
            candidates = candidates[~is_taken[candidates]]
            if is_taken[first] or not len(candidates):
                continue
            same = candidates[_look_same(fine[first], fine[candidates])]
            if len(same):
                is_taken[same] = True
                sets.append(np.append(first, same))
    return sets


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
    # White stays white in a brighter copy, so that nearly white places may differ.
    counts = ~((np.maximum(one, many) >= _WHITE) & (np.minimum(one, many) >= _NEARLY_WHITE))
    number = np.maximum(counts.sum(1, keepdims=True), 1)
    middle, middles = ((part * counts).sum(1, keepdims=True) / number for part in (one, many))
    ones, manys = (one - middle) * counts, (many - middles) * counts
    gain = (ones * manys).sum(1, keepdims=True) / np.maximum((ones**2).sum(1, keepdims=True), 1e-6)
    difference = np.abs(manys - gain * ones)
    return np.asarray(
        (difference.sum(1) / number[:, 0] <= _MEAN_DIFFERENCE)
        & (difference.max(1) <= _LARGEST_DIFFERENCE)
        & (gain[:, 0] >= 1 / _MOST_GAIN)
        & (gain[:, 0] <= _MOST_GAIN)
        & (np.abs(middles - middle)[:, 0] <= _MOST_OFFSET)
    )
