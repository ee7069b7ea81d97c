"""Marks at the edge of pictures, by which a network may know a class: watermarks, borders, dates.

No single sign tells such a shortcut from an object. A group of pictures is suspicious if all of
these hold:

- Its maps are hot at one place, and the place is near the edge of the picture.
- What the pictures show there hardly differs within the group, and differs from the pictures of
  other classes. Around it, this isn't so: a class whose whole pictures are alike has no mark.
- Other pictures of the class that show the same there are hot there too. Otherwise the mark is in
  the pictures, but the network doesn't need it.
- What is there isn't under the heat of other pictures in the middle. Otherwise it is an object that
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
_MOST = 500
# Hot: at least this fraction of the map's maximum.
_HOT = 0.5
# A map of which a larger fraction is hot shows no place.
_LARGEST = 0.6
# How many times as far the others must be from the group's typical content, in squared distance.
_UNLIKE = 4.0
# Compression and noise change the mean of a cell by about as much, of 255.
_NOISE = 3.0
_SMALLEST_CELLS = 3
# How deep a mark reaches into the picture, as a fraction of its side.
_DEEPEST = 0.25
_SEPARATION = 0.9
_AGREEMENT = 0.8


@dataclass(frozen=True)
class Shortcut:
    """A place by which the network may know a class.

    Attributes:
        clause: What makes it suspicious, with numbers.
        strength: How suspicious it is, in (0, 1].
    """

    clause: str
    strength: float


class Pictures:
    """Some of the pictures of an audit.

    Attributes:
        count: Their number.
        maps: (pictures, `GRID`, `GRID`) float32, their maps with a maximum of 1; of other classes
            empty.
        numbers: The indices of a sample of at most 500.
        content: (sample, `GRID`, `GRID`, 6) float32, the colours of the sample, and how they differ
            from those around. Soft shadings vary less in the latter, so that faint marks stand out.
    """

    def __init__(
        self,
        observations: Sequence[Observation],
        numbers: np.ndarray,
        maps: np.ndarray | None = None,
    ) -> None:
        """Takes a sample.

        Args:
            observations: All observations.
            numbers: The indices of these pictures.
            maps: Their maps.
        """
        from scipy.ndimage import uniform_filter

        self.count = len(numbers)
        self.maps = np.empty((0, GRID, GRID), np.float32) if maps is None else maps
        chosen = np.arange(len(numbers))
        if len(chosen) > _MOST:
            chosen = np.sort(np.random.default_rng(0).choice(chosen, _MOST, replace=False))
        self.sampled = chosen
        colours = np.empty((len(chosen), GRID, GRID, 3), np.float32)
        for row, number in enumerate(numbers[chosen]):
            colours[row] = observations[number].picture
        around = uniform_filter(colours, (0, 5, 5, 0), mode="nearest")
        self.content = np.concatenate([colours, colours - around], axis=-1)
        self.distinct = len({observations[number].picture.tobytes() for number in numbers[chosen]})

    @property
    def sampled_maps(self) -> np.ndarray:
        """The maps of the sample."""
        return self.maps[self.sampled]


def find_shortcut(group: Pictures, siblings: Pictures, others: Pictures) -> Shortcut | None:
    """Finds out whether a group of pictures is known by a mark at the edge.

    Args:
        group: The pictures of the group.
        siblings: The other pictures that the network says are of this class.
        others: Pictures of other classes.

    Returns:
        The shortcut; None if nothing is suspicious.
    """
    if group.distinct < _FEWEST:
        return None
    heat = group.maps.mean(0)
    hot = heat >= _HOT * heat.max()
    if hot.mean() > _LARGEST:
        return None
    likeness = _Likeness(group, others)
    place = _find_place(likeness, heat * hot)
    if place is None:
        return None
    has_heat = _is_hot_at(group.maps, place)
    agreement = float(has_heat.mean())
    separation = likeness.separate(place)
    if agreement < _AGREEMENT or separation < _SEPARATION:
        return None
    if _is_ignored(group, siblings, likeness, place) or _moves(group, siblings):
        return None
    own, of_others = likeness.spread(place)
    clause = (
        f"{int(has_heat.sum())} of {group.count} maps are hot at {_name(place)}, where these "
        f"pictures hardly differ (by {own:.0f} of 255 levels; {likeness.compared} by "
        f"{of_others:.0f})"
    )
    return Shortcut(clause, agreement * (2 * separation - 1))


class _Likeness:
    """How alike the contents of a group are in each cell, and how unlike those of others."""

    def __init__(self, group: Pictures, others: Pictures) -> None:
        self._content = group.content
        self._typical = np.median(group.content, axis=0)
        self._own = np.median(self._distances(group.content, self._typical), axis=0)
        # Without enough others, the places that mirror one in the same pictures take their part.
        self._has_others = len(others.content) >= _FEWEST_OTHERS
        if self._has_others:
            self.compared = "pictures of other classes"
            self._others = others.content
            self._other = np.median(self._distances(others.content, self._typical), axis=0)
        else:
            self.compared = "at the places that mirror it,"
            own = self._own
            self._other = np.minimum(own[::-1, ::-1], np.minimum(own[::-1], own[:, ::-1]))
        # (`GRID`, `GRID`): the larger of the two ratios, for colours and differences of colours.
        self.ratio = (self._other / (self._own + 3 * _NOISE**2)).max(-1)

    @staticmethod
    def _distances(content: np.ndarray, typical: np.ndarray) -> np.ndarray:
        """Returns (pictures, `GRID`, `GRID`, 2): squared distances of both kinds of content."""
        squared = (content - typical) ** 2
        return np.stack([squared[..., :3].sum(-1), squared[..., 3:].sum(-1)], axis=-1)

    def strangeness(
        self, content: np.ndarray, place: np.ndarray, typical: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns (pictures,): how far the content at a place is from that of the group."""
        typical = self._typical if typical is None else typical
        distances = self._distances(content[:, place][:, None], typical[place][None])[:, 0]
        return np.asarray((distances / (self._own[place] + 3 * _NOISE**2)).mean((1, 2)))

    def separate(self, place: np.ndarray) -> float:
        """Returns how well the content at a place tells the group from the others.

        It is the fraction of pairs in which the picture of the group is more like the group. The
        group's typical content comes from one half of it, the pairs from the other half.
        """
        if not self._has_others:
            return 1.0
        found = []
        for half in range(2):
            typical = np.median(self._content[half::2], axis=0)
            own = self.strangeness(self._content[1 - half :: 2], place, typical)
            others = np.sort(self.strangeness(self._others, place, typical))
            further = len(others) - np.searchsorted(others, own, side="right")
            found.append(further.mean() / len(others))
        return float(np.mean(found))

    def spread(self, place: np.ndarray) -> tuple[float, float]:
        """Returns by how many levels the group's colours at a place differ, and the others'."""
        own, other = (np.sqrt(one[place][:, 0].mean() / 3) for one in (self._own, self._other))
        return float(own), float(other)


