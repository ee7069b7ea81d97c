"""gradcam: shows where an image classifier looked, and why this class.

The public names stand in ``__init__.pyi``. Nothing is imported before it is used:
``import gradcam_cli`` alone doesn't import TensorFlow.
"""

import lazy_loader

from gradcam_cli.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
