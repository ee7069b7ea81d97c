"""Occlusion: scores of the input without each part of it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.base import BlackBoxMethod, ObservedMaps, Progress
from gradcam_cli.cam.methods.black_box import NO_EFFECT, PartlyScored, differ, lengths_of

if TYPE_CHECKING:
    from gradcam_cli.networks.scored import ScoredNetwork

# How many patches fit side by side.
_USUAL_PART = 5


@dataclass(frozen=True)
class Occlusion(BlackBoxMethod):
    r"""Occlusion (Zeiler and Fergus, 2014, arXiv 1311.2901, section 4.2).

    A patch slides over the input and hides what is below. A pixel's value is the mean loss of
    the score over the patches P that cover it:

    .. math::
        L^c(\lambda) = \frac{1}{\sum_P w_P(\lambda)} \sum_P w_P(\lambda) \,
            \big(f(x) - f(x \text{ without } P)\big)

    :math:`w_P` falls linearly, along each axis, from the middle of a patch to 0 beyond its edge.
    So the map shows no edges of patches, which would look like edges of objects. It is negative
    where hiding something raises the score. The hidden part takes the mean colour of the input,
    in place of the paper's grey, so that the patch itself is no object. f is the probability of
    the class, or the value of a regression, or the summed score of a segmentation.

    Neighbouring patches overlap by half. The first and the last of a row reach beyond the border,
    so that a pixel there has as many patches as others. The map is exact: there is no chance in
    it. It costs a run for each patch, by default about 144 for a picture.

    Attributes:
        patch: The length of the patch along each axis in pixels; None for a fifth of the axis.
        stride: The distance between two patches in pixels; None for half a patch.
    """

    patch: int | None = None
    stride: int | None = None

    def explain(
        self, network: ScoredNetwork, inputs: tf.Tensor, targets: tf.Tensor, progress: Progress
    ) -> ObservedMaps:
        """Hides each part of each input."""
        lengths = lengths_of(inputs)
        sides = [min(self.patch or -(-length // _USUAL_PART), length) for length in lengths]
        strides = [min(self.stride or max(1, side // 2), side) for side in sides]
        places = [
            range(stride - side, length, stride)
            for length, side, stride in zip(lengths, sides, strides, strict=True)
        ]
        corners = list(itertools.product(*places))
        tent = functools.reduce(np.multiply.outer, [_fall_from_middle(side) for side in sides])
        maps, notes = [], {}
        for row in range(len(inputs)):
            seen = PartlyScored(network, inputs[row], targets[row])

            def score(some: slice, seen: PartlyScored = seen) -> tf.Tensor:
                return seen.scores(np.stack([_hidden(lengths, sides, at) for at in corners[some]]))

            whole = float(seen.scores(np.ones((1, *lengths), np.float32))[0])
            scores = network.run_all(score, len(corners), progress, len(inputs)).numpy()
            losses = whole - scores.astype(np.float64)
            if not differ(np.append(scores, whole)):
                losses[:] = 0
                notes[row] = NO_EFFECT
            total, weight = np.zeros(lengths), np.zeros(lengths)
            for corner, loss in zip(corners, losses, strict=True):
                covered = _patch(lengths, sides, corner)
                inside = tuple(
                    slice(part.start - start, part.stop - start)
                    for part, start in zip(covered, corner, strict=True)
                )
                total[covered] += tent[inside] * loss
                weight[covered] += tent[inside]
            maps.append(total / weight)
        return ObservedMaps(tf.constant(np.stack(maps), tf.float32), notes)


def _fall_from_middle(length: int) -> np.ndarray:
    """Returns the weight of each cell along an axis of a patch: 1, 2, ..., 2, 1."""
    positions = np.arange(length)
    return np.minimum(positions + 1, length - positions).astype(np.float64)


def _patch(
    lengths: Sequence[int], sides: Sequence[int], corner: Sequence[int]
) -> tuple[slice, ...]:
    """Returns the part of a patch that lies on the input."""
    return tuple(
        slice(max(0, start), min(start + side, length))
        for length, side, start in zip(lengths, sides, corner, strict=True)
    )


def _hidden(lengths: Sequence[int], sides: Sequence[int], corner: Sequence[int]) -> np.ndarray:
    seen = np.ones(lengths, np.float32)
    seen[_patch(lengths, sides, corner)] = 0
    return seen
