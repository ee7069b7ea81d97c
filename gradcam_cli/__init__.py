"""gradcam: shows which parts of a picture an image classifier used for its decision.

The public names are listed in ``__init__.pyi`` and imported on first use, so that
``import gradcam_cli`` alone doesn't import TensorFlow.
"""

import lazy_loader

from gradcam_cli.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
