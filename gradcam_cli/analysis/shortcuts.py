"""Marks at the edge of pictures, by which a network may know a class: watermarks, borders, dates.

No single sign tells such a shortcut from an object. A mark is suspicious if all of these hold:

- Pictures of the class show nearly the same at a place near the edge, and pictures of other classes
  don't. Around it, this isn't so: where whole pictures are alike, there is no mark.
- The maps of the pictures with the mark are hot there, and those of pictures without it aren't.
  Otherwise the network doesn't need the mark, or looks there in any case.
- The mark isn't under the heat in the middle of other pictures. Otherwise it is an object that
  happens to be near the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradcam_cli.analysis.observation import GRID, Observation

# Of fewer different pictures, likeness says little.
_FEWEST = 8
_FEWEST_OTHERS = 16
# Medians of more pictures hardly change.
_MOST = 250
_BLOCK = 256
# Hot: at least this fraction of the map's maximum.
_HOT = 0.5
# A map of which a larger fraction is hot shows no place.
_LARGEST = 0.6
# How many times as far the others must be from the typical content, in squared distance.
_UNLIKE = 4.0
# Compression and noise change the mean of a cell by about as much, of 255.
_NOISE = 3.0
_SMALLEST_CELLS = 3
# How deep a mark reaches into the picture, as a fraction of its side.
_DEEPEST = 0.25
# The fraction of the others that may seem to have the mark.
_MOST_OTHERS = 0.2
# The fraction of the maps with the mark that have to be hot there, and how much larger it has to be
# than without the mark: in any case, and in standard errors.
_AGREEMENT = 0.6
_MORE_AGREEMENT = 0.3
_DEVIATIONS = 2.5


@dataclass(frozen=True, eq=False)
class Shortcut:
    """A mark by which the network may know a class.

    Attributes:
        has_mark: (pictures,) bool, which pictures of the class have it.
        clause: What makes it suspicious, with numbers.
        strength: How suspicious it is, in (0, 1].
    """

    has_mark: np.ndarray
    clause: str
    strength: float


class Pictures:
    """The pictures that the network takes for one class, or for others.

    Attributes:
        count: Their number.
        maps: (pictures, `GRID`, `GRID`) float32, the maps of their predicted classes with a maximum
            of 1.
    """

    def __init__(self, observations: Sequence[Observation], numbers: np.ndarray) -> None:
        """Takes those with these indices, whose maps show something."""
        self._observations = [observations[int(number)] for number in numbers]
        self.count = len(numbers)
        self.maps = np.empty((self.count, GRID, GRID), np.float32)
        for row, one in enumerate(self._observations):
            self.maps[row] = one.predicted_map / one.predicted_map.max()

    def content(self, rows: np.ndarray) -> np.ndarray:
        """Returns what some of the pictures show in each cell.

        Args:
            rows: Their rows.

        Returns:
            (pictures, `GRID`, `GRID`, 6) float32: the colours, and how they differ from those
            around. The latter vary less where the ground is shaded, so that faint marks stand out.
        """
        from scipy.ndimage import uniform_filter

        colours = np.empty((len(rows), GRID, GRID, 3), np.float32)
        for number, row in enumerate(rows):
            colours[number] = self._observations[row].picture
        around = uniform_filter(colours, (0, 5, 5, 0), mode="nearest")
        return np.concatenate([colours, colours - around], axis=-1)

    def count_distinct(self, rows: np.ndarray) -> int:
        """Returns how many of some pictures differ."""
        return len({self._observations[row].picture.tobytes() for row in rows})


class ShortcutSearch:
    """The search for shortcuts of one class."""

    def __init__(self, of_class: Pictures, others: Pictures) -> None:
        """Prepares what all searches share.

        Args:
            of_class: The pictures that the network takes for the class.
            others: A sample of those that it takes for other classes.
        """
        self._class = of_class
        self._others = others
        self._other_content = others.content(np.arange(others.count))

    def from_group(self, in_group: np.ndarray) -> Shortcut | None:
        """Looks for a mark that most pictures of a group have in common.

        Args:
            in_group: (pictures,) bool, which pictures of the class belong to the group.

        Returns:
            The shortcut; None if nothing is suspicious.
        """
        found = self._find_mark(in_group)
        # The group may have some pictures without the mark, and lack some that have it.
        found = found and self._find_mark(found[2])
        if not found:
            return None
        mark, place, has_mark = found
        is_hot = _is_hot_at(self._class.maps, place)
        without = is_hot[~has_mark]
        if len(without) < _FEWEST:
            without = _is_hot_at(self._others.maps, place)
        if not _is_more_often(is_hot[has_mark], without) or self._moves(has_mark):
            return None
        own, of_others = mark.differences(place)
        hot, count = int(is_hot[has_mark].sum()), int(has_mark.sum())
        clause = (
            f"{hot} of {count} maps are hot at {_name(place)}, where these pictures hardly differ "
            f"(by {own:.0f} of 255 levels; {mark.compared} by {of_others:.0f})"
        )
        return Shortcut(has_mark, clause, hot / count * (1 - mark.fraction_of_others(place)))

    def _find_mark(self, has_mark: np.ndarray) -> tuple[_Mark, np.ndarray, np.ndarray] | None:
        """Finds what pictures have in common where their maps are hot.

        Args:
            has_mark: (pictures,) bool, the pictures.

        Returns:
            The mark, its place, and which pictures of the class have it; None if there is none.
        """
        rows = np.flatnonzero(has_mark)
        heat = self._class.maps[rows].mean(0) if len(rows) else np.zeros((GRID, GRID))
        hot = heat >= _HOT * heat.max()
        if not hot[_depths() <= _DEEPEST].any() or hot.mean() > _LARGEST:
            return None
        if len(rows) > _MOST:
            rows = np.sort(np.random.default_rng(0).choice(rows, _MOST, replace=False))
        if self._class.count_distinct(rows) < _FEWEST:
            return None
        mark = _Mark(self._class.content(rows), self._other_content)
        place = _find_place(mark.ratio, heat * hot)
        if place is None or mark.fraction_of_others(place) > _MOST_OTHERS:
            return None
        found = np.zeros(self._class.count, bool)
        for start in range(0, len(found), _BLOCK):
            block = np.arange(start, min(start + _BLOCK, len(found)))
            found[block] = mark.is_in(self._class.content(block), place)
        return mark, place, found

    def _moves(self, has_mark: np.ndarray) -> bool:
        """Returns whether what is under the heat is also under heat elsewhere, in the middle."""
        with_mark, _ = self._under_heat(has_mark)
        without, depths = self._under_heat(~has_mark)
        without = without[depths > _DEEPEST]
        if len(without) < _FEWEST // 2:
            return False
        typical = np.median(with_mark, axis=0)
        own, theirs = (((one - typical) ** 2).sum(-1) for one in (with_mark, without))
        # Colours that differ from one another can't be recognised elsewhere.
        anywhere = ((self._other_content[..., :3] - typical) ** 2).sum(-1)
        near = _UNLIKE * max(float(np.median(own)), 3 * _NOISE**2)
        return bool(near < np.median(anywhere) and (theirs <= near).mean() > 0.5)

    def _under_heat(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (pictures, 3): the colours where maps are hottest; (pictures,): how deep."""
        rows = np.flatnonzero(chosen)[:_MOST]
        hottest = self._class.maps[rows].reshape(len(rows), GRID**2).argmax(1)
        y, x = np.unravel_index(hottest, (GRID, GRID))
        colours = self._class.content(rows)[np.arange(len(rows)), y, x, :3]
        return colours, _depths()[y, x]


