"""The methods by the names that users type, without the mathematics behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from gradcam_cli.errors import UsageError, suggestion

DEFAULT_METHOD = "gradcam"


@dataclass(frozen=True)
class MethodInfo:
    """A method: how it is listed, where it is, and all that others need to know of it.

    Attributes:
        title: What its authors call it.
        summary: How it works, in a few words.
        paper: Where it was published.
        cost: How many passes through the network a class takes, with the usual parameters:
            "forward + back". K is the number of feature maps, Z that of the cells of each; a
            partial pass begins at the explained layer.
        implementation: "module:name" of a function of A and the gradient of y^c by A, or of a
            class derived from `InGraphMethod` or, if it runs many times, `PerturbationMethod`
            (see `gradcam_cli.cam.methods.base`). A module that begins with "." lies beside
            this one.
        needs_layer: Whether the choice of a layer means anything to it.
        runs_many_times: Whether it runs the network on so many changed inputs or feature maps
            that a single picture fills the machine, and it tells of its progress.
        at_input_size: Whether its maps have a cell for each cell of the input, instead of one
            for each cell of the layer's output.
        multiplies_cells: Whether it multiplies each cell by its own gradient. Before a layer that
            normalizes each token that gives nothing: the layer doesn't notice how long a token is.
        is_sparse: Whether a few cells outshine all others, so that a map that is scaled by its
            maximum looks empty.
    """

    title: str
    summary: str
    paper: str
    cost: str
    implementation: str
    needs_layer: bool = True
    runs_many_times: bool = False
    at_input_size: bool = False
    multiplies_cells: bool = False
    is_sparse: bool = False


class MethodParameters(TypedDict, total=False):
    """What can be chosen of methods; each takes what it documents, and nothing else.

    Attributes:
        gamma: Of Finer-CAM: how much of the other classes' scores is taken away, 0 to 1.
        groups: Of Group-CAM: into how many groups the feature maps are divided.
        k: Of FEM: how many standard deviations above its mean a cell must be.
        noise: Of Smooth Grad-CAM++: the standard deviation of the noise, as a part of each
            input's range.
        percentile: Of Group-CAM: what part of each mask is left out, 0 to 100.
        references: Of Finer-CAM: the number of classes to compare with.
        samples: Of Smooth Grad-CAM++: the number of noisy copies.
    """

    gamma: float
    groups: int
    k: float
    noise: float
    percentile: float
    references: int
    samples: int


METHODS = {
    "gradcam": MethodInfo(
        "Grad-CAM",
        "feature maps weighted by their mean gradient",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        "1 + 1",
        ".gradients:grad_cam",
    ),
    "gradcam++": MethodInfo(
        "Grad-CAM++",
        "weights from higher derivatives, for several objects of a class",
        "Chattopadhay et al. 2018, arXiv 1710.11063",
        "1 + 1",
        ".gradients:grad_cam_plus_plus",
    ),
    "smoothgradcam++": MethodInfo(
        "Smooth Grad-CAM++",
        "Grad-CAM++ averaged over noisy copies of the picture",
        "Omeiza et al. 2019, arXiv 1908.01224",
        "8 + 8",
        ".perturbation:SmoothGradCamPlusPlus",
        runs_many_times=True,
    ),
    "xgradcam": MethodInfo(
        "XGrad-CAM",
        "gradients weighted by the share of each cell in its feature map",
        "Fu et al. 2020, arXiv 2008.02312",
        "1 + 1",
        ".gradients:xgrad_cam",
    ),
    "hirescam": MethodInfo(
        "HiResCAM",
        "gradient times feature map, cell by cell",
        "Draelos and Carin 2020, arXiv 2011.08891",
        "1 + 1",
        ".gradients:hires_cam",
        multiplies_cells=True,
    ),
    "layercam": MethodInfo(
        "LayerCAM",
        "positive gradient times feature map; good for early layers",
        "Jiang et al. 2021, IEEE TIP 30",
        "1 + 1",
        ".gradients:layer_cam",
        multiplies_cells=True,
    ),
    "eigencam": MethodInfo(
        "Eigen-CAM",
        "the feature maps' first principal component; the same for every class",
        "Muhammad and Yeasin 2020, arXiv 2008.00299",
        "1",
        ".components:eigen_cam",
    ),
    "eigengradcam": MethodInfo(
        "Eigen-Grad-CAM",
        "first principal component of gradient times feature map",
        "Gildenblat 2021, pytorch-grad-cam",
        "1 + 1",
        ".components:eigen_grad_cam",
        multiplies_cells=True,
    ),
    "scorecam": MethodInfo(
        "Score-CAM",
        "scores of the picture masked by each feature map; slow, without gradients",
        "Wang et al. 2020, arXiv 1910.01279",
        "K",
        ".perturbation:ScoreCam",
        runs_many_times=True,
    ),
    "groupcam": MethodInfo(
        "Group-CAM",
        "Score-CAM with groups of feature maps; fast",
        "Zhang et al. 2021, arXiv 2103.13859",
        "33 + 1",
        ".perturbation:GroupCam",
        runs_many_times=True,
    ),
    "ablationcam": MethodInfo(
        "Ablation-CAM",
        "what the score loses without each feature map; without gradients",
        "Desai and Ramaswamy 2020, WACV",
        "K partial",
        ".perturbation:AblationCam",
        runs_many_times=True,
    ),
    "reciprocam": MethodInfo(
        "ReciproCAM",
        "the probability that each cell of the feature maps gives alone; without gradients",
        "Byun and Lee 2022, arXiv 2209.14074 and 2310.02588",
        "Z partial",
        ".perturbation:ReciproCam",
        runs_many_times=True,
    ),
    "fullgrad": MethodInfo(
        "FullGrad",
        "gradients times input and biases of all layers; fine detail",
        "Srinivas and Fleuret 2019, arXiv 1905.00780",
        "1 + 1",
        ".input_gradients:FullGrad",
        needs_layer=False,
        at_input_size=True,
    ),
    "guidedgradcam": MethodInfo(
        "Guided Grad-CAM",
        "Grad-CAM times guided backpropagation; fails the sanity check",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        "2 + 2",
        ".input_gradients:GuidedGradCam",
        at_input_size=True,
        is_sparse=True,
    ),
    "finercam": MethodInfo(
        "Finer-CAM",
        "what sets the class apart from the most similar ones",
        "Zhang et al. 2025, arXiv 2501.11309",
        "1 + 1",
        ".other_scores:FinerCam",
    ),
    "shapleycam": MethodInfo(
        "ShapleyCAM",
        "Shapley values of the feature maps, by gradient and Hessian",
        "Cai 2025, arXiv 2501.06261",
        "1 + 2",
        ".other_scores:ShapleyCam",
    ),
    "fem": MethodInfo(
        "FEM",
        "rare, strong activations; the same for every class",
        "Fuad et al. 2020, IPTA",
        "1",
        ".components:fem",
    ),
    "rollout": MethodInfo(
        "Attention rollout",
        "of transformers: attention multiplied through all blocks; the same for every class",
        "Abnar and Zuidema 2020, arXiv 2005.00928",
        "1",
        ".attention:AttentionRollout",
        needs_layer=False,
    ),
    "chefer": MethodInfo(
        "Attention relevance",
        "of transformers: attention weighted by its gradients through all blocks",
        "Chefer et al. 2021, arXiv 2103.15679",
        "1 + 1",
        ".attention:AttentionRelevance",
        needs_layer=False,
    ),
    "legrad": MethodInfo(
        "LeGrad",
        "of transformers: gradients by the attention of each block",
        "Bousselham et al. 2024, arXiv 2404.03214",
        "1 + 1",
        ".attention:LeGrad",
        needs_layer=False,
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
