"""Finds out what the outputs of a user's model mean."""

from __future__ import annotations

from dataclasses import dataclass

from gradcam_cli.errors import UsageError
from gradcam_cli.networks.forward import ForwardPass
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.tasks import (
    BINARY,
    CLASSIFICATION,
    MULTILABEL,
    REGRESSION,
    SEGMENTATION,
)

# Final operations for values that are positive or have limits. No classifier ends in one.
_OF_VALUES = operation_names("Relu", "Relu6", "LeakyRelu", "Elu", "Softplus", "Exp", "Tanh", "Abs")
_DENSE_RANK = 4


@dataclass(frozen=True)
class TaskChoice:
    """A task and the reason for it.

    Attributes:
        task: One of `gradcam_cli.networks.tasks.TASKS`.
        reason: Why it was chosen; empty for a classifier that ends in softmax.
        doubt: What to do if it is wrong; empty if results don't depend on it.
    """

    task: str
    reason: str = ""
    doubt: str = ""


def choose_task(forward: ForwardPass, asked: str | None) -> TaskChoice:
    """Chooses the task that the user asked for, or the one that the outputs suggest.

    Args:
        forward: A pass through the network, traced for any task.
        asked: The task that the user asked for; None to find it out.

    Raises:
        UsageError: The outputs don't fit the task that was asked for.
    """
    if asked is not None:
        _check(forward, asked)
        is_one_unit = asked == CLASSIFICATION and forward.units == 1
        return TaskChoice(BINARY if is_one_unit else asked, "as --task says")
    if _is_dense(forward):
        return TaskChoice(SEGMENTATION, "the output has rows and columns")
    return _by_activation(forward)


def _by_activation(forward: ForwardPass) -> TaskChoice:
    is_one = forward.units == 1
    if forward.activation == "Softmax":
        return TaskChoice(CLASSIFICATION)
    if forward.activation == "Sigmoid":
        if is_one:
            return TaskChoice(BINARY, "the output is one sigmoid unit")
        return TaskChoice(MULTILABEL, "the output ends in sigmoid, each class for itself")
    if not is_one:
        return TaskChoice(
            CLASSIFICATION,
            "a guess: the output ends without an activation; set it with --task",
        )
    if forward.last_operation in _OF_VALUES:
        return TaskChoice(REGRESSION, "a guess: one unit that ends in neither sigmoid nor softmax")
    return TaskChoice(
        REGRESSION,
        "a guess: one linear unit",
        "its only output is taken for a value; if it is the score of two classes, add --task "
        "binary, else --task regression",
    )


def _check(forward: ForwardPass, asked: str) -> None:
    units = forward.units
    problem = None
    if asked == SEGMENTATION and not _is_dense(forward):
        problem = "needs an output with rows and columns", CLASSIFICATION
    elif asked != SEGMENTATION and _is_dense(forward):
        problem = "needs one number for each class, not rows and columns", SEGMENTATION
    elif asked == BINARY and units != 1:
        problem = f"needs a single output, but the model has {units}", CLASSIFICATION
    elif asked == MULTILABEL and units == 1:
        problem = "needs several outputs, but the model has one", BINARY
    elif asked == MULTILABEL and forward.activation == "Softmax":
        problem = "the model ends in softmax, which allows one class", CLASSIFICATION
    elif asked == REGRESSION and forward.activation == "Softmax":
        problem = "the model ends in softmax, so its outputs are probabilities", CLASSIFICATION
    if problem is not None:
        why, instead = problem
        raise UsageError(f"--task {asked}: {why}; choose --task {instead}")


def _is_dense(forward: ForwardPass) -> bool:
    return forward.logits.shape.rank == _DENSE_RANK
