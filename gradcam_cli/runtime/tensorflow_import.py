"""Imports TensorFlow without its chatter, and for the command line in less time."""

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
from gradcam_cli.runtime.stderr import held_back_stderr, without_log_lines

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_NO_MESSAGES = "3"

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
        os.environ.setdefault(_LOG_LEVEL, _NO_MESSAGES)
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
