"""Lets a network compute in half precision, for GPUs that are faster so."""

from __future__ import annotations

import keras

from gradcam_cli.errors import UsageError
from gradcam_cli.networks.forward import Network
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers

_POLICY = "mixed_float16"


def use_mixed_precision(network: Network) -> None:
    """Has all layers but the last compute in float16 from now on, with weights in float32.

    The last one makes probabilities of scores, whose differences would be lost (Micikevicius
    et al. 2018, arXiv 1710.03740).

    Args:
        network: A network of Keras 3; it is changed.

    Raises:
        UsageError: It is no such network.
    """
    if not isinstance(network, KerasNetwork) or not isinstance(network.model, keras.Model):
        raise UsageError("--mixed-precision goes with models of Keras 3 only; leave it out")
    *layers, _ = [layer for _, layer in walk_layers(network.model)]
    for layer in layers:
        layer.dtype_policy = _POLICY
