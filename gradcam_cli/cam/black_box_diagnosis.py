"""Finds out why a map of a black-box method shows nothing, without layers or gradients."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
import tensorflow as tf

from gradcam_cli.cam.blank_maps import BlankMap, BlankReason
from gradcam_cli.cam.diagnosis import all_finite
from gradcam_cli.networks.forward import Network, Scorer
from gradcam_cli.networks.tasks import REGRESSION
from gradcam_cli.networks.weights import broken_weights, describe_broken


class BlackBoxDiagnosis:
    """Finds the reasons for maps that show nothing. Several threads can use it."""

    def __init__(
        self,
        network: Network,
        scorer: Scorer,
        input_shape: Sequence[int | None],
        target_shape: Sequence[int | None],
    ) -> None:
        """Prepares one pass; nothing is traced yet.

        Args:
            network: The network, to look through its weights.
            scorer: Runs the network in a graph.
            input_shape: The shape of one input.
            target_shape: The shape of one input's targets.
        """
        self._network = network
        self._scorer = scorer
        self._lock = Lock()
        self._is_value = False
        self._function = tf.function(
            self._trace,
            input_signature=[
                tf.TensorSpec((None, *input_shape), tf.float32),
                tf.TensorSpec((None, *target_shape), tf.float32),
            ],
            autograph=False,
        )

    def explain(
        self,
        inputs: np.ndarray | tf.Tensor,
        targets: np.ndarray | tf.Tensor,
        *,
        was_finite: bool,
        multiplied: bool = False,
    ) -> BlankMap:
        """Finds out why a map is blank, although changes of the input change the score.

        Args:
            inputs: (1, ..., channels) float32, as the scorer takes them.
            targets: (1, classes) float32, as the scorer takes them.
            was_finite: Whether the map was all zeros, not NaN or infinity.
            multiplied: Whether the map is a product of several, which no black-box method makes.
        """
        broken = self._find_broken(inputs, targets)
        if broken is None and not was_finite:
            broken = (
                BlankReason.NONFINITE_MAP,
                "for parts of this picture, the network gives NaN or infinity; check --preprocess",
            )
        if broken is None:
            broken = (
                BlankReason.NOTHING_POSITIVE,
                "no part of the picture raises this value; show what lowers it with --signed, or "
                "try another output"
                if self._is_value
                else "no part of the picture speaks for this class; show what speaks against it "
                "with --signed, or try another class",
            )
        reason, cause = broken
        return BlankMap(reason, f"the map is blank: {cause}")

    def explain_constant(
        self, inputs: np.ndarray | tf.Tensor, targets: np.ndarray | tf.Tensor
    ) -> BlankMap:
        """Finds out why a map is the same everywhere, but not zero.

        Args:
            inputs: As for `explain`.
            targets: As for `explain`.
        """
        broken = self._find_broken(inputs, targets)
        if broken is not None:
            reason, cause = broken
            return BlankMap(reason, f"the map is meaningless: {cause}")
        return BlankMap(
            BlankReason.CONSTANT_MAP,
            "the map shows no place: all parts of the picture change the score equally; try a "
            "larger --size, smaller parts or another method",
        )

    def explain_prediction(
        self, inputs: np.ndarray | tf.Tensor, targets: np.ndarray | tf.Tensor
    ) -> str:
        """Finds out why a prediction is NaN or infinite.

        Args:
            inputs: As for `explain`.
            targets: As for `explain`.

        Returns:
            A clause with the reason, and what to do.
        """
        broken = self._find_broken(inputs, targets)
        return "its last operation overflows" if broken is None else broken[1]

    def _find_broken(
        self, inputs: np.ndarray | tf.Tensor, targets: np.ndarray | tf.Tensor
    ) -> tuple[BlankReason, str] | None:
        """Returns why values aren't finite, and what to do; None if all are."""
        with self._lock:
            # A network that isn't built yet can't be built inside a graph.
            _ = self._network.is_constant
            are_finite = self._function(
                tf.constant(inputs, tf.float32), tf.constant(targets, tf.float32)
            )
        is_input_finite, is_score_finite = (bool(one) for one in are_finite)
        if not is_input_finite:
            return (
                BlankReason.NONFINITE_INPUT,
                "the picture has NaN or infinity after preprocessing; check --preprocess",
            )
        broken = broken_weights(self._network, with_infinity=not is_score_finite)
        if broken:
            return BlankReason.NONFINITE_WEIGHTS, describe_broken(broken)
        if not is_score_finite:
            return (
                BlankReason.NONFINITE_ACTIVATIONS,
                "the network gives NaN or infinity; check --preprocess and whether the model "
                "works for other pictures",
            )
        return None

    def _trace(self, inputs: tf.Tensor, targets: tf.Tensor) -> list[tf.Tensor]:
        forward, scores = self._scorer(inputs, targets)
        self._is_value = forward.task == REGRESSION
        return [all_finite(forward.inputs), all_finite(scores)]
