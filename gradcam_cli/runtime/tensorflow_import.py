"""Imports TensorFlow for the command line, without its messages and in less time."""

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

# Keras imports these for two drawing functions, and they take a tenth of its import time.
_HARDLY_USED = ("matplotlib.patches", "matplotlib.pyplot")


def import_tensorflow(show_messages: bool = False, parallelism: Parallelism | None = None) -> None:
    """Imports TensorFlow and Keras.

    Args:
        show_messages: Whether TensorFlow may write to standard error as usual.
        parallelism: The number of cores per batch and of parallel batches; None for all
            cores on one batch.
    """
    if not show_messages:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Keras warns about every layer that a file doesn't match; one error is enough.
        warnings.simplefilter("ignore")
    choose_onednn()
    quiet = contextlib.nullcontext() if show_messages else held_back_stderr()
    with lazy_imports(_HARDLY_USED), _quickly(), quiet, _interruptible():
        import keras  # noqa: F401
        import tensorflow as tf

        if parallelism is not None:
            parallelism.limit(tf.config.threading)
        # The first operation starts the runtime, which prints messages too.
        tf.constant(0)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Restores Ctrl-C, which libraries turn into an ImportError while they are loaded."""
    try:
        yield
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise type(error.__cause__) from error
        raise


@contextmanager
def _quickly() -> Iterator[None]:
    """Speeds up the first import by a fifth, and later garbage collections.

    Only the command imports TensorFlow like this. There, almost nothing exists before the import
    that could become garbage later and would never be collected.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    was_enabled = gc.isenabled()
    # An import creates almost no garbage.
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