class _Mark:
    """What pictures have in common, and pictures of other classes don't."""

    def __init__(self, content: np.ndarray, others: np.ndarray) -> None:
        """Takes what both show: (pictures, `GRID`, `GRID`, 6) float32."""
        self._typical = np.median(content, axis=0)
        own = _squared(content - self._typical)
        self._own = np.median(own, axis=0)
        self._scale = self._own + 3 * _NOISE**2
        self._likes = own
        # Without enough others, the places that mirror one in the same pictures take their part.
        self._others = None
        self.compared = "at the places that mirror it,"
        self._other = np.minimum.reduce(
            [self._own[::-1, ::-1], self._own[::-1], self._own[:, ::-1]]
        )
        if len(others) >= _FEWEST_OTHERS:
            self.compared = "pictures of other classes"
            self._others = _squared(others - self._typical)
            self._other = np.median(self._others, axis=0)
        # (`GRID`, `GRID`): the larger one of the two kinds of content.
        self.ratio = (self._other / self._scale).max(-1)

    def _limit(self, place: np.ndarray) -> float:
        """Returns how far a picture with the mark is at most from the typical one."""
        usual = float(np.median(self._distances(self._likes, place)))
        # In units of the usual difference in a cell, or of what compression changes.
        far = _UNLIKE * max(usual, 1.0)
        if self._others is None:
            return far
        nearest = float(np.percentile(self._distances(self._others, place), 5))
        return min(far, max(nearest, 2 * usual))

    def _distances(self, squared: np.ndarray, place: np.ndarray) -> np.ndarray:
        # An object beside the mark changes a few cells.
        return np.asarray(np.median((squared[:, place] / self._scale[place]).mean(2), axis=1))

    def is_in(self, content: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Returns (pictures,) bool: which pictures have the mark."""
        squared = _squared(content - self._typical)
        return np.asarray(self._distances(squared, place) <= self._limit(place))

    def fraction_of_others(self, place: np.ndarray) -> float:
        """Returns what fraction of the others seems to have the mark."""
        if self._others is None:
            return 0.0
        return float((self._distances(self._others, place) <= self._limit(place)).mean())

    def differences(self, place: np.ndarray) -> tuple[float, float]:
        """Returns by how many levels colours differ at the place: these pictures', the others'."""
        own, other = (np.sqrt(one[place][:, 0].mean() / 3) for one in (self._own, self._other))
        return float(own), float(other)


def _squared(differences: np.ndarray) -> np.ndarray:
    """Returns (pictures, `GRID`, `GRID`, 2): the squared lengths of both kinds of content."""
    squared = differences**2
    return np.stack([squared[..., :3].sum(-1), squared[..., 3:].sum(-1)], axis=-1)


def _depths() -> np.ndarray:
    """Returns (`GRID`, `GRID`): how far each cell is from the nearest edge, as a fraction."""
    depth = np.minimum(np.arange(GRID), np.arange(GRID)[::-1]) + 0.5
    return np.minimum.outer(depth, depth) / GRID


def _find_place(ratio: np.ndarray, heat: np.ndarray) -> np.ndarray | None:
    """Finds the hottest mark at the edge.

    Args:
        ratio: (`GRID`, `GRID`), how many times as far the others are from the typical content.
        heat: (`GRID`, `GRID`), 0 where it isn't hot.

    Returns:
        (`GRID`, `GRID`) bool; None if there is none.
    """
    from scipy.ndimage import binary_dilation, label

    alike = ratio >= _UNLIKE
    # Letters have gaps.
    labels, number = label(binary_dilation(alike, np.ones((3, 3))), np.ones((3, 3)))
    depths = _depths()
    best, most = None, 0.0
    for one in range(1, number + 1):
        place = alike & (labels == one)
        if place.sum() >= _SMALLEST_CELLS and np.percentile(depths[place], 90) <= _DEEPEST:
            found = float(heat[_around(place)].mean())
            if found > most:
                best, most = place, found
    return best


def _is_hot_at(maps: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Returns (maps,) bool: which are hot at a place, and not nearly everywhere."""
    is_hot = maps >= _HOT
    return np.asarray(is_hot[:, _around(place)].any(1) & (is_hot.mean((1, 2)) <= _LARGEST))


def _around(place: np.ndarray) -> np.ndarray:
    """Adds two cells all around a place, since the cells of maps are larger than those here."""
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(place, np.ones((5, 5))))


