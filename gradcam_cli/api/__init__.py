"""The interface for notebooks and programs."""

from gradcam_cli.runtime.tensorflow_import import import_for_programs

# Each module of this room imports TensorFlow, if nobody has yet.
import_for_programs()
