"""The tools that are compared. Each module's `load` gives a function that explains a batch.

It takes (N, 224, 224, 3) uint8 RGB and gives (N, rows, columns) float32 maps of the most
probable class of each, by Grad-CAM at the last activation of EfficientNet-Lite0: each in the
fastest way that the tool's own documentation has.
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


PEERS = {
    "gradcam": Peer("gradcam", "gradcam-cli"),
    "gradcam_api": Peer("gradcam_cli.GradCAM", "gradcam-cli"),
    "xplique": Peer("Xplique", "xplique"),
    "tf_keras_vis": Peer("tf-keras-vis", "tf-keras-vis"),
    "tf_explain": Peer("tf-explain", "tf-explain", batch=1),
    "keras_tutorial": Peer("Keras tutorial", "keras", batch=1),
    "torchcam": Peer("torchcam", "torchcam"),
    "pytorch_grad_cam": Peer("pytorch-grad-cam", "grad-cam"),
}


def load(name: str) -> Explain:
    return importlib.import_module(f"{__name__}.{name}").load()


def version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
