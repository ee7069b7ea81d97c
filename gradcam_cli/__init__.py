"""gradcam: shows where an image classifier looked, and why this class.

Nothing is imported before it is used: ``import gradcam_cli`` alone doesn't import
TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradcam_cli.explainers import (
        FEM,
        AblationCAM,
        EigenCAM,
        EigenGradCAM,
        FinerCAM,
        FullGrad,
        GradCAM,
        GradCAMPP,
        GroupCAM,
        GuidedGradCAM,
        HiResCAM,
        LayerCAM,
        ScoreCAM,
        ShapleyCAM,
        SmoothGradCAMPP,
        XGradCAM,
    )
    from gradcam_cli.image_explanation import ImageExplanation, explain_image
    from gradcam_cli.keras_callback import GradCAMCallback
    from gradcam_cli.loaded_models import load_model

__version__ = "0.1.0"

__all__ = [
    "FEM",
    "AblationCAM",
    "EigenCAM",
    "EigenGradCAM",
    "FinerCAM",
    "FullGrad",
    "GradCAM",
    "GradCAMCallback",
    "GradCAMPP",
    "GroupCAM",
    "GuidedGradCAM",
    "HiResCAM",
    "ImageExplanation",
    "LayerCAM",
    "ScoreCAM",
    "ShapleyCAM",
    "SmoothGradCAMPP",
    "XGradCAM",
    "explain_image",
    "load_model",
]
_MODULES = {
    "GradCAMCallback": "keras_callback",
    "ImageExplanation": "image_explanation",
    "explain_image": "image_explanation",
    "load_model": "loaded_models",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'explainers')}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
