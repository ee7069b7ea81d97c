"""The Python interface for notebooks and programs."""

from gradcam_cli.runtime.onednn import choose_onednn

# The modules of this package import TensorFlow; the choice must come first.
choose_onednn()
