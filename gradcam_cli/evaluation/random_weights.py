"""Takes from a network what it learned: shuffles its weights, and puts them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.errors import UnsupportedModelError
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.networks.bound import without_values
from gradcam_cli.networks.keras_network import KerasNetwork, walk_layers

if TYPE_CHECKING:
    import keras

    from gradcam_cli.networks.forward import Network

# A layer and its path.
NamedLayer = tuple[str, "keras.Layer"]


@contextmanager
def randomized_weights(model: keras.Model | Classifier, seed: int = 0) -> Iterator[None]:
    """Shuffles the weights of all layers while the ``with`` block runs, then puts them back.

    Each weight is shuffled by itself, which keeps its distribution. With newly initialized
    weights, a network that relies on the statistics of batch normalization would return
    constants.

    Args:
        model: A Keras model, or a `Classifier` of one.
        seed: The seed of the random order.

    Raises:
        UnsupportedModelError: It isn't a Keras model, has no weights, or its graph holds them as
            constants, as that of `Classifier.folded`.
    """
    if isinstance(model, Classifier):
        network = changeable(model.network)
        if network is None:
            raise UnsupportedModelError(
                f"{model.name}: its weights can't be changed; only those of a .keras or .h5 "
                f"model can"
            )
        model = network.model
    layers = [named for unit in units_of(model) for named in unit]
    with restored_weights(model):
        shuffle_weights(layers, seed)
        yield


def changeable(network: Network) -> KerasNetwork | None:
    """Returns a network as one whose weights can be changed in place; None if they can't."""
    inner = without_values(network)
    return inner if isinstance(inner, KerasNetwork) and not inner.is_constant else None


def units_of(model: keras.Model) -> list[list[NamedLayer]]:
    """Groups the layers that have weights, in their order.

    Each group begins with a layer whose weights have more than one axis. What belongs to it
    follows, such as the batch normalization after a convolution.

    Raises:
        UnsupportedModelError: No layer has weights.
    """
    units: list[list[NamedLayer]] = []
    for path, layer in walk_layers(model):
        inner = [child for _, child in walk_layers(layer) if child.weights]
        if inner or not layer.weights:
            continue
        if any(len(weight.shape) > 1 for weight in layer.trainable_weights) or not layer.trainable:
            units.append([(path, layer)])
        elif units:
            units[-1].append((path, layer))
    if not units:
        raise UnsupportedModelError(f"{model.name}: has no layer with weights to randomize")
    return units


def shuffle_weights(layers: Sequence[NamedLayer], seed: int) -> None:
    """Shuffles each weight of the layers."""
    rng = np.random.default_rng(seed)
    for _, layer in layers:
        layer.set_weights(
            [
                rng.permutation(weight.ravel()).reshape(weight.shape)
                for weight in layer.get_weights()
            ]
        )


@contextmanager
def restored_weights(model: keras.Model, is_wanted: bool = True) -> Iterator[None]:
    """Puts the weights back as they were, at the end of the ``with`` block.

    Args:
        model: The model.
        is_wanted: Whether to do so.
    """
    weights = model.get_weights() if is_wanted else []
    try:
        yield
    finally:
        if is_wanted:
            model.set_weights(weights)
