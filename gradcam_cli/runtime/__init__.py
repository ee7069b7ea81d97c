"""The machine, and how TensorFlow is started on it."""
