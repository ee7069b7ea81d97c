"""The methods by the names that users type, without the mathematics behind them."""

from __future__ import annotations

from dataclasses import dataclass

from gradcam_cli.errors import UsageError, suggestion

DEFAULT_METHOD = "gradcam"


@dataclass(frozen=True)
class MethodInfo:
    """A method as it is listed.

    Attributes:
        title: What its authors call it.
        summary: How it works, in a few words.
        paper: Where it was published.
        implementation: Its module and name in `gradcam_cli.cam.methods`.
    """

    title: str
    summary: str
    paper: str
    implementation: str

    @property
    def runs_many_times(self) -> bool:
        """Whether the network runs on many changed copies of a picture."""
        return self.implementation.startswith("perturbation.")


METHODS = {
    "gradcam": MethodInfo(
        "Grad-CAM",
        "feature maps weighted by their mean gradient",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        "gradients.grad_cam",
    ),
    "gradcam++": MethodInfo(
        "Grad-CAM++",
        "weights from higher derivatives, for several objects of a class",
        "Chattopadhay et al. 2018, arXiv 1710.11063",
        "gradients.grad_cam_plus_plus",
    ),
    "smoothgradcam++": MethodInfo(
        "Smooth Grad-CAM++",
        "Grad-CAM++ averaged over noisy copies of the picture",
        "Omeiza et al. 2019, arXiv 1908.01224",
        "perturbation.SmoothGradCamPlusPlus",
    ),
    "xgradcam": MethodInfo(
        "XGrad-CAM",
        "gradients weighted by the share of each cell in its feature map",
        "Fu et al. 2020, arXiv 2008.02312",
        "gradients.xgrad_cam",
    ),
    "hirescam": MethodInfo(
        "HiResCAM",
        "gradient times feature map, cell by cell",
        "Draelos and Carin 2020, arXiv 2011.08891",
        "gradients.hires_cam",
    ),
    "layercam": MethodInfo(
        "LayerCAM",
        "positive gradient times feature map; good for early layers",
        "Jiang et al. 2021, IEEE TIP 30",
        "gradients.layer_cam",
    ),
    "eigencam": MethodInfo(
        "Eigen-CAM",
        "the feature maps' first principal component; the same for every class",
        "Muhammad and Yeasin 2020, arXiv 2008.00299",
        "components.eigen_cam",
    ),
    "eigengradcam": MethodInfo(
        "Eigen-Grad-CAM",
        "first principal component of gradient times feature map",
        "Gildenblat 2021, pytorch-grad-cam",
        "components.eigen_grad_cam",
    ),
    "scorecam": MethodInfo(
        "Score-CAM",
        "scores of the picture masked by each feature map; slow, without gradients",
        "Wang et al. 2020, arXiv 1910.01279",
        "perturbation.ScoreCam",
    ),
    "groupcam": MethodInfo(
        "Group-CAM",
        "Score-CAM with groups of feature maps; fast",
        "Zhang et al. 2021, arXiv 2103.13859",
        "perturbation.GroupCam",
    ),
    "ablationcam": MethodInfo(
        "Ablation-CAM",
        "what the score loses without each feature map; without gradients",
        "Desai and Ramaswamy 2020, WACV",
        "perturbation.AblationCam",
    ),
    "fullgrad": MethodInfo(
        "FullGrad",
        "gradients times input and biases of all layers; fine detail",
        "Srinivas and Fleuret 2019, arXiv 1905.00780",
        "input_gradients.FullGrad",
    ),
    "guidedgradcam": MethodInfo(
        "Guided Grad-CAM",
        "Grad-CAM times guided backpropagation; fails the sanity check",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        "input_gradients.GuidedGradCam",
    ),
    "finercam": MethodInfo(
        "Finer-CAM",
        "what sets the class apart from the most similar ones",
        "Zhang et al. 2025, arXiv 2501.11309",
        "other_scores.FinerCam",
    ),
    "shapleycam": MethodInfo(
        "ShapleyCAM",
        "Shapley values of the feature maps, by gradient and Hessian",
        "Cai 2025, arXiv 2501.06261",
        "other_scores.ShapleyCam",
    ),
    "fem": MethodInfo(
        "FEM",
        "rare, strong activations; the same for every class",
        "Fuad et al. 2020, IPTA",
        "components.fem",
    ),
}


def find_method(name: str) -> MethodInfo:
    """Finds a method by its name.

    Raises:
        UsageError: There is no such method.
    """
    if name in METHODS:
        return METHODS[name]
    hint = suggestion(name, METHODS, likeness=0.5)
    raise UsageError(f"there is no method {name!r}{hint} ('gradcam methods' lists all of them)")
