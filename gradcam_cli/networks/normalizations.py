"""Finds where a network normalizes the channels of each cell."""

from __future__ import annotations

import tensorflow as tf

from gradcam_cli.networks.grids import GridTrace
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.place_rules.step import Step

# The operations in which layer normalization uses its input, and other layers don't.
_OF_NORMALIZATIONS = operation_names(
    *("Cast", "Mean", "Mul", "Shape", "Square", "SquaredDifference", "StopGradient", "Sub")
)
# The operation with which tf-keras computes layer normalization, after a reshape.
_OF_BATCHES = "FusedBatchNorm"


def is_only_normalized(trace: GridTrace, tensor: tf.Tensor) -> bool:
    """Returns whether a tensor is used only by a normalization of each cell's channels.

    Such a normalization ignores the length of a cell's channel vector, so the product of a cell
    and its gradient is zero up to rounding.

    Args:
        trace: The places of all tensors between a picture and the scores.
        tensor: One of them.
    """
    copy = trace.copy(tensor)
    if copy is None:
        return False
    users = _users(trace, copy)
    reshaped = [step.op.outputs[0] for step in users if step.type == "Reshape"]
    if reshaped and all(step.type in ("Reshape", "Shape") for step in users):
        after = [step for output in reshaped for step in _users(trace, output)]
        turned = [step.op.outputs[0] for step in after if step.type == "Transpose"]
        after = [step for step in after if step.type != "Transpose"]
        after += [step for output in turned for step in _users(trace, output)]
        return all(step.type.startswith(_OF_BATCHES) for step in after)
    means = [step.op.outputs[0] for step in users if step.type == "Mean"]
    places = [trace.places_of(mean) for mean in means]
    return (
        any(found is not None and found.has_cells for found in places)
        and len(means) < len(users)
        and all(step.type in _OF_NORMALIZATIONS for step in users)
    )


def _users(trace: GridTrace, copy: tf.Tensor) -> list[Step]:
    return [
        step for step in trace.steps if any(tensor.name == copy.name for tensor in step.op.inputs)
    ]
