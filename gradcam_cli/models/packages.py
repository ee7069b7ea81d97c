"""The packages whose classes model files refer to, and how to import them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from gradcam_cli.errors import ModelFileError, reason
from gradcam_cli.runtime.extras import how_to_install


@dataclass(frozen=True)
class Package:
    """A package with Keras classes.

    Attributes:
        title: Its display name.
        module: Its Python module.
        install: The command that installs it.
        namespaces: The names under which its classes are registered, or with which the names
            of their modules begin.
        classes: Its classes that older files name without a package or module.
        objects: The attributes of the module that hold its classes or return a Keras
            ``CustomObjectScope`` of them, for packages that don't register them on import.
    """

    title: str
    module: str
    install: str
    namespaces: frozenset[str]
    classes: frozenset[str] = frozenset()
    objects: tuple[str, ...] = ()

    def names(self, entry: dict[str, Any]) -> bool:
        """Returns whether an object in an architecture belongs to this package.

        Args:
            entry: The object as serialized by Keras.
        """
        places = set(namespaces_of(entry))
        return bool(places & self.namespaces) or (
            not places and entry["class_name"] in self.classes
        )

    def load(self, needed: str) -> dict[str, Any]:
        """Imports the package.

        Args:
            needed: The start of an error message: the file, and what it needs of the package.

        Returns:
            The classes, by name, that Keras still doesn't know after the import.

        Raises:
            ModelFileError: The package isn't installed, or can't be imported.
        """
        try:
            module = importlib.import_module(self.module)
        # A package that doesn't support the installed TensorFlow can raise any error.
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
    how_to_install("hub"),
    # KerasNLP is its former name.
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
    """Yields the packages in which Keras would look for an object in an architecture.

    Args:
        entry: The object as serialized by Keras.

    Yields:
        The package that it is registered under, and the package of its module. Nothing for
        Keras's own objects in older files.
    """
    for name in (entry.get("registered_name"), entry["class_name"]):
        if isinstance(name, str) and ">" in name:
            yield name.partition(">")[0].partition(".")[0]
    if isinstance(entry.get("module"), str):
        yield entry["module"].partition(".")[0]
