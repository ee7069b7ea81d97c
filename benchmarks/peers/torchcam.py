"""torchcam: batches, with the list of their classes."""

from torchcam.methods import GradCAM

from benchmarks.peers import LAYER, SIDE, Explain
from benchmarks.peers.torch_model import Tapped, to_tensor


def load() -> Explain:
    model = Tapped()
    extractor = GradCAM(model, LAYER, input_shape=(3, SIDE, SIDE))

    def explain(inputs):
        scores = model(to_tensor(inputs))
        return extractor(scores.argmax(1).tolist(), scores)[0].numpy()

    return explain
