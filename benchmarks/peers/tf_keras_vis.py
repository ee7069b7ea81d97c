"""tf-keras-vis: batches, with a score for each picture's class."""

import numpy as np
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.scores import CategoricalScore

from benchmarks.peers import LAYER, Explain
from benchmarks.peers.keras_model import load_logits


def load() -> Explain:
    model = load_logits()
    explainer = Gradcam(model, clone=False)

    def explain(inputs):
        inputs = inputs.astype(np.float32)
        classes = model.predict(inputs, batch_size=len(inputs), verbose=0).argmax(-1)
        return explainer(
            CategoricalScore(classes.tolist()),
            inputs,
            penultimate_layer=LAYER,
            seek_penultimate_conv_layer=False,
        )

    return explain
