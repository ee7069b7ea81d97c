"""The Python interface for notebooks and programs."""

from gradcam_cli.runtime.tensorflow_import import import_for_programs

# Each module of this package imports TensorFlow, unless the program has done so already.
import_for_programs()
