"""Explainers for notebooks and programs, one class for each method.

They take the same arguments and return the same maps as Xplique's explainers, so programs
written for one also run with the other. `GradCAM` documents what they have in common.
"""

from __future__ import annotations

from typing import Any

from gradcam_cli.api.grad_cam import GradCAM
from gradcam_cli.cam.methods.table import COMBINED, DEFAULT_METHOD, find_method


class GradCAMPP(GradCAM):
    """Grad-CAM++; see `gradcam_cli.cam.methods.gradients.grad_cam_plus_plus`."""

    method = "gradcam++"


class SmoothGradCAMPP(GradCAM):
    """Smooth Grad-CAM++ with ``samples`` and ``noise``; see `SmoothGradCamPlusPlus`."""

    method = "smoothgradcam++"


class XGradCAM(GradCAM):
    """XGrad-CAM; see `gradcam_cli.cam.methods.gradients.xgrad_cam`."""

    method = "xgradcam"


class HiResCAM(GradCAM):
    """HiResCAM; see `gradcam_cli.cam.methods.gradients.hires_cam`."""

    method = "hirescam"


class LayerCAM(GradCAM):
    """LayerCAM; see `gradcam_cli.cam.methods.gradients.layer_cam`."""

    method = "layercam"


class EigenCAM(GradCAM):
    """Eigen-CAM; see `gradcam_cli.cam.methods.components.eigen_cam`."""

    method = "eigencam"


class EigenGradCAM(GradCAM):
    """Eigen-Grad-CAM; see `gradcam_cli.cam.methods.components.eigen_grad_cam`."""

    method = "eigengradcam"


class ScoreCAM(GradCAM):
    """Score-CAM; see `gradcam_cli.cam.methods.perturbation.ScoreCam`."""

    method = "scorecam"


class SSCAM(GradCAM):
    """SS-CAM with ``samples`` and ``noise``; see `SmoothedScoreCam`."""

    method = "sscam"


class ISCAM(GradCAM):
    """IS-CAM with ``samples``; see `IntegratedScoreCam`."""

    method = "iscam"


class GroupCAM(GradCAM):
    """Group-CAM with ``groups`` and ``percentile``; see `GroupCam`."""

    method = "groupcam"


class AblationCAM(GradCAM):
    """Ablation-CAM; see `gradcam_cli.cam.methods.perturbation.AblationCam`."""

    method = "ablationcam"


class ReciproCAM(GradCAM):
    """ReciproCAM; see `gradcam_cli.cam.methods.perturbation.ReciproCam`."""

    method = "reciprocam"


class FullGrad(GradCAM):
    """FullGrad; see `gradcam_cli.cam.methods.input_gradients.FullGrad`."""

    method = "fullgrad"


class GuidedGradCAM(GradCAM):
    """Guided Grad-CAM; see `gradcam_cli.cam.methods.input_gradients.GuidedGradCam`."""

    method = "guidedgradcam"


class WinsorCAM(GradCAM):
    """Winsor-CAM with ``percentile``; see `gradcam_cli.cam.methods.layer_fusion.WinsorCam`.

    It fuses all convolution layers, or several that you name: ``conv_layer=["first", "second"]``.
    """

    method = "winsorcam"


class FinerCAM(GradCAM):
    """Finer-CAM with ``gamma`` and ``references``; see `FinerCam`."""

    method = "finercam"

    def __init__(self, *args: Any, base: str = DEFAULT_METHOD, **options: Any) -> None:
        """Takes the arguments of `GradCAM`, and the method to apply.

        Args:
            *args: As for `GradCAM`.
            base: The method that explains the difference of the scores: "gradcam", "gradcam++",
                "xgradcam", "hirescam", "layercam" or "eigengradcam".
            **options: As for `GradCAM`.

        Raises:
            UsageError: There is no such method, or it can't be combined.
        """
        if base != DEFAULT_METHOD:
            self.method = f"{self.method}{COMBINED}{base}"
            find_method(self.method)
        super().__init__(*args, **options)


class ShapleyCAM(GradCAM):
    """ShapleyCAM; see `gradcam_cli.cam.methods.other_scores.ShapleyCam`."""

    method = "shapleycam"


class FEM(GradCAM):
    """FEM with ``k``; see `gradcam_cli.cam.methods.components.fem`."""

    method = "fem"


class AttentionRollout(GradCAM):
    """Attention rollout; see `gradcam_cli.cam.methods.attention.AttentionRollout`."""

    method = "rollout"


class AttentionRelevance(GradCAM):
    """Chefer's relevance; see `gradcam_cli.cam.methods.attention.AttentionRelevance`."""

    method = "chefer"


class LeGrad(GradCAM):
    """LeGrad; see `gradcam_cli.cam.methods.attention.LeGrad`."""

    method = "legrad"
