"""The loop of Keras's Grad-CAM tutorial: a second model, and a tape for each picture."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers import LAYER, Explain
from benchmarks.peers.keras_model import load_logits


def load() -> Explain:
    model = load_logits()

    def explain_one(picture):
        # The tutorial's function makes this model anew for each picture.
        both = keras.Model(model.inputs, [model.get_layer(LAYER).output, model.output])
        with tf.GradientTape() as tape:
            activations, logits = both(picture[np.newaxis])
            score = logits[0, tf.argmax(logits[0])]
        weights = tf.reduce_mean(tape.gradient(score, activations), axis=(0, 1, 2))
        heatmap = tf.nn.relu(tf.linalg.matvec(activations[0], weights))
        return tf.math.divide_no_nan(heatmap, tf.reduce_max(heatmap)).numpy()

    def explain(inputs):
        return np.stack([explain_one(picture) for picture in inputs.astype(np.float32)])

    return explain
