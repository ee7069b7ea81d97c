"""The interface for notebooks and programs."""

from gradcam_cli.runtime.onednn import choose_onednn

# Each module of this room imports TensorFlow, if nobody has yet.
choose_onednn()
