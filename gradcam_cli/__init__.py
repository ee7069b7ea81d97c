"""gradcam: shows where an image classifier looked, and why this class."""

__version__ = "0.1.0"
