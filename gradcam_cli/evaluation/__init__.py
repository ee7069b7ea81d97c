"""Measures explanations: faithfulness, localisation, sanity.

Each metric is a function of a model, inputs, targets and maps that returns one value for
each input; `Measurement` gives their mean and its confidence interval.

The public names are listed in ``__init__.pyi`` and imported on first use.
"""

import lazy_loader

from gradcam_cli.runtime.onednn import choose_onednn
from gradcam_cli.runtime.tensorflow_import import import_for_programs

# This must run before any module imports TensorFlow.
choose_onednn()

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    # The functions compute with TensorFlow; the classes only hold what was found.
    if name in __all__ and name.islower():
        import_for_programs()
    return _load(name)
