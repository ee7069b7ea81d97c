"""Imports TensorFlow for the command line: without its chatter and in less time."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from gradcam_cli.runtime.cores import Parallelism
from gradcam_cli.runtime.lazy_imports import lazy_imports
from gradcam_cli.runtime.onednn import choose_onednn
from gradcam_cli.runtime.stderr import held_back_stderr

# Keras imports them for two functions that draw, and they take a tenth of its time.
_HARDLY_USED = ("matplotlib.patches", "matplotlib.pyplot")


def import_tensorflow(show_messages: bool = False, parallelism: Parallelism | None = None) -> None:
    """Imports TensorFlow and Keras.

    Args:
        show_messages: Let TensorFlow write to standard error as it does by itself.
        parallelism: How many cores work on a batch, and how many batches there are at a
            time; None for all cores on one.
    """
    if not show_messages:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Keras warns of every layer that a file doesn't fit; the error says it once.
        warnings.simplefilter("ignore")
    choose_onednn()
    quiet = contextlib.nullcontext() if show_messages else held_back_stderr()
    with lazy_imports(_HARDLY_USED), _quickly(), quiet, _interruptible():
        import keras  # noqa: F401
        import tensorflow as tf

        if parallelism is not None:
            parallelism.limit(tf.config.threading)
        # The first operation starts the runtime, which has things to say too.
        tf.constant(0)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Undoes what libraries make of Ctrl-C while they are loaded: an ImportError."""
    try:
        yield
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise type(error.__cause__) from error
        raise


@contextmanager
def _quickly() -> Iterator[None]:
    """Spares the first import a fifth of its time, and later collections what they would search.

    Only the command imports TensorFlow this way: next to nothing is there before it that could
    become garbage later, and stay.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    was_enabled = gc.isenabled()
    # Next to nothing that an import makes is garbage.
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
