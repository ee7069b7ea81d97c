"""Xplique: batches, and `predict` to find the classes."""

import numpy as np
from xplique.attributions import GradCAM

from benchmarks.peers import LAYER, Explain
from benchmarks.peers.keras_model import load_logits


def load() -> Explain:
    explainer = load_explainer()
    model = explainer.model

    def explain(inputs):
        inputs = inputs.astype(np.float32)
        logits = model.predict(inputs, batch_size=len(inputs), verbose=0)
        targets = np.eye(logits.shape[-1], dtype=np.float32)[logits.argmax(-1)]
        return explainer.explain(inputs, targets).numpy()[..., 0]

    return explain


def load_explainer() -> GradCAM:
    return GradCAM(load_logits(), batch_size=32, conv_layer=LAYER)
