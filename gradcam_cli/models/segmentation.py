"""Checks and names the outputs of networks that segment pictures."""

from __future__ import annotations

import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError
from gradcam_cli.models.labels import Labels
from gradcam_cli.networks.conditions import REGION, Condition, Conditions
from gradcam_cli.networks.detection import BoxDecoder
from gradcam_cli.networks.forward import ForwardPass, Network, trace_forward
from gradcam_cli.networks.grids import NoGrid
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.tasks import SEGMENTATION, SHARE

# What a network that segments takes beside a picture.
REGIONS = Conditions((Condition(REGION, (None, None)),))
# Networks that segment rarely have an output that is coarser; feature maps usually are.
_COARSEST_PITCH = 8
# No scores of classes end in these operations.
_OF_VALUES = operation_names("Relu", "Relu6", "LeakyRelu", "Elu", "Softplus", "Exp", "Tanh", "Abs")
_ADVICE = f"if its channels are the scores of classes, add --task {SEGMENTATION}"


def check_scores(path: str, forward: ForwardPass, *, is_sure: bool) -> None:
    """Refuses outputs with rows and columns that probably aren't scores of classes.

    Args:
        path: The path of the model, for messages.
        forward: A pass through the network.
        is_sure: Whether the user or the training says that the network segments.

    Raises:
        UnsupportedModelError: The output isn't a score for each class at each position.
    """
    dense = forward.found_dense
    if dense is None or isinstance(dense, NoGrid):
        why = "has no rows and columns" if dense is None else dense.reason
        raise UnsupportedModelError(
            f"{path}: the model returns neither a score for each class, (None, classes), nor "
            f"scores at each position of the picture: its output {why}"
        )
    if is_sure or forward.activation is not None:
        return
    shape = "×".join(map(str, (*dense.grid.size, dense.units)))
    what = None
    if forward.last_operation in _OF_VALUES:
        what = f"ends in {forward.last_operation}, so it returns feature maps or pixels ({shape})"
    elif max(dense.grid.pitch) > _COARSEST_PITCH:
        what = f"returns feature maps ({shape}), as a network without its last layers does"
    elif dense.units == 1:
        what = "returns one number for each pixel without sigmoid, which may be anything"
    if what is not None:
        raise UnsupportedModelError(f"{path}: the model {what}; {_ADVICE}")


def takes_any_size(network: Network, channels: int, decoder: BoxDecoder | None = None) -> bool:
    """Returns whether a network can be traced for pictures of an unknown size.

    Args:
        network: A network whose input shape has no height and width.
        channels: The number of its channels.
        decoder: For a detector, what reads its boxes.
    """

    def trace(inputs: tf.Tensor) -> tf.Tensor:
        return trace_forward(network, inputs, decoder=decoder).logits

    signature = tf.TensorSpec((None, None, None, channels), tf.float32)
    try:
        tf.function(trace, autograph=False).get_concrete_function(signature)
    # Keras's own layers check some sizes with Python's if, which fails in many ways.
    except Exception:
        return False
    return True


def mask_labels() -> Labels:
    """Names the two classes of a network with a single channel."""
    return Labels([["background"], ["foreground"]], quantity=SHARE)
