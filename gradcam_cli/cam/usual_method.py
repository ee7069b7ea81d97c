"""The method with which a model is explained unless the user chooses another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.cam.methods.table import DEFAULT_METHOD

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier

_OF_BLACK_BOXES = "rise"


def usual_method(classifier: Classifier) -> str:
    """Returns the name of the method that suits a model.

    Args:
        classifier: The model.
    """
    return _OF_BLACK_BOXES if classifier.is_black_box else DEFAULT_METHOD
