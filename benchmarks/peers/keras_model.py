"""The network for the peers on Keras."""

import keras

from gradcam_cli import load_model


def load_logits() -> keras.Model:
    """Loads the built-in network without its softmax, as Grad-CAM wants it.

    Keras's guides change the activation of the last layer in the same way.
    """
    model = load_model()
    model.layers[-1].activation = keras.activations.linear
    return model
