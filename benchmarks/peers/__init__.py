"""The tools that are compared. Each module's `load` gives a function that explains a batch.

It takes (N, 224, 224, 3) uint8 RGB and gives (N, rows, columns) float32 maps of the most
probable class of each, by Grad-CAM at the last activation of EfficientNet-Lite0: each in the
fastest way that the tool's own documentation has. Some modules' `load_score_cam` gives the same by
Score-CAM with all feature maps.
"""

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SIDE = 224
LAYER = "top_activation"
Explain = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Peer:
    """A tool: what it is called, what it is installed as, and how many pictures it takes.

    The batch is the largest that the tool takes in its own way, up to gradcam's.
    """

    title: str
    distribution: str
    batch: int = 32
    has_score_cam: bool = False


PEERS = {
    "gradcam": Peer("gradcam", "gradcam-cli"),
    "gradcam_api": Peer("gradcam_cli.GradCAM", "gradcam-cli", has_score_cam=True),
    "xplique": Peer("Xplique", "xplique"),
    "tf_keras_vis": Peer("tf-keras-vis", "tf-keras-vis"),
    "tf_explain": Peer("tf-explain", "tf-explain", batch=1),
    "keras_tutorial": Peer("Keras tutorial", "keras", batch=1),
    "torchcam": Peer("torchcam", "torchcam", has_score_cam=True),
    "pytorch_grad_cam": Peer("pytorch-grad-cam", "grad-cam", has_score_cam=True),
}


def load(name: str) -> Explain:
    return importlib.import_module(f"{__name__}.{name}").load()


def load_score_cam(name: str) -> Explain:
    return importlib.import_module(f"{__name__}.{name}").load_score_cam()


def version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
