"""The method with which a model is explained unless the user chooses another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.cam.methods.table import DEFAULT_METHOD

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier

_OF_BLACK_BOXES = "rise"
# Grad-CAM averages gradients over the picture, so that the map of one object shows all objects of
# its class.
_OF_DETECTORS = "layercam"
_OF_DETECTORS_WITHOUT_GRADIENT = "drise"


def usual_method(classifier: Classifier) -> str:
    """Returns the name of the method that suits a model.

    Args:
        classifier: The model.
    """
    if classifier.decoder is not None:
        has_gradient = not (classifier.is_black_box or classifier.decoder.no_gradient)
        return _OF_DETECTORS if has_gradient else _OF_DETECTORS_WITHOUT_GRADIENT
    return _OF_BLACK_BOXES if classifier.is_black_box else DEFAULT_METHOD
