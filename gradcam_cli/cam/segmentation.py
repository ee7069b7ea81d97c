"""What explaining a segmentation needs besides the maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.cam.blank_maps import BlankMap, BlankReason
from gradcam_cli.cam.methods.table import find_method
from gradcam_cli.errors import UsageError

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier

PREDICTED_NOWHERE = BlankMap(
    BlankReason.PREDICTED_NOWHERE,
    "the class is predicted nowhere in the picture, so there are no scores to explain; choose "
    "another class, or a region with --region",
)
# A pixel's centre may lie on the edge between two positions.
_ROUNDING = 1e-6


def check_segments(method: str, classifier: Classifier) -> None:
    """Refuses a method that is meaningless for a network that segments.

    Args:
        method: A key of `gradcam_cli.cam.methods.table.METHODS`.
        classifier: The network.

    Raises:
        UsageError: The method can't explain it.
    """
    why = find_method(method).not_for_segmentation
    if why and classifier.segments:
        raise UsageError(
            f"--method {method} can't explain a segmentation: {why}; choose another, such as "
            f"gradcam, layercam or scorecam"
        )


def check_detects(method: str, classifier: Classifier) -> None:
    """Refuses a method that is meaningless for a network that detects objects.

    Args:
        method: A key of `gradcam_cli.cam.methods.table.METHODS`.
        classifier: The network.

    Raises:
        UsageError: The method can't explain it.
    """
    info = find_method(method)
    if info.only_for_detection and not classifier.detects:
        raise UsageError(
            f"--method {method} can't explain {classifier.name}: {info.only_for_detection}; choose "
            f"another, such as rise"
        )
    if not classifier.detects:
        return
    if info.not_for_detection:
        raise UsageError(
            f"--method {method} can't explain a detector: {info.not_for_detection}; choose "
            f"another, such as layercam or hirescam"
        )
    no_gradient = "" if classifier.decoder is None else classifier.decoder.no_gradient
    moving = "" if classifier.decoder is None else classifier.decoder.moving
    if moving and info.runs_many_times and not info.only_for_detection:
        raise UsageError(
            f"--method {method} can't explain {classifier.name}: the method changes the picture, "
            f"and {moving}, so the same object can't be followed; "
            f"choose drise"
        )
    if no_gradient and not info.is_black_box:
        raise UsageError(
            f"--method {method} can't explain {classifier.name}: {no_gradient}; choose drise"
        )


def check_one_region(joined: Sequence[int], against: int | None, option: str) -> None:
    """Refuses sums and differences of scores that are summed over different regions.

    Args:
        joined: The classes that are explained together; empty for none.
        against: The class whose score is subtracted; None for none.
        option: What chooses a region for all classes, as the user writes it ("--region").

    Raises:
        UsageError: There are such sums or differences.
    """
    if joined or against is not None:
        raise UsageError(
            "in a segmentation, the scores of each class are summed where it is predicted, so they "
            f"can't be joined or compared; choose one region for all with {option}"
        )


def spread(regions: np.ndarray, size: tuple[int, int], pitch: tuple[float, float]) -> np.ndarray:
    """Gives each pixel of an input the value of the position of the output in which it lies.

    Args:
        regions: (N, rows, columns) float32.
        size: (height, width) of the input.
        pitch: The vertical and horizontal distance between two positions, in input pixels. The
            centre of the output lies on the centre of the input.

    Returns:
        (N, height, width) float32; 0 outside the output.
    """
    found = regions
    for axis, (length, step) in enumerate(zip(size, pitch, strict=True), start=1):
        positions = found.shape[axis]
        pixels = np.arange(length) + 0.5 - length / 2
        chosen = np.floor(pixels / step + positions / 2 + _ROUNDING).astype(int)
        inside = (chosen >= 0) & (chosen < positions)
        found = np.take(found, chosen.clip(0, positions - 1), axis)
        found = found * inside.reshape([-1 if other == axis else 1 for other in range(3)])
    return found.astype(np.float32)
