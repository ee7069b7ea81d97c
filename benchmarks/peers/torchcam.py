"""torchcam: batches, with the list of their classes."""

import torch
from torchcam.methods import GradCAM, ScoreCAM

from benchmarks.peers import LAYER, SIDE, Explain
from benchmarks.peers.torch_model import Tapped, to_tensor

_SHAPE = (3, SIDE, SIDE)


def load() -> Explain:
    model = Tapped()
    extractor = GradCAM(model, LAYER, input_shape=_SHAPE)

    def explain(inputs):
        scores = model(to_tensor(inputs))
        return extractor(scores.argmax(1).tolist(), scores)[0].numpy()

    return explain


def load_score_cam() -> Explain:
    model = Tapped()
    extractor = ScoreCAM(model, LAYER, batch_size=32, input_shape=_SHAPE)

    def explain(inputs):
        with torch.inference_mode():
            scores = model(to_tensor(inputs))
        return extractor(scores.argmax(1).tolist(), scores)[0].numpy()

    return explain
