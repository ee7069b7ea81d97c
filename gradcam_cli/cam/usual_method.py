"""The method with which a model is explained unless the user chooses another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.cam.methods.table import DEFAULT_METHOD, METHODS, find_method
from gradcam_cli.errors import UsageError

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier

_OF_BLACK_BOXES = "rise"
# Grad-CAM averages gradients over the picture, so that the map of one object shows all objects of
# its class.
_OF_DETECTORS = "layercam"
_OF_DETECTORS_WITHOUT_GRADIENT = "drise"


def doubt_of(method: str, classifier: Classifier) -> str:
    """Says why the maps of a method may mislead for a model; "" if nothing speaks against it.

    Args:
        method: A key of `gradcam_cli.cam.methods.table.METHODS`.
        classifier: The model.
    """
    info = METHODS[method]
    averages = info.needs_layer and info.uses_gradients and not info.multiplies_cells
    if not classifier.detects or not (averages or info.ignores_class):
        return ""
    how = "shows the same for every box" if info.ignores_class else "averages gradients"
    return (
        f"{info.title} {how}, so the map of one object may show others too; {_OF_DETECTORS} shows "
        f"its own"
    )


def usual_method(classifier: Classifier) -> str:
    """Returns the name of the method that suits a model.

    Args:
        classifier: The model.
    """
    if classifier.decoder is not None:
        has_gradient = not (classifier.is_black_box or classifier.decoder.no_gradient)
        return _OF_DETECTORS if has_gradient else _OF_DETECTORS_WITHOUT_GRADIENT
    return _OF_BLACK_BOXES if classifier.is_black_box else DEFAULT_METHOD


def check_suits(method: str, classifier: Classifier, *, is_layer_chosen: bool) -> None:
    """Refuses methods and layers for models without layers and gradients.

    Args:
        method: The name of the method.
        classifier: The model.
        is_layer_chosen: Whether the user chose a layer.

    Raises:
        UsageError: The model has none, and the method needs them or a layer is chosen.
    """
    if not classifier.is_black_box:
        return
    if not find_method(method).is_black_box:
        raise UsageError(
            f"{classifier.name} is {_kind_of(classifier)} without layers and gradients that "
            f"{method} could use; choose --method {_suitable(classifier)}"
        )
    if is_layer_chosen:
        raise UsageError(f"{describe_missing_layers(classifier)}; leave out --layer")


def check_has_layers(classifier: Classifier) -> None:
    """Refuses models without layers.

    Raises:
        UsageError: The model has none.
    """
    if classifier.is_black_box:
        raise UsageError(describe_missing_layers(classifier))


def describe_missing_layers(classifier: Classifier) -> str:
    """Says of a black box that it has no layers, and what explains it without them."""
    return (
        f"{classifier.name} is {_kind_of(classifier)}, which has no layers that could be chosen; "
        f"--method {_suitable(classifier)} needs none"
    )


def _kind_of(classifier: Classifier) -> str:
    from gradcam_cli.networks.black_box import BlackBoxNetwork
    from gradcam_cli.networks.bound import without_values

    network = without_values(classifier.network)
    return network.kind if isinstance(network, BlackBoxNetwork) else "a black box"


def _suitable(classifier: Classifier) -> str:
    *names, last = [
        name
        for name, info in METHODS.items()
        if info.is_black_box and (classifier.detects or not info.only_for_detection)
    ]
    return f"{', '.join(names)} or {last}" if names else last
