"""gradcam's class for programs, called as Xplique's is."""

import numpy as np

from benchmarks.peers import LAYER, Explain
from benchmarks.peers.keras_model import load_logits
from gradcam_cli import GradCAM


def load() -> Explain:
    model = load_logits()
    explainer = GradCAM(model, conv_layer=LAYER)

    def explain(inputs):
        inputs = inputs.astype(np.float32)
        logits = model.predict(inputs, batch_size=len(inputs), verbose=0)
        targets = np.eye(logits.shape[-1], dtype=np.float32)[logits.argmax(-1)]
        return explainer(inputs, targets).numpy()[..., 0]

    return explain
