"""The table of methods by name, without the code that computes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypedDict

from gradcam_cli.errors import UsageError, suggestion

DEFAULT_METHOD = "gradcam"
# Between a method and the method whose formula it applies.
COMBINED = ":"
_NO_PROBABILITY = "it uses the probability of a class, which a sum over a region doesn't have"
_NO_BOXES = "it looks for the box of an object, and the network gives no boxes"
_CLASSIFIES = "it follows attention to the token or mean that classifies the whole picture"


@dataclass(frozen=True)
class MethodInfo:
    """The description of a method, and where its code is.

    Attributes:
        title: The name that its authors use.
        summary: How it works, in a few words.
        paper: The publication that introduced it.
        cost: The number of passes through the network for one class, with the default
            parameters: "forward + back". K is the number of feature maps and Z the number of
            cells of each. A partial pass starts at the explained layer.
        implementation: "module:name" of a function of A and the gradient of y^c with respect to
            A, or of a class derived from `InGraphMethod` or, if it runs many times,
            `PerturbationMethod` or `BlackBoxMethod` (see `gradcam_cli.cam.methods.base`). A module
            that begins with "." is in this package.
        needs_layer: Whether it explains a chosen layer.
        is_black_box: Whether it needs only the scores of changed inputs, neither layers nor
            gradients, so that it can explain any network.
        runs_many_times: Whether it runs the network on so many changed inputs or feature maps
            that a single picture keeps the machine busy. Such a method reports its progress.
        at_input_size: Whether its maps have a cell for each cell of the input, instead of one
            for each cell of the layer's output.
        multiplies_cells: Whether it multiplies each cell by its own gradient. This is meaningless
            before a layer that normalizes each token, because that layer's output doesn't
            depend on a token's length.
        uses_gradients: Whether its map is empty where the score has no gradient.
        is_sparse: Whether a few cells are so much larger than the others that a map scaled by
            its maximum looks empty.
        has_sign: Whether negative values of its map speak against the class.
        ignores_class: Whether its map is the same for every class.
        only_one_class: Why it can't explain a sum or difference of scores; empty if it can.
        not_for_segmentation: Why it can't explain a network that segments; empty if it can.
        not_for_detection: Why it can't explain a box of a detector; empty if it can.
        only_for_detection: Why it can explain nothing but boxes of detectors; empty if it can.
        fuses_layers: Whether it fuses the maps of all convolution layers itself, or those of the
            layers that are chosen.
        base: For a method that explains another score, the method whose formula it applies to it.
        bases: The methods that it can apply instead: "finercam:layercam".
    """

    title: str
    summary: str
    paper: str
    cost: str
    implementation: str
    needs_layer: bool = True
    is_black_box: bool = False
    runs_many_times: bool = False
    at_input_size: bool = False
    multiplies_cells: bool = False
    uses_gradients: bool = True
    is_sparse: bool = False
    has_sign: bool = False
    ignores_class: bool = False
    only_one_class: str = ""
    not_for_segmentation: str = ""
    not_for_detection: str = ""
    only_for_detection: str = ""
    fuses_layers: bool = False
    base: str = ""
    bases: tuple[str, ...] = ()


class MethodTable(dict[str, MethodInfo]):
    """Methods by name; it also finds combinations such as "finercam:layercam".

    Combinations aren't listed: iterating gives each method once.
    """

    def __missing__(self, name: str) -> MethodInfo:
        """Makes the row of a combination."""
        outer, _, base = name.partition(COMBINED)
        if not dict.__contains__(self, outer) or base not in self[outer].bases:
            raise KeyError(name)
        row, applied = self[outer], self[base]
        return replace(
            row,
            title=f"{row.title} over {applied.title}",
            base=base,
            has_sign=applied.has_sign,
            multiplies_cells=applied.multiplies_cells,
        )

    def __contains__(self, name: object) -> bool:
        """Returns whether there is such a method or combination."""
        try:
            return isinstance(name, str) and bool(self[name])
        except KeyError:
            return False


class MethodParameters(TypedDict, total=False):
    """The parameters of methods; each method accepts only its own.

    Attributes:
        agreement: RISE, Sobol and D-RISE: how well the maps of two halves of the runs must
            correlate for the map to be settled, so that the runs end; None for all runs.
        gamma: Finer-CAM: the weight of the other classes' scores, 0 to 1.
        grid: RISE, Sobol and D-RISE: the number of cells of a mask along each axis.
        groups: Group-CAM: the number of groups of feature maps.
        k: FEM: how many standard deviations a cell must be above its map's mean.
        noise: The standard deviation of the noise. Smooth Grad-CAM++: relative to each input's
            range of values. SS-CAM: relative to that of each feature map.
        patch: Occlusion: the length of a patch along each axis, in pixels; None for a fifth of it.
        percentile: 0 to 100. Group-CAM: the percentile up to which each mask is set to zero.
            Winsor-CAM: the percentile to which larger importances of layers are reduced.
        probability: RISE and D-RISE: the probability that a cell of a mask is seen.
        references: Finer-CAM: the number of classes to compare with.
        samples: Smooth Grad-CAM++ and SS-CAM: the number of noisy copies. IS-CAM: the number of
            steps of the path. RISE and D-RISE: the largest number of masks. Sobol: the largest
            number of designs.
        stride: Occlusion: the distance between two patches, in pixels; None for half a patch.
    """

    agreement: float | None
    gamma: float
    grid: int
    groups: int
    k: float
    noise: float
    patch: int | None
    percentile: float
    probability: float
    references: int
    samples: int
    stride: int | None


METHODS = MethodTable(
    {
        "gradcam": MethodInfo(
            "Grad-CAM",
            "feature maps weighted by their mean gradient",
            "Selvaraju et al. 2017, arXiv 1610.02391",
            "1 + 1",
            ".gradients:grad_cam",
            has_sign=True,
        ),
        "gradcam++": MethodInfo(
            "Grad-CAM++",
            "weights from higher derivatives, for several objects of one class",
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
            "gradients weighted by each cell's share of its feature map",
            "Fu et al. 2020, arXiv 2008.02312",
            "1 + 1",
            ".gradients:xgrad_cam",
            has_sign=True,
        ),
        "hirescam": MethodInfo(
            "HiResCAM",
            "gradient times feature map, cell by cell",
            "Draelos and Carin 2020, arXiv 2011.08891",
            "1 + 1",
            ".gradients:hires_cam",
            has_sign=True,
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
            uses_gradients=False,
            ignores_class=True,
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
            uses_gradients=False,
        ),
        "sscam": MethodInfo(
            "SS-CAM",
            "Score-CAM averaged over noisy copies of each feature map; very slow",
            "Wang et al. 2020, arXiv 2006.14255",
            "10 K",
            ".perturbation:SmoothedScoreCam",
            runs_many_times=True,
            uses_gradients=False,
        ),
        "iscam": MethodInfo(
            "IS-CAM",
            "Score-CAM averaged along the path to each masked picture; very slow",
            "Naidu et al. 2020, arXiv 2010.03023",
            "10 K",
            ".perturbation:IntegratedScoreCam",
            runs_many_times=True,
            uses_gradients=False,
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
            "loss of score without each feature map; without gradients",
            "Desai and Ramaswamy 2020, WACV",
            "K partial",
            ".perturbation:AblationCam",
            has_sign=True,
            runs_many_times=True,
        ),
        "reciprocam": MethodInfo(
            "ReciproCAM",
            "probability from each cell of the feature maps alone; without gradients",
            "Byun and Lee 2022, arXiv 2209.14074 and 2310.02588",
            "Z partial",
            ".perturbation:ReciproCam",
            runs_many_times=True,
            not_for_segmentation=_NO_PROBABILITY,
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
        "winsorcam": MethodInfo(
            "Winsor-CAM",
            "Grad-CAM of all convolution layers, weighted by their importance",
            "Wall et al. 2025, arXiv 2507.10846",
            "1 + 1",
            ".layer_fusion:WinsorCam",
            needs_layer=False,
            at_input_size=True,
            fuses_layers=True,
        ),
        "finercam": MethodInfo(
            "Finer-CAM",
            "what sets the class apart from similar ones; also as finercam:layercam",
            "Zhang et al. 2025, arXiv 2501.11309",
            "1 + 1",
            ".other_scores:FinerCam",
            has_sign=True,
            only_one_class="it compares one class with those that are most similar to it",
            not_for_segmentation="it compares classes, which are summed over different regions",
            base=DEFAULT_METHOD,
            bases=("gradcam++", "xgradcam", "hirescam", "layercam", "eigengradcam"),
        ),
        "shapleycam": MethodInfo(
            "ShapleyCAM",
            "Shapley values of the feature maps, by gradient and Hessian",
            "Cai 2025, arXiv 2501.06261",
            "1 + 2",
            ".other_scores:ShapleyCam",
            has_sign=True,
            not_for_segmentation=_NO_PROBABILITY,
        ),
        "fem": MethodInfo(
            "FEM",
            "rare, strong activations; the same for every class",
            "Fuad et al. 2020, IPTA",
            "1",
            ".components:fem",
            uses_gradients=False,
            ignores_class=True,
        ),
        "rollout": MethodInfo(
            "Attention rollout",
            "for transformers: attention multiplied through all blocks; the same for every class",
            "Abnar and Zuidema 2020, arXiv 2005.00928",
            "1",
            ".attention:AttentionRollout",
            needs_layer=False,
            uses_gradients=False,
            not_for_segmentation=_CLASSIFIES,
            not_for_detection=_CLASSIFIES,
            ignores_class=True,
        ),
        "chefer": MethodInfo(
            "Attention relevance",
            "for transformers: attention weighted by its gradients through all blocks",
            "Chefer et al. 2021, arXiv 2103.15679",
            "1 + 1",
            ".attention:AttentionRelevance",
            needs_layer=False,
            not_for_segmentation=_CLASSIFIES,
            not_for_detection=_CLASSIFIES,
        ),
        "legrad": MethodInfo(
            "LeGrad",
            "for transformers: gradients with respect to the attention of each block",
            "Bousselham et al. 2024, arXiv 2404.03214",
            "1 + 1",
            ".attention:LeGrad",
            needs_layer=False,
            not_for_segmentation=_CLASSIFIES,
            not_for_detection=_CLASSIFIES,
        ),
        "rise": MethodInfo(
            "RISE",
            "for any network: scores of random parts of the picture",
            "Petsiuk et al. 2018, arXiv 1806.07421",
            "400 to 4000",
            ".rise:Rise",
            needs_layer=False,
            is_black_box=True,
            runs_many_times=True,
            at_input_size=True,
            uses_gradients=False,
            has_sign=True,
        ),
        "sobol": MethodInfo(
            "Sobol",
            "for any network: how much each part varies the score, alone and with others",
            "Fel et al. 2021, arXiv 2111.04138",
            "1056 to 8448",
            ".sobol:Sobol",
            needs_layer=False,
            is_black_box=True,
            runs_many_times=True,
            at_input_size=True,
            uses_gradients=False,
            has_sign=True,
        ),
        "occlusion": MethodInfo(
            "Occlusion",
            "for any network: loss of score when a sliding patch hides a part",
            "Zeiler and Fergus 2014, arXiv 1311.2901",
            "144",
            ".occlusion:Occlusion",
            needs_layer=False,
            is_black_box=True,
            runs_many_times=True,
            at_input_size=True,
            uses_gradients=False,
            has_sign=True,
        ),
        "drise": MethodInfo(
            "D-RISE",
            "for detectors: how surely a box is found again in random parts of the picture",
            "Petsiuk et al. 2021, arXiv 2006.03204",
            "400 to 5000",
            ".d_rise:DRise",
            needs_layer=False,
            is_black_box=True,
            runs_many_times=True,
            at_input_size=True,
            uses_gradients=False,
            has_sign=True,
            only_one_class="it looks for one object",
            not_for_segmentation=_NO_BOXES,
            only_for_detection=_NO_BOXES,
        ),
    }
)


def find_method(name: str) -> MethodInfo:
    """Finds a method by its name.

    Raises:
        UsageError: There is no such method.
    """
    if name in METHODS:
        return METHODS[name]
    hint = suggestion(name, METHODS, likeness=0.5)
    raise UsageError(f"there is no method {name!r}{hint} ('gradcam methods' lists all of them)")


def check_has_sign(name: str, asked: str) -> None:
    """Checks that a method's maps have a sign.

    Args:
        name: A key of `METHODS`.
        asked: What asks for it, as the user wrote it ("--signed").

    Raises:
        UsageError: They don't.
    """
    if not METHODS[name].has_sign:
        others = ", ".join(other for other, info in METHODS.items() if info.has_sign)
        raise UsageError(
            f"{asked} doesn't work with {name}: negative values of its maps aren't evidence "
            f"against a class; choose one of {others}"
        )


def check_combines_scores(name: str, asked: str) -> None:
    """Checks that a method can explain a sum or difference of scores.

    Args:
        name: A key of `METHODS`.
        asked: What asks for it, as the user wrote it ("--against").

    Raises:
        UsageError: It can't.
    """
    info = METHODS[name]
    why = "its map is the same for every class" if info.ignores_class else info.only_one_class
    if why:
        raise UsageError(
            f"{asked} doesn't work with {name}: {why}; choose another method, such as "
            f"{DEFAULT_METHOD} or hirescam"
        )
