"""The tasks that networks are trained for: what the numbers they return mean."""

from __future__ import annotations

# One class of several: softmax turns the scores into probabilities.
CLASSIFICATION = "classification"
# One unit with the score of the second of two classes: sigmoid turns it into its probability.
BINARY = "binary"
# Each output is a quantity of its own, such as an age: its value needs no conversion.
REGRESSION = "regression"
# Any number of classes at once: sigmoid turns each score into a probability.
MULTILABEL = "multilabel"
# A class for each position: the result is the share of the picture that it covers.
SEGMENTATION = "segmentation"
# Boxes, each with the scores of all classes.
DETECTION = "detection"
TASKS = (CLASSIFICATION, BINARY, REGRESSION, MULTILABEL, SEGMENTATION, DETECTION)

# What the number of a class or output is, as JSON calls it.
PROBABILITY, VALUE, SHARE = "probability", "value", "share"


def quantity_of(task: str) -> str:
    """Returns what the number of each output means: "probability", "value" or "share".

    Args:
        task: One of `TASKS`.
    """
    return {REGRESSION: VALUE, SEGMENTATION: SHARE}.get(task, PROBABILITY)
