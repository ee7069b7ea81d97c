"""Sanity checks for maps (Adebayo et al., 2018, arXiv 1810.03292).

A map that doesn't change when the network loses what it learned explains the picture, not
the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import UnsupportedModelError
from gradcam_cli.evaluation.faithfulness import rank_correlation
from gradcam_cli.evaluation.map_sources import ExplainerMaps
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.evaluation.random_weights import (
    NamedLayer,
    changeable,
    restored_weights,
    shuffle_weights,
    units_of,
)

if TYPE_CHECKING:
    import keras

    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.networks.keras_network import KerasNetwork

CASCADING = "cascading"
INDEPENDENT = "independent"
MODES = (CASCADING, INDEPENDENT)
STEPS = 12
# The methods that pass the test in the paper stay below this correlation when nothing learned
# is left in the network.
_STILL_ALIKE = 0.5


@dataclass(frozen=True)
class SanityCurve:
    """How similar the maps of one method stay to the originals, in one mode of randomization.

    Attributes:
        method: The name of the method.
        layer: The explained layer.
        title: The name that the method's authors use.
        mode: "cascading" (each step randomizes more layers) or "independent" (each step
            randomizes only its own layers).
        rank_correlation: (steps + 1, N), Spearman's, in [-1, 1]; the first is 1.
        ssim: (steps + 1, N), structural similarity, in [-1, 1]; the first is 1.
    """

    method: str
    layer: str
    title: str
    mode: str
    rank_correlation: np.ndarray
    ssim: np.ndarray

    @property
    def name(self) -> str:
        """The method and its layer."""
        return f"{self.title} · {self.layer}" if self.layer else self.title


@dataclass(frozen=True)
class SanityCheck:
    """The curves of several methods.

    Attributes:
        layers: The layers of each step, from the output to the input, by the path of the last
            of them.
        curves: One for every method and mode.
    """

    layers: list[str]
    curves: list[SanityCurve]


def changeable_network(classifier: Classifier) -> KerasNetwork:
    """Returns the network of a classifier, whose weights can be changed.

    Raises:
        UnsupportedModelError: They can't.
    """
    network = changeable(classifier.network)
    if network is None:
        raise UnsupportedModelError(
            f"--sanity needs a .keras or .h5 model: the weights of {classifier.name} can't be "
            f"changed"
        )
    return network


def check_sanity(
    explainers: Sequence[Explainer],
    batches: Sequence[np.ndarray],
    steps: int = STEPS,
    progress: Callable[[int], None] | None = None,
) -> SanityCheck:
    """Randomizes a network from its output to its input and compares the maps.

    A layer is randomized by shuffling each of its weights, which keeps their distribution.
    With newly initialized weights, as in the paper, a network that relies on the statistics
    of batch normalization would return constants, and any map would pass. The layers are
    grouped into steps; the last layer has its own step.

    Args:
        explainers: The methods, all with the same classifier, which must be a Keras model.
            Its weights are changed and restored at the end.
        batches: Inputs (N, height, width, channels) in [0, 255], one batch for each shape.
            The explained class is the one that the trained network finds most probable.
        steps: The largest number of steps.
        progress: Called with the number of steps done since the last call; each method
            takes 2 * steps.

    Raises:
        UnsupportedModelError: The network isn't a Keras model, or has no weights.
    """
    network = changeable_network(explainers[0].classifier)
    groups = _steps_of(network.model, steps)
    sources = [ExplainerMaps(explainer) for explainer in explainers]
    top = np.array([[-1]])
    targets = [
        explainers[0].explain(batch, np.repeat(top, len(batch), 0)).targets[:, 0]
        for batch in batches
    ]

    def explain(source: ExplainerMaps) -> list[np.ndarray]:
        return [source.explain(*pair) for pair in zip(batches, targets, strict=True)]

    originals = [explain(source) for source in sources]
    curves = []
    for mode in MODES:
        found: list[list[np.ndarray]] = [[_compare(maps, maps)] for maps in originals]
        with restored_weights(network.model):
            for number, group in enumerate(groups):
                with restored_weights(network.model, mode == INDEPENDENT):
                    shuffle_weights(group, number)
                    for source, original, similar in zip(sources, originals, found, strict=True):
                        similar.append(_compare(original, explain(source)))
                        if progress is not None:
                            progress(1)
        for source, similar in zip(sources, found, strict=True):
            ranks, structures = np.stack(similar, axis=1)
            curves.append(
                SanityCurve(source.method, source.layer, source.title, mode, ranks, structures)
            )
    return SanityCheck([group[-1][0] for group in groups], curves)


def number_of_steps(explainer: Explainer, steps: int = STEPS) -> int:
    """Returns how many steps `check_sanity` takes for each mode and method."""
    network = changeable(explainer.classifier.network)
    return 0 if network is None else len(_steps_of(network.model, steps))


def sanity_verdicts(check: SanityCheck) -> list[str]:
    """Says in one sentence for each method whether its maps depend on what was learned."""
    sentences = []
    for curve in check.curves:
        if curve.mode != CASCADING:
            continue
        first, last = (
            Measurement(curve.rank_correlation[1]),
            Measurement(curve.rank_correlation[-1]),
        )
        notices = last.mean < _STILL_ALIKE
        sentences.append(
            f"{curve.name}: with nothing learned left, its maps correlate "
            f"{last.mean:.2f} ±{last.margin:.2f} with the originals ({first.mean:.2f} without "
            f"the last layer): "
            + (
                "they depend on what the network learned."
                if notices
                else "they hardly change. They show the picture, not the network."
            )
        )
    return sentences


def _steps_of(model: keras.Model, steps: int) -> list[list[NamedLayer]]:
    """Groups layers into steps, the last layers first; within a step the order stays."""
    *rest, last = units_of(model)
    parts = np.array_split(np.arange(len(rest)), min(steps - 1, len(rest))) if rest else []
    grouped = [[named for number in part for named in rest[number]] for part in parts]
    return [last, *reversed(grouped)]


def _compare(originals: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """Compares maps: (2, N), rank correlation and structural similarity."""
    ranks = [
        rank_correlation(a, b)
        for batch, other in zip(originals, others, strict=True)
        for a, b in zip(batch, other, strict=True)
    ]
    structures = [
        tf.image.ssim(batch[..., None], other[..., None], max_val=1.0).numpy()
        for batch, other in zip(originals, others, strict=True)
    ]
    return np.stack([np.array(ranks), np.concatenate(structures)])
