"""The packages that bring classes to which model files refer, and how to have them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from gradcam_cli.errors import ModelFileError, reason


@dataclass(frozen=True)
class Package:
    """A package with classes of Keras.

    Attributes:
        title: What people call it.
        module: What Python calls it.
        install: The command that installs it.
        namespaces: What its classes are registered under, or what the modules begin with that
            they are in.
        classes: Those of its classes that older files name without either.
        objects: The attributes of the module that hold its classes, or make Keras's
            ``CustomObjectScope`` of them, where importing it doesn't register them.
    """

    title: str
    module: str
    install: str
    namespaces: frozenset[str]
    classes: frozenset[str] = frozenset()
    objects: tuple[str, ...] = ()

    def names(self, entry: dict[str, Any]) -> bool:
        """Says whether an object in an architecture is one of this package's.

        Args:
            entry: The object as Keras serialized it.
        """
        places = set(namespaces_of(entry))
        return bool(places & self.namespaces) or (
            not places and entry["class_name"] in self.classes
        )

    def load(self, needed: str) -> dict[str, Any]:
        """Imports it.

        Args:
            needed: What is read with it, and what of it is needed, for the message of an error.

        Returns:
            The classes that Keras doesn't know from then on, by their names.

        Raises:
            ModelFileError: It isn't installed, or can't be imported.
        """
        try:
            module = importlib.import_module(self.module)
        # A package that doesn't go with the TensorFlow that there is fails in any way.
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name == self.module:
                raise ModelFileError(
                    f"{needed} of {self.title}, which is not installed: {self.install}"
                ) from error
            raise ModelFileError(
                f"{needed} of {self.title}, which can't be imported ({reason(error)}): "
                f"{self.install}"
            ) from error
        objects: dict[str, Any] = {}
        for attribute in self.objects:
            found = attrgetter(attribute)(module)
            if isinstance(found, type):
                objects[found.__name__] = found
                continue
            custom = found().custom_objects
            for known in custom if isinstance(custom, (list, tuple)) else [custom]:
                objects.update(known)
        return objects


KERAS_HUB = Package(
    "KerasHub",
    "keras_hub",
    "pip install 'gradcam-cli[hub]'",
    # KerasNLP is what it was called before.
    namespaces=frozenset({"keras_hub", "keras_nlp"}),
)
OTHERS = (
    Package("KerasCV", "keras_cv", "pip install keras-cv", frozenset({"keras_cv"})),
    Package(
        "TensorFlow Hub",
        "tensorflow_hub",
        "pip install tensorflow-hub",
        frozenset({"tensorflow_hub"}),
        classes=frozenset({"KerasLayer"}),
        objects=("KerasLayer",),
    ),
    Package(
        "the TensorFlow Model Optimization Toolkit",
        "tensorflow_model_optimization",
        "pip install tensorflow-model-optimization",
        frozenset({"tensorflow_model_optimization"}),
        classes=frozenset(
            {
                "ClusterWeights",
                "PruneLowMagnitude",
                "QuantizeAnnotate",
                "QuantizeLayer",
                "QuantizeWrapper",
                "QuantizeWrapperV2",
            }
        ),
        objects=(
            "quantization.keras.quantize_scope",
            "sparsity.keras.prune_scope",
            "clustering.keras.cluster_scope",
        ),
    ),
)


def namespaces_of(entry: dict[str, Any]) -> Iterator[str]:
    """Tells where Keras would look for an object in an architecture.

    Args:
        entry: The object as Keras serialized it.

    Yields:
        The package that it is registered under, and the one that its module is in; neither
        for what is Keras's own in older files.
    """
    for name in (entry.get("registered_name"), entry["class_name"]):
        if isinstance(name, str) and ">" in name:
            yield name.partition(">")[0].partition(".")[0]
    if isinstance(entry.get("module"), str):
        yield entry["module"].partition(".")[0]
