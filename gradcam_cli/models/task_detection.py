"""Finds out what the outputs of a user's model mean.

The loss with which the model was trained decides, where it is known, and the final activation
otherwise.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError, UsageError
from gradcam_cli.models.hub import is_classifier
from gradcam_cli.models.stored_loss import (
    OF_EACH_CLASS,
    OF_ONE_CLASS,
    OF_VALUES,
    StoredLoss,
    find_loss,
)
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


@dataclass(frozen=True)
class TaskEvidence:
    """What is known about the outputs besides the network itself.

    Attributes:
        loss: The loss with which they were trained; None if it isn't known.
        is_classifier: Whether the class of the model is that of a classifier.
    """

    loss: StoredLoss | None = None
    is_classifier: bool = False


@dataclass(frozen=True)
class TaskChoice:
    """A task and the reason for it.

    Attributes:
        task: One of `gradcam_cli.networks.tasks.TASKS`.
        reason: Why it was chosen; empty for a classifier that ends in softmax.
        doubt: What to do if it is wrong; empty if results don't depend on it.
        is_sure: Whether the user or the training says so.
        is_guess: Whether names for the outputs would settle it.
    """

    task: str
    reason: str = ""
    doubt: str = ""
    is_sure: bool = False
    is_guess: bool = False


def task_evidence(
    model: keras.Model, training: Any = None, output: str | None = None
) -> TaskEvidence:
    """Gathers what a Keras model says about the meaning of its outputs.

    Args:
        model: The model.
        training: Its stored training configuration; None for that of a model in memory.
        output: The name of the output in question; None if there is only one.
    """
    if training is None:
        # The user's own losses and metrics may not be serializable. The learning rate can't be read
        # while a graph is traced.
        with contextlib.suppress(Exception), tf.init_scope():
            training = model.get_compile_config()
    names = [str(name) for name in getattr(model, "output_names", None) or ()]
    return TaskEvidence(find_loss(training, names, output), is_classifier(model))


def trained_task(model: Any) -> str | None:
    """Returns the task for which a model in memory was compiled.

    Args:
        model: A Keras model, or anything that is called like one.

    Returns:
        "regression", "multilabel", or "classification" with any number of classes; None if the
        model wasn't compiled, or its loss isn't known.
    """
    loss = task_evidence(model).loss
    meanings = {OF_VALUES: REGRESSION, OF_EACH_CLASS: MULTILABEL, OF_ONE_CLASS: CLASSIFICATION}
    return None if loss is None or loss.meaning is None else meanings[loss.meaning]


def choose_task(
    path: str, forward: ForwardPass, evidence: TaskEvidence, asked: str | None
) -> TaskChoice:
    """Chooses the task that the user asked for, or the one that the outputs suggest.

    Args:
        path: The path of the model, for messages.
        forward: A pass through the network, traced for classification.
        evidence: What else is known.
        asked: The task that the user asked for; None to find it out.

    Raises:
        UsageError: The outputs don't fit the task that was asked for.
        UnsupportedModelError: The model returns values for each position.
    """
    if asked is not None:
        _check(forward, asked)
        is_one_unit = asked == CLASSIFICATION and forward.units == 1
        return TaskChoice(BINARY if is_one_unit else asked, "as --task says", is_sure=True)
    loss = evidence.loss
    if _is_dense(forward):
        if loss is not None and loss.meaning == OF_VALUES:
            raise UnsupportedModelError(
                f"{path}: returns values for each position (compiled with {loss.name}); if its "
                f"channels are classes, add --task {SEGMENTATION}"
            )
        is_sure = loss is not None and loss.meaning is not None
        return TaskChoice(SEGMENTATION, "the output has rows and columns", is_sure=is_sure)
    if forward.activation == "Softmax":
        return _of_softmax(forward)
    if loss is not None and loss.meaning is not None:
        return _by_loss(forward, loss)
    if evidence.is_classifier and forward.units != 1 and forward.activation is None:
        return TaskChoice(CLASSIFICATION, "the model is an ImageClassifier of KerasHub")
    unknown = "" if loss is None else f"; the loss {loss.name} isn't known"
    return _by_activation(forward, unknown)


def _of_softmax(forward: ForwardPass) -> TaskChoice:
    if forward.units != 1:
        return TaskChoice(CLASSIFICATION)
    return TaskChoice(
        BINARY,
        "its only output is a softmax",
        "its only output is a softmax, which is always 1: the model tells nothing apart; train it "
        "with sigmoid instead",
    )


def _by_loss(forward: ForwardPass, loss: StoredLoss) -> TaskChoice:
    reason = f"compiled with {loss.name}"
    if loss.meaning == OF_VALUES:
        return TaskChoice(REGRESSION, reason)
    is_one = forward.units == 1
    task = BINARY if is_one else MULTILABEL if loss.meaning == OF_EACH_CLASS else CLASSIFICATION
    if forward.activation is not None or not loss.takes_probabilities:
        return TaskChoice(task, reason)
    final = "softmax" if loss.meaning == OF_ONE_CLASS and not is_one else "sigmoid"
    return TaskChoice(
        task,
        f"{reason} without from_logits, but the output has no {final}",
        f"it was compiled with {loss.name} as if its outputs were probabilities, but it ends "
        f"without {final}: the printed probabilities may be wrong; retrain it with "
        f"from_logits=True",
    )


def _by_activation(forward: ForwardPass, unknown: str) -> TaskChoice:
    is_one = forward.units == 1
    if forward.activation == "Sigmoid":
        if is_one:
            return TaskChoice(BINARY, f"its only output is a sigmoid{unknown}")
        return TaskChoice(MULTILABEL, f"each class has its own sigmoid{unknown}")
    if not is_one:
        return TaskChoice(
            CLASSIFICATION,
            f"a guess: several linear outputs{unknown}; set it with --task",
            f"its {forward.units} linear outputs are taken for the scores of classes, which is a "
            f"guess; if they are values, add --task {REGRESSION}, else --task {CLASSIFICATION} or "
            f"--labels",
            is_guess=True,
        )
    if forward.last_operation in _OF_VALUES:
        return TaskChoice(
            REGRESSION, f"a guess: one output without sigmoid{unknown}; set it with --task"
        )
    return TaskChoice(
        REGRESSION,
        f"a guess: one linear output{unknown}; set it with --task",
        f"its only output is taken for a value, which is a guess; if it is the score of two "
        f"classes, add --task {BINARY}, else --task {REGRESSION}",
        is_guess=True,
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
    return forward.task == SEGMENTATION
