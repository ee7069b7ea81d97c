"""The machine, and the start of TensorFlow on it."""
