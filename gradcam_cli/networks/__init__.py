"""Networks as the mathematics sees them; every trick on Keras and TensorFlow is here."""