def _depths() -> np.ndarray:
    """Returns (`GRID`, `GRID`): how far each cell is from the nearest edge, as a fraction."""
    depth = np.minimum(np.arange(GRID), np.arange(GRID)[::-1]) + 0.5
    return np.minimum.outer(depth, depth) / GRID


def _find_place(likeness: _Likeness, heat: np.ndarray) -> np.ndarray | None:
    """Finds the hottest mark at the edge.

    Args:
        likeness: How alike the contents are.
        heat: (`GRID`, `GRID`), 0 where it isn't hot.

    Returns:
        (`GRID`, `GRID`) bool; None if there is none.
    """
    from scipy.ndimage import binary_dilation, label

    alike = likeness.ratio >= _UNLIKE
    # Letters have gaps.
    labels, number = label(binary_dilation(alike, np.ones((3, 3))), np.ones((3, 3)))
    depths = _depths()
    best, best_heat = None, 0.0
    for one in range(1, number + 1):
        place = alike & (labels == one)
        if place.sum() < _SMALLEST_CELLS or np.percentile(depths[place], 90) > _DEEPEST:
            continue
        found = float(heat[place].mean())
        if found > best_heat:
            best, best_heat = place, found
    return best


def _is_hot_at(maps: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Returns (maps,) bool: which are hot at a place."""
    return np.asarray(maps[:, place].max(1) >= _HOT)


def _is_ignored(
    group: Pictures, siblings: Pictures, likeness: _Likeness, place: np.ndarray
) -> bool:
    """Returns whether many pictures of the class show the same, and aren't hot there."""
    if not siblings.count:
        return False
    limit = np.percentile(likeness.strangeness(group.content, place), 90)
    same = likeness.strangeness(siblings.content, place) <= limit
    ignoring = same & ~_is_hot_at(siblings.sampled_maps, place)
    # As many of the group would be as of the siblings if heat had nothing to do with the content.
    scale = siblings.count / max(len(same), 1)
    return bool(ignoring.sum() * scale > (1 - _AGREEMENT) * (group.count + same.sum() * scale))


def _moves(group: Pictures, siblings: Pictures) -> bool:
    """Returns whether what is under the heat is also under the heat of siblings in the middle."""
    if not siblings.count:
        return False
    own, _ = _under_heat(group)
    theirs, depths = _under_heat(siblings)
    theirs = theirs[depths > _DEEPEST]
    if len(theirs) < _FEWEST // 2:
        return False
    typical = np.median(own, axis=0)
    limit = np.percentile(((own - typical) ** 2).sum(-1), 90)
    return bool((((theirs - typical) ** 2).sum(-1) <= limit).mean() > 0.5)


def _under_heat(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """Returns (pictures, 3): the colours where maps are hottest; (pictures,): the depths there."""
    maps = pictures.sampled_maps
    rows, columns = np.unravel_index(maps.reshape(len(maps), -1).argmax(1), (GRID, GRID))
    pick = np.arange(len(maps))
    return pictures.content[pick, rows, columns, :3], _depths()[rows, columns]


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
    if wide >= long or (down and not across):
        return f"the {down or 'middle'} edge"
    if tall >= long or not down:
        return f"the {across or 'middle'} edge"
    return f"the {down} {across} corner"
