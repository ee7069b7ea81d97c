"""pytorch-grad-cam: batches; without targets it takes the most probable classes."""

from pytorch_grad_cam import GradCAM, ScoreCAM

from benchmarks.peers import LAYER, Explain
from benchmarks.peers.torch_model import Tapped, to_tensor


def load() -> Explain:
    return _explaining_top_class(GradCAM)


def load_score_cam() -> Explain:
    return _explaining_top_class(ScoreCAM, batch_size=32)


def _explaining_top_class(method: type, **attributes: int) -> Explain:
    model = Tapped()
    extractor = method(model, target_layers=[model.get_submodule(LAYER)])
    for name, value in attributes.items():
        setattr(extractor, name, value)

    def explain(inputs):
        return extractor(to_tensor(inputs), targets=None)

    return explain
