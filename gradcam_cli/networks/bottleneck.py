"""Finds the bottleneck of a network that segments, between its encoder and its decoder."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import tensorflow as tf


def rank_from_bottleneck(
    scores: tf.Tensor, outputs: Mapping[str, tf.Tensor], cell_areas: Mapping[str, float]
) -> list[str]:
    """Ranks layers, beginning with the end of the bottleneck.

    That is the last layer with the coarsest cells through which everything passes that is as
    coarse. Layers of a branch that a decoder adds to it are no bottleneck. Pooled copies of one
    tensor, as in a pyramid of pools, aren't one either, although their cells are coarser.

    Args:
        scores: The scores at each position.
        outputs: The outputs of layers on which the scores depend, by path, the last one first.
        cell_areas: The area of a cell of each of them, in input pixels.

    Returns:
        The paths.
    """
    levels: dict[float, list[str]] = {}
    for path in sorted(outputs, key=lambda path: -cell_areas[path]):
        levels.setdefault(cell_areas[path], []).append(path)
    beside = _pooled_beside(list(levels.values()), outputs)
    ranked: list[str] = []
    for level in levels.values():
        if level[0] not in beside:
            passes = [path for path in level if _passes_all(scores, path, level, outputs)]
            ranked += [*passes, *(path for path in level if path not in passes)]
    return [*ranked, *(path for level in levels.values() for path in level if path in beside)]


def _passes_all(
    scores: tf.Tensor, path: str, level: Sequence[str], outputs: Mapping[str, tf.Tensor]
) -> bool:
    """Returns whether the scores depend on earlier layers of a level only through one layer."""
    others = {outputs[other].name for other in level[level.index(path) + 1 :]}
    return not others & _ancestors([scores], outputs[path])


def _pooled_beside(levels: Sequence[Sequence[str]], outputs: Mapping[str, tf.Tensor]) -> set[str]:
    """Finds the layers of levels that don't depend on each other, coarsest first."""
    found: set[str] = set()
    for coarse, fine in pairwise(levels):
        before = _ancestors([outputs[path] for path in coarse])
        if not any(outputs[path].name in before for path in fine):
            found |= {*coarse, *fine}
        else:
            break
    return found


def _ancestors(tensors: Collection[tf.Tensor], without: tf.Tensor | None = None) -> set[str]:
    """Returns the names of the tensors from which others are computed, and of these themselves.

    Args:
        tensors: The tensors.
        without: A tensor at which to stop.
    """
    found: set[str] = set()
    pending = list(tensors)
    while pending:
        tensor = pending.pop()
        if tensor.name in found or (without is not None and tensor.name == without.name):
            continue
        found.add(tensor.name)
        pending += list(tensor.op.inputs)
    return found
