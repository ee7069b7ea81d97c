"""Groups of maps within a class, which show what different reasons a network has for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam_cli.analysis.audit_results import MapGroup
from gradcam_cli.analysis.observation import GRID, Observation, mean_picture
from gradcam_cli.analysis.shortcuts import Pictures, Shortcut, ShortcutSearch
from gradcam_cli.errors import UsageError
from gradcam_cli.runtime.extras import how_to_install

# Of fewer pictures, groups say nothing.
_FEWEST = 20
_MOST_GROUPS = 8
# The eigenvalue of a group that is nearly separate from the others; at most 2.
_SEPARATE = 0.1
# More pictures of a class than this don't change its groups; they join the one of their neighbours.
_MOST_CLUSTERED = 500
_NEIGHBOURS = 10
# The pictures of other classes with which those of a class are compared.
_MOST_OTHERS = 250
# Maps are compared on this many rows and columns: fine enough for any layer.
_COARSE = 16


def find_groups(observations: Sequence[Observation]) -> list[MapGroup]:
    """Groups the maps of each predicted class, and says which groups are suspicious.

    This is spectral relevance analysis (Lapuschkin et al., "Unmasking Clever Hans predictors and
    assessing what machines really learn", Nature Communications 10:1096, 2019, arXiv 1902.10178):
    spectral clustering of the maps, where the largest gap between eigenvalues gives the number of
    groups. `gradcam_cli.analysis.shortcuts` says what makes a group suspicious. The pictures with a
    mark are a group of their own.

    Args:
        observations: The observations. Maps without heat belong to no group.

    Returns:
        The groups of each predicted class with at least 20 pictures: of the class with the most
        pictures first, and of each class the largest first.

    Raises:
        UsageError: scikit-learn isn't installed.
    """
    try:
        import sklearn.cluster  # noqa: F401
    except ImportError as error:
        raise UsageError(f"groups of maps need scikit-learn: {how_to_install('audit')}") from error
    of_classes: dict[int, list[int]] = {}
    for number, one in enumerate(observations):
        if one.predicted_map.any():
            of_classes.setdefault(one.predicted.index, []).append(number)
    groups: list[MapGroup] = []
    for index, numbers in sorted(of_classes.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(numbers) >= _FEWEST:
            others = np.array(
                [number for each, of in of_classes.items() if each != index for number in of],
                np.intp,
            )
            if len(others) > _MOST_OTHERS:
                others = np.random.default_rng(0).choice(others, _MOST_OTHERS, replace=False)
            groups += _group_class(observations, np.array(numbers), others)
    return groups


def _group_class(
    observations: Sequence[Observation], numbers: np.ndarray, others: np.ndarray
) -> list[MapGroup]:
    """Groups the maps of a class.

    Args:
        observations: All observations.
        numbers: The indices of those of the class.
        others: The indices of some of other classes.
    """
    predicted = observations[int(numbers[0])].predicted
    of_class = Pictures(observations, numbers)
    labels, parts = _cluster(of_class.maps)
    search = ShortcutSearch(of_class, Pictures(observations, others))
    shortcuts: dict[int, Shortcut] = {}
    for group in [*_groups_of(labels), *_groups_of(parts)]:
        is_new = all(not known.has_mark[group].any() for known in shortcuts.values())
        shortcut = search.from_group(group) if is_new else None
        if shortcut:
            # The pictures with a mark make one group, whatever groups they were in.
            labels[shortcut.has_mark] = new = int(labels.max()) + 1
            shortcuts[new] = shortcut
    return [
        MapGroup(
            predicted.index,
            predicted.name,
            [int(number) for number in numbers[inside]],
            of_class.maps[inside].mean(0),
            mean_picture([observations[int(number)] for number in numbers[inside]]),
            shortcut.clause if shortcut else "",
            shortcut.strength if shortcut else 0.0,
        )
        for inside in _groups_of(labels)
        for shortcut in [shortcuts.get(int(labels[inside][0]))]
    ]


def _groups_of(labels: np.ndarray) -> list[np.ndarray]:
    """Returns for each group (pictures,) bool, which pictures belong to it; the largest first."""
    counts = np.bincount(labels)
    return [labels == label for label in np.argsort(-counts, kind="stable") if counts[label]]


def _cluster(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the number of the group of each map, and of its part of a finer division.

    Args:
        maps: (pictures, `GRID`, `GRID`) float32, with heat in each.
    """
    step = GRID // _COARSE
    points = maps.reshape(len(maps), _COARSE, step, _COARSE, step).mean((2, 4))
    points = points.reshape(len(maps), -1)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    if len(points) <= _MOST_CLUSTERED:
        return _spectral_groups(points)
    from sklearn.neighbors import KNeighborsClassifier

    chosen = np.random.default_rng(0).choice(len(points), _MOST_CLUSTERED, replace=False)
    nearest = KNeighborsClassifier(_NEIGHBOURS // 2, algorithm="brute")
    groups, parts = (
        np.asarray(nearest.fit(points[chosen], found).predict(points))
        for found in _spectral_groups(points[chosen])
    )
    return groups, parts


def _spectral_groups(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clusters points by the graph of their nearest neighbours.

    As in Ng, Jordan and Weiss, "On Spectral Clustering", 2001, and with the gap of von Luxburg,
    "A Tutorial on Spectral Clustering", 2007 (arXiv 0711.0189), section 8.3. The largest gap also
    divides a cloud without groups into parts. Groups are nearly separate, so that their
    eigenvalues are near 0.

    Args:
        points: (points, features) float32.

    Returns:
        The number of each point's group and, with the largest gap of all, of its part.
    """
    from scipy.linalg import eigh
    from sklearn.neighbors import kneighbors_graph

    most = min(_MOST_GROUPS, len(points) // (_FEWEST // 2))
    neighbours = kneighbors_graph(points, min(_NEIGHBOURS, len(points) // 4)).toarray()
    joined = np.maximum(neighbours, neighbours.T)
    scale = 1 / np.sqrt(joined.sum(1))
    laplacian = np.eye(len(points)) - scale[:, None] * joined * scale
    values, vectors = eigh(laplacian, subset_by_index=(0, most))
    gaps = np.diff(values)
    # As many separate parts as there may be leave no gap.
    number = most if values[-1] < _SEPARATE / 100 else int(np.argmax(gaps)) + 1
    separate = int(np.argmax(np.where(values[:-1] < _SEPARATE, gaps, -1))) + 1
    parts = _divide(vectors, number)
    groups = _divide(vectors, separate) if separate != number else parts
    return groups, parts


def _divide(vectors: np.ndarray, number: int) -> np.ndarray:
    """Divides points by their values in the first eigenvectors."""
    from sklearn.cluster import KMeans

    if number == 1:
        return np.zeros(len(vectors), np.intp)
    rows = vectors[:, :number]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(KMeans(number, n_init=10, random_state=0).fit_predict(rows), np.intp)
