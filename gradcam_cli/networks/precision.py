"""Makes a network compute in half precision, which is faster on some GPUs."""

from __future__ import annotations

import keras

from gradcam_cli.errors import UsageError
from gradcam_cli.networks.forward import Network
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers

_POLICY = "mixed_float16"


def use_mixed_precision(network: Network) -> None:
    """Makes all layers but the last compute in float16, with weights in float32.

    The last layer turns scores into probabilities and would lose their differences (Micikevicius
    et al. 2018, arXiv 1710.03740).

    Args:
        network: A network of Keras 3, which is changed.

    Raises:
        UsageError: The network isn't a Keras 3 model.
    """
    if not isinstance(network, KerasNetwork) or not isinstance(network.model, keras.Model):
        raise UsageError("--mixed-precision needs a Keras 3 model; omit it for this one")
    *layers, _ = [layer for _, layer in walk_layers(network.model)]
    for layer in layers:
        layer.dtype_policy = _POLICY
