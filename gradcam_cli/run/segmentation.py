"""Checks the options of a run against a network that segments, or doesn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.errors import UsageError
from gradcam_cli.run.options import ExplainOptions

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier


def check_segmentation(explain: ExplainOptions, classifier: Classifier) -> None:
    """Refuses options that mean nothing for a network that segments, or only for one.

    Args:
        explain: What to explain.
        classifier: The network.

    Raises:
        UsageError: An option doesn't suit the network.
    """
    if not classifier.segments:
        if explain.region is not None:
            raise UsageError(
                f"--region: {classifier.name} scores whole pictures; only a network that segments "
                f"has scores in a region"
            )
        return
    if explain.truth is not None:
        raise UsageError(
            f"--truth: {classifier.name} segments pictures, so a picture has no single true class; "
            f"leave out --truth"
        )
    if explain.region is None and (explain.join or explain.against is not None):
        raise UsageError(
            f"{'--join' if explain.join else '--against'}: {classifier.name} segments pictures, "
            f"and each class is explained where it is predicted; choose one region for all "
            f"classes with --region"
        )
    if explain.region is not None:
        for method in explain.methods:
            if METHODS[method].ignores_class:
                raise UsageError(
                    f"--method {method} shows the same map for every class and region; leave out "
                    f"--region, or choose another method"
                )
