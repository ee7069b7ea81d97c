"""Reads the loss with which a model was trained from the JSON that Keras stores.

Only plain values are looked at, and nothing is deserialized: the file may come from anyone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# What a loss says about the outputs.
OF_VALUES, OF_ONE_CLASS, OF_EACH_CLASS = "values", "one class", "each class"
_MEANINGS = {
    "mean_squared_error": OF_VALUES,
    "mean_absolute_error": OF_VALUES,
    "mean_absolute_percentage_error": OF_VALUES,
    "mean_squared_logarithmic_error": OF_VALUES,
    "huber": OF_VALUES,
    "log_cosh": OF_VALUES,
    "poisson": OF_VALUES,
    "binary_crossentropy": OF_EACH_CLASS,
    "binary_focal_crossentropy": OF_EACH_CLASS,
    "hinge": OF_EACH_CLASS,
    "squared_hinge": OF_EACH_CLASS,
    "categorical_crossentropy": OF_ONE_CLASS,
    "sparse_categorical_crossentropy": OF_ONE_CLASS,
    "categorical_focal_crossentropy": OF_ONE_CLASS,
    "categorical_generalized_cross_entropy": OF_ONE_CLASS,
    "categorical_hinge": OF_ONE_CLASS,
    "kl_divergence": OF_ONE_CLASS,
}
_OTHER_NAMES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "huber_loss": "huber",
    "logcosh": "log_cosh",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
}
# The losses that take logits only if they are told to.
_FROM_PROBABILITIES = re.compile(r".*cross_?entropy")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class StoredLoss:
    """The loss of one output.

    Attributes:
        name: Its name, in the spelling of ``keras.losses``' functions if it is one of these.
        meaning: What it says about the outputs: `OF_VALUES`, `OF_ONE_CLASS` (of several) or
            `OF_EACH_CLASS` (for itself); None for a loss that isn't known.
        takes_probabilities: Whether it takes its inputs for probabilities.
    """

    name: str
    meaning: str | None
    takes_probabilities: bool


def find_loss(
    training: Any, outputs: Sequence[str] = (), output: str | None = None
) -> StoredLoss | None:
    """Finds the loss of one output in a stored training configuration.

    Args:
        training: The configuration as parsed from JSON: "compile_config" of a .keras file, or
            "training_config" of a .h5 file. Other content counts as none.
        outputs: The names of the model's outputs, in their order.
        output: The output in question; None if there is only one.

    Returns:
        The loss; None if none is stored for this output.
    """
    loss = training.get("loss") if isinstance(training, dict) else None
    # Some versions wrap the configuration of an output in further lists.
    while True:
        if isinstance(loss, list):
            place = outputs.index(output) if output in outputs else 0
            loss = loss[place] if place < len(loss) else None
        elif isinstance(loss, dict) and not isinstance(loss.get("class_name"), str):
            only = next(iter(loss.values())) if len(loss) == 1 and output is None else None
            loss = loss.get(output, only) if output is not None else only
        else:
            break
    return _describe(loss)


def _describe(loss: Any) -> StoredLoss | None:
    options: Any = {}
    name = loss
    if isinstance(loss, dict):
        name, options = loss["class_name"], loss.get("config")
        if name == "function":
            name, options = options, {}
    if not isinstance(name, str) or not name:
        return None
    name = _canonical(name)
    options = options if isinstance(options, dict) else {}
    from_logits = options.get("from_logits") is True
    takes_probabilities = bool(_FROM_PROBABILITIES.fullmatch(name)) and not from_logits
    return StoredLoss(name, _MEANINGS.get(name), takes_probabilities)


def _canonical(name: str) -> str:
    """Spells "MeanSquaredError", "MSE" or "Package>Huber" like the functions in keras.losses."""
    name = name.rpartition(">")[2][:_LONGEST_NAME]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    # "KLDivergence" and "KLD" start with an abbreviation.
    words = words.replace("kldivergence", "kl_divergence")
    return _OTHER_NAMES.get(words, words)
