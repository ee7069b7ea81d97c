"""Finds the weights of a network that aren't numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam_cli.networks.forward import Network

# Few enough for the cache of a core.
_AT_ONCE = 2**18
# A model may have hundreds of broken weights.
_MOST_NAMES = 3


def broken_weights(network: Network, *, with_infinity: bool = True) -> list[str]:
    """Describes each weight that holds NaN or infinity.

    Args:
        network: The network.
        with_infinity: Whether infinity counts. A constant may be infinite on purpose, as in the
            mask of an attention.

    Returns:
        Descriptions such as "kernel of layer conv1 (NaN in 1 of 432 values)", in the order of
        the layers.
    """
    found = []
    for layer, name, values in network.weights():
        counts = _count(values, with_infinity)
        if counts:
            found.append(f"{name} of layer {layer} ({counts} of {values.size:,} values)")
    return found


def describe_broken(broken: Sequence[str]) -> str:
    """Says which weights aren't finite, and what to do; "" if all are.

    Args:
        broken: The descriptions of the weights.
    """
    if not broken:
        return ""
    more = len(broken) - _MOST_NAMES
    names = ", ".join(broken[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"the model is damaged: {names}; use a copy from before its training failed"


def _count(values: np.ndarray, with_infinity: bool) -> str:
    numbers = {"NaN": 0, "infinity": 0}
    flat = values.reshape(-1)
    for start in range(0, flat.size, _AT_ONCE):
        part = flat[start : start + _AT_ONCE]
        # NumPy knows bfloat16 only by its conversion.
        part = part if part.dtype.kind == "f" else part.astype(np.float32)
        if not np.isfinite(part).all():
            numbers["NaN"] += int(np.isnan(part).sum())
            numbers["infinity"] += int(np.isinf(part).sum()) * with_infinity
    return " and ".join(f"{name} in {number:,}" for name, number in numbers.items() if number)
