"""Errors for users that Python code raises while TensorFlow runs it in a graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from gradcam_cli.errors import UnsupportedModelError

# TensorFlow keeps only the name and the text of an error that it doesn't know.
_RAISED = re.compile(rf"^(?:\w+\.)*{UnsupportedModelError.__name__}: (.+)$", re.MULTILINE)


@contextmanager
def errors_for_users() -> Iterator[None]:
    """Raises errors again that TensorFlow has turned into its own.

    Raises:
        UnsupportedModelError: The code in the graph raised it.
    """
    try:
        yield
    except tf.errors.UnknownError as error:
        raised = _RAISED.search(str(error))
        if raised is None:
            raise
        raise UnsupportedModelError(raised[1]) from error
