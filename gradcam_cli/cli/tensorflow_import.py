"""Imports TensorFlow for the command line: without its chatter, and without detours."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from gradcam_cli.standard_error import held_back_stderr


def import_tensorflow(show_messages: bool = False) -> None:
    """Imports TensorFlow and Keras.

    Args:
        show_messages: Let TensorFlow write to standard error as it does by itself.
    """
    if not show_messages:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Keras warns of every layer that a file doesn't fit; the error says it once.
        warnings.simplefilter("ignore")
    with _without_pyplot():
        if show_messages:
            import keras
        else:
            with held_back_stderr():
                import keras  # noqa: F401
                import tensorflow as tf

                # The first operation starts the runtime, which has things to say too.
                tf.constant(0)


@contextmanager
def _without_pyplot() -> Iterator[None]:
    """Keeps Keras from importing pyplot, which takes a fifth of TensorFlow's whole import.

    Keras needs it for one plotting function alone, and does without it where Matplotlib
    isn't installed.
    """
    name = "matplotlib.pyplot"
    if name in sys.modules:
        yield
        return
    missing: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    missing[name] = None
    try:
        yield
    finally:
        del missing[name]
