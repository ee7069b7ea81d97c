"""Shows that our ADCC and ARCC are pytorch-grad-cam's: the same network, inputs and maps.

    pip install -e . && pip install torch grad-cam
    python -m benchmarks.arcc_agreement

pytorch-grad-cam has ARCC and its parts; of ADCC it has Coherency, Complexity and the drop in
confidence, which ADCC's paper divides by the confidence. Both get the same two networks: the
built-in model with Grad-CAM maps of sample_images, and that of `benchmarks.arcc_cases`, whose
numbers the tests store.

Exits with 1 if a number differs by more than `TOLERANCE` says.
"""

import sys

# isort: off
# PyTorch before TensorFlow: the other way around their libraries crash in one process.
import torch
from pytorch_grad_cam.metrics.arcc import ARCC, Coherency, Complexity
from pytorch_grad_cam.metrics.cam_mult_image import DropInConfidence
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, ROADCombined
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import gradcam_cli
# isort: on

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import arcc_cases
from gradcam_cli import evaluation
from gradcam_cli.evaluation.composites import ARCC_PERCENTILES, coherency

PICTURES = sorted((Path(__file__).parent.parent / "sample_images").glob("*.jpg"))[:6]
SIDE = 128
# Our ROAD keeps its noise, which changes the numbers of the small network most.
TOLERANCE = {"adcc": 1e-5, "coherency": 1e-5, "road": 2e-3, "arcc": 2e-3}


class SameNetwork(torch.nn.Module):
    """A network of TensorFlow, for tensors of (N, channels, height, width)."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, inputs):
        return torch.from_numpy(np.array(self.network(to_inputs(inputs))))


def main() -> int:
    model = gradcam_cli.load_model()
    explainer = gradcam_cli.GradCAM(model)

    def explain(inputs, targets):
        one_hot = np.eye(1000, dtype=np.float32)[np.asarray(targets)]
        found = explainer(np.asarray(inputs, np.float32), one_hot).numpy()[..., 0]
        # As pytorch-grad-cam's classes scale their maps.
        return scaled(found)

    def network(inputs):
        return model(inputs, training=False)

    inputs = np.stack([read(path) for path in PICTURES])
    targets = np.asarray(network(inputs)).argmax(axis=1)
    # The same heat in several pixels is put in order in another way.
    noise = np.random.default_rng(0).random(inputs.shape[:3], np.float32) * 1e-3
    maps = scaled(explain(inputs, targets) + noise)
    failed = compare(network, explain, inputs, targets, maps)
    inputs, targets = arcc_cases.make_inputs(), arcc_cases.TARGETS
    of_cases = (arcc_cases.network, arcc_cases.explain, inputs, targets)
    return int(compare(*of_cases, arcc_cases.explain(inputs, targets)) or failed)


def compare(network, explain, inputs, targets, maps):
    """Prints both sides of each number, and tells whether any differs."""

    def base_method(input_tensor, targets):
        return explain(to_inputs(input_tensor), [target.category for target in targets])

    tensor = torch.from_numpy(np.moveaxis(inputs, -1, 1).copy())
    wanted = [ClassifierOutputTarget(int(target)) for target in targets]
    given = (tensor, maps, wanted, SameNetwork(network))
    likeness = Coherency()(*given, base_method)
    confidence = np.asarray(network(inputs))[np.arange(len(targets)), targets]
    drop = DropInConfidence()(*given) / confidence
    removal, together = ROADCombined(list(ARCC_PERCENTILES)), ARCC(base_method)
    for road in (removal, together.road):
        for order in (road.morf_averager, road.lerf_averager):
            silence(order)
    ours = (network, explain, inputs, targets, maps)
    figures = {
        "adcc": (
            3 / sum(1 / part for part in (likeness, 1 - Complexity()(maps), 1 - drop)),
            evaluation.adcc(*ours),
        ),
        "coherency": (likeness, coherency(maps, explain(inputs * maps[..., None], targets))),
        "road": (
            removal(*given),
            evaluation.road(network, inputs, targets, maps, ARCC_PERCENTILES),
        ),
        "arcc": (together(*given), evaluation.arcc(*ours)),
    }
    failed = False
    for name, (theirs, values) in figures.items():
        for expected, found in zip(theirs, values, strict=True):
            failed |= bool(abs(found - expected) > TOLERANCE[name])
            print(
                f"{name:10} pytorch-grad-cam {expected:9.6f}  gradcam {found:9.6f}  "
                f"{abs(found - expected):.0e}"
            )
    return failed


def silence(averager):
    """Takes the noise from one order of ROAD."""
    made = averager.imputer

    def without_noise(percentile):
        metric = made(percentile)
        metric.perturbation.imputer = NoisyLinearImputer(noise=0)
        return metric

    averager.imputer = without_noise


def scaled(maps):
    low = maps.min(axis=(1, 2), keepdims=True)
    return (maps - low) / (maps - low).max(axis=(1, 2), keepdims=True)


def to_inputs(tensor):
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def read(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((SIDE, SIDE)), np.float32)


if __name__ == "__main__":
    sys.exit(main())
