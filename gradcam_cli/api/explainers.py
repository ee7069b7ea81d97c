"""Explainers for notebooks and programs, one class for each method.

They take the same arguments and return the same maps as Xplique's explainers, so programs
written for one also run with the other. `GradCAM` documents what they have in common. RISE,
Sobol and occlusion need no layer, stop when their map has settled, and fill in the mean of the
input; in these their maps differ from Xplique's.
"""

from __future__ import annotations

from typing import Any

import keras

from gradcam_cli.api.grad_cam import GradCAM
from gradcam_cli.api.operators import Operator
from gradcam_cli.cam.methods.settling import USUAL_AGREEMENT
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


class RISE(GradCAM):
    """RISE; see `gradcam_cli.cam.methods.rise.Rise`. It works for models without layers."""

    method = "rise"

    def __init__(
        self,
        model: keras.Model,
        batch_size: int | None = 32,
        operator: str | Operator | None = None,
        nb_samples: int = 4000,
        grid_size: int = 7,
        preservation_probability: float = 0.5,
        *,
        agreement: float | None = USUAL_AGREEMENT,
        **options: Any,
    ) -> None:
        """Takes the arguments of Xplique's class ``Rise``, and further ones.

        Args:
            model: As for `GradCAM`.
            batch_size: As for `GradCAM`.
            operator: As for `GradCAM`.
            nb_samples: The largest number of masks.
            grid_size: The number of cells of a mask along each axis.
            preservation_probability: The probability that a cell is seen.
            agreement: The correlation of two halves at which the map has settled; None to use
                all masks.
            **options: As for `GradCAM`.
        """
        super().__init__(
            model,
            batch_size=batch_size,
            operator=operator,
            samples=nb_samples,
            grid=grid_size,
            probability=preservation_probability,
            agreement=agreement,
            **options,
        )


class Sobol(GradCAM):
    """Sobol attribution; see `gradcam_cli.cam.methods.sobol.Sobol`.

    It works for models without layers.
    """

    method = "sobol"

    def __init__(
        self,
        model: keras.Model,
        grid_size: int = 8,
        nb_design: int = 128,
        *,
        agreement: float | None = 0.7,
        **options: Any,
    ) -> None:
        """Takes the main arguments of Xplique's class ``SobolAttributionMethod``.

        Args:
            model: As for `GradCAM`.
            grid_size: The number of cells along each axis.
            nb_design: The largest number of designs, a power of two. Each costs a run for each
                cell, and two more.
            agreement: The correlation of two halves at which the map has settled; None to use
                all designs.
            **options: As for `GradCAM`.
        """
        super().__init__(model, samples=nb_design, grid=grid_size, agreement=agreement, **options)


class Occlusion(GradCAM):
    """Occlusion; see `gradcam_cli.cam.methods.occlusion.Occlusion`.

    It works for models without layers.
    """

    method = "occlusion"

    def __init__(
        self,
        model: keras.Model,
        batch_size: int | None = 32,
        operator: str | Operator | None = None,
        patch_size: int | None = None,
        patch_stride: int | None = None,
        **options: Any,
    ) -> None:
        """Takes the main arguments of Xplique's class of the same name.

        Args:
            model: As for `GradCAM`.
            batch_size: As for `GradCAM`.
            operator: As for `GradCAM`.
            patch_size: The length of a patch along each axis in pixels; None for a fifth of it.
            patch_stride: The distance between two patches in pixels; None for half a patch.
            **options: As for `GradCAM`.
        """
        super().__init__(
            model,
            batch_size=batch_size,
            operator=operator,
            patch=patch_size,
            stride=patch_stride,
            **options,
        )
