"""Finds the weights of a network that aren't numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradcam_cli.networks.forward import Network


def broken_weights(network: Network) -> list[str]:
    """Describes each weight that holds NaN or infinity.

    Args:
        network: The network.

    Returns:
        Descriptions such as "kernel of layer conv1 (NaN in 1 of 432 values)", in the order of
        the layers.
    """
    return [
        f"{name} of layer {layer} ({_count(values)})" if layer else f"{name} ({_count(values)})"
        for layer, name, values in network.weights()
        if not is_finite(values)
    ]


def is_finite(values: np.ndarray) -> bool:
    """Returns whether all values are finite, without a copy of them.

    Args:
        values: Of any dtype; integers are finite.
    """
    if not np.issubdtype(values.dtype, np.floating) and values.dtype.kind != "V":
        return True
    # Only NaN and infinity don't give 0.
    return all(bool(np.isfinite(part).all()) for part in _parts(values))


def _parts(values: np.ndarray) -> Iterator[np.ndarray]:
    flat = values.reshape(-1)
    size = 2**20
    for start in range(0, flat.size, size):
        part = flat[start : start + size]
        # NumPy knows bfloat16 only as bytes with a conversion.
        yield part if part.dtype.kind == "f" else part.astype(np.float32)


def _count(values: np.ndarray) -> str:
    numbers = {"NaN": 0, "infinity": 0}
    for part in _parts(values):
        numbers["NaN"] += int(np.isnan(part).sum())
        numbers["infinity"] += int(np.isinf(part).sum())
    found = [f"{name} in {number:,}" for name, number in numbers.items() if number]
    return f"{' and '.join(found)} of {values.size:,} values"
