"""How the maps of several layers can be fused, without the code that does it."""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_cli.cam.methods.table import find_method
from gradcam_cli.errors import UsageError

DEFAULT_FUSION = "mean"
PRODUCT = "product"
FUSIONS = (DEFAULT_FUSION, "max", PRODUCT)
_FEWEST_LAYERS = 2


def check_fusion(fusion: str, *, signed: bool, asked: str, signed_as: str) -> None:
    """Checks that there is a fusion, and that it suits the maps.

    Args:
        fusion: The user's choice.
        signed: Whether the maps have a sign.
        asked: What asks for the fusion, as the user wrote it ("--fuse product").
        signed_as: What asks for the sign.

    Raises:
        UsageError: There is no such fusion, or it is meaningless for signed maps.
    """
    if fusion not in FUSIONS:
        raise UsageError(f"there is no fusion {fusion!r}, only {', '.join(FUSIONS)}")
    if signed and fusion == PRODUCT:
        raise UsageError(
            f"{asked} doesn't work with {signed_as}: where two layers speak against the class, "
            f"their product would speak for it; choose mean or max"
        )


def check_fused_layers(method: str, layers: Sequence[object], option: str) -> None:
    """Checks that a method that fuses layers itself has several of them.

    Args:
        method: A key of `gradcam_cli.cam.methods.table.METHODS`.
        layers: The layers that the user chose; empty if the method chooses.
        option: What chooses a layer, as the user writes it ("--layer").

    Raises:
        UsageError: It has one.
    """
    info = find_method(method)
    if info.fuses_layers and 0 < len(layers) < _FEWEST_LAYERS:
        raise UsageError(
            f"{method} fuses the maps of several layers; give several {option}, or none for all "
            f"convolution layers"
        )
