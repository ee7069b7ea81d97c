"""Imports TensorFlow without its messages, and for the command line in less time."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from gradcam_cli.errors import GradcamWarning
from gradcam_cli.runtime.cores import Parallelism
from gradcam_cli.runtime.lazy_imports import lazy_imports
from gradcam_cli.runtime.onednn import choose_onednn
from gradcam_cli.runtime.stderr import held_back_stderr, without_log_lines

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_NO_MESSAGES = "3"

# Keras uses these for drawing, for scikit-learn's interface and for training. They import
# scikit-learn and pandas where these are installed, which take a quarter of its import time.
# Nothing else may look for them in `sys.modules`, as Matplotlib does for IPython: before Python
# 3.12, two threads can't load the same module lazily.
_HARDLY_USED = (
    "keras._tf_keras.keras.wrappers",
    "keras.src.trainers.data_adapters.array_slicing",
    "keras.wrappers",
    "matplotlib.patches",
    "matplotlib.pyplot",
)


def import_tensorflow(show_messages: bool = False, parallelism: Parallelism | None = None) -> None:
    """Imports TensorFlow and Keras.

    Args:
        show_messages: Whether TensorFlow may write to standard error as usual.
        parallelism: The number of cores per batch and of parallel batches; None for all
            cores on one batch.
    """
    if not show_messages:
        os.environ.setdefault(_LOG_LEVEL, _NO_MESSAGES)
        # Keras warns about every layer that a file doesn't match; one error is enough.
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", GradcamWarning)
    choose_onednn()
    quiet = contextlib.nullcontext() if show_messages else held_back_stderr()
    with lazy_imports(_HARDLY_USED), _quickly(), quiet, _interruptible():
        import keras  # noqa: F401
        import tensorflow as tf

        if parallelism is not None:
            parallelism.limit(tf.config.threading)
        # The first operation starts the runtime, which prints messages too.
        tf.constant(0)


def import_for_programs() -> None:
    """Imports TensorFlow for a user's program or notebook, without its log lines.

    Nothing else changes there, neither the warnings nor the environment. If the user has imported
    TensorFlow already, it stays as it is; if they have set ``TF_CPP_MIN_LOG_LEVEL``, that holds.
    """
    if "tensorflow" in sys.modules:
        return
    choose_onednn()
    is_ours = _LOG_LEVEL not in os.environ
    level = os.environ.setdefault(_LOG_LEVEL, _NO_MESSAGES)
    try:
        # TensorFlow has written some lines before it reads the level.
        with without_log_lines(int(level) if level.isdecimal() else 0), _interruptible():
            import tensorflow as tf  # noqa: F401
    finally:
        # It is read once, on import, and is no business of the program's children.
        if is_ours:
            del os.environ[_LOG_LEVEL]


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
