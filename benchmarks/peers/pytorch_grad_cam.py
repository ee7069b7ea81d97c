"""pytorch-grad-cam: batches; without targets it takes the most probable classes."""

from pytorch_grad_cam import GradCAM

from benchmarks.peers import LAYER, Explain
from benchmarks.peers.torch_model import Tapped, to_tensor


def load() -> Explain:
    model = Tapped()
    extractor = GradCAM(model, target_layers=[model.get_submodule(LAYER)])

    def explain(inputs):
        return extractor(to_tensor(inputs), targets=None)

    return explain
