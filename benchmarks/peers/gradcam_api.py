"""gradcam's classes for programs, called as Xplique's are."""

# isort: off
# Before TensorFlow is imported, by Keras: it chooses how TensorFlow runs.
from gradcam_cli import GradCAM, ScoreCAM

import keras
import numpy as np

from benchmarks.peers import LAYER, Explain
from benchmarks.peers.keras_model import load_logits
# isort: on


def load() -> Explain:
    return _explaining_top_class(load_explainer())


def load_score_cam() -> Explain:
    return _explaining_top_class(ScoreCAM(load_logits(), conv_layer=LAYER))


def load_explainer() -> GradCAM:
    return GradCAM(load_logits(), conv_layer=LAYER)


def _explaining_top_class(explainer: GradCAM) -> Explain:
    model: keras.Model = explainer.model

    def explain(inputs):
        inputs = inputs.astype(np.float32)
        logits = model.predict(inputs, batch_size=len(inputs), verbose=0)
        targets = np.eye(logits.shape[-1], dtype=np.float32)[logits.argmax(-1)]
        return explainer(inputs, targets).numpy()[..., 0]

    return explain