def _is_more_often(these: np.ndarray, those: np.ndarray) -> bool:
    """Returns whether something holds for most of these, and surely more often than for those."""
    if len(these) < _FEWEST or these.mean() < _AGREEMENT:
        return False
    if not len(those):
        return True
    more = float(these.mean() - those.mean())
    both = float(np.concatenate([these, those]).mean())
    error = (both * (1 - both) * (1 / len(these) + 1 / len(those))) ** 0.5
    return bool(more >= max(_MORE_AGREEMENT, _DEVIATIONS * error))


def _name(place: np.ndarray) -> str:
    """Names a place at the edge: "the top left corner"."""
    rows, columns = (np.flatnonzero(place.any(axis)) for axis in (1, 0))
    tall, wide = ((np.ptp(one) + 1) / GRID for one in (rows, columns))
    long, third = 0.6, GRID / 3
    if tall >= long and wide >= long:
        return "the edges"
    y, x = (one.mean() + 0.5 for one in np.nonzero(place))
    down = "top" if y < third else "bottom" if y > 2 * third else ""
    across = "left" if x < third else "right" if x > 2 * third else ""
    if wide >= long or not across:
        return f"the {down} edge"
    if tall >= long or not down:
        return f"the {across} edge"
    return f"the {down} {across} corner"
