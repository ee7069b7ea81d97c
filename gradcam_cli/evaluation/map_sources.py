"""Sources of the measured maps: a method at a layer, or a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.cam.explainer import Explainer, Explanation
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cam.upsampling import upsample_at_pitch
from gradcam_cli.evaluation.baselines import centre_gaussian_maps, random_maps
from gradcam_cli.evaluation.random_weights import randomized_weights

RANDOM = "random map"
CENTRE = "centre Gaussian"


class MapSource(Protocol):
    """A source of maps; one row of the table of results."""

    @property
    def method(self) -> str:
        """The name of the method or of the baseline."""

    @property
    def layer(self) -> str | None:
        """The explained layer; "" for a method that needs none, None for a baseline."""

    @property
    def title(self) -> str:
        """The display name."""

    def explain(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Makes maps.

        Args:
            inputs: (N, height, width, channels), in [0, 255].
            targets: (N,) int.

        Returns:
            (N, height, width) float32 in [0, 1].
        """

    def explain_randomized(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Makes maps of the network with random weights; arguments and result as above."""


@dataclass(frozen=True)
class ExplainerMaps:
    """The maps of a method at a layer, upsampled to the input."""

    explainer: Explainer

    @property
    def method(self) -> str:
        """The name of the method."""
        return self.explainer.method

    @property
    def layer(self) -> str:
        """The explained layer."""
        return self.explainer.layer

    @property
    def title(self) -> str:
        """The name that the method's authors use."""
        return METHODS[self.method].title

    def explain(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Explains inputs; see `MapSource`."""
        explanation = self.explainer.explain(inputs, np.asarray(targets, np.int32)[:, None])
        return self._upsampled(explanation, inputs)

    def explain_and_check(
        self, inputs: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, dict[int, BlankMap]]:
        """Explains inputs; also says which maps show nothing or aren't final, and why.

        Args:
            inputs: As for `explain`.
            targets: As for `explain`.

        Returns:
            What `explain` returns, and the reasons by the number of the input.
        """
        explanation = self.explainer.explain(inputs, np.asarray(targets, np.int32)[:, None])
        maps = self._upsampled(explanation, inputs)
        upsampled = replace(explanation, maps=maps[:, None])
        blanks = self.explainer.find_blanks(inputs, upsampled).blanks
        return maps, {row: blank for (row, _), blank in blanks.items()}

    def _upsampled(self, explanation: Explanation, inputs: np.ndarray) -> np.ndarray:
        maps = explanation.maps[:, 0]
        if maps.shape[1:] == inputs.shape[1:3]:
            return maps
        size = tf.constant(inputs.shape[1:3], tf.int32)
        upsampled: np.ndarray = upsample_at_pitch(
            tf.constant(maps), size, self.explainer.pitch
        ).numpy()
        return upsampled

    def explain_randomized(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Explains inputs with shuffled weights; see `MapSource`.

        Raises:
            UnsupportedModelError: The weights of the network can't be changed.
        """
        with randomized_weights(self.explainer.classifier):
            return self.explain(inputs, targets)


@dataclass(frozen=True)
class RandomMaps:
    """Random maps, different ones at each call."""

    method: str = RANDOM
    layer: None = None
    title: str = RANDOM
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def explain(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Draws maps; see `MapSource`."""
        return random_maps(len(inputs), inputs.shape[1:3], self._rng)

    def explain_randomized(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Draws other maps; see `MapSource`."""
        return self.explain(inputs, targets)


@dataclass(frozen=True)
class CentreMaps:
    """Maps with their maximum in the centre."""

    method: str = CENTRE
    layer: None = None
    title: str = CENTRE

    def explain(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Makes maps; see `MapSource`."""
        return centre_gaussian_maps(len(inputs), inputs.shape[1:3])

    def explain_randomized(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Makes the same maps; see `MapSource`."""
        return self.explain(inputs, targets)


# Created anew for each measurement, so that the random numbers start from the seed.
BASELINES: tuple[Callable[[], MapSource], ...] = (RandomMaps, CentreMaps)
