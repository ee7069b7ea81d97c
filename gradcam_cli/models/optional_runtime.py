"""Imports the libraries that run other kinds of model files, which not everybody installs."""

from __future__ import annotations

import importlib
from typing import Any

from gradcam_cli.errors import ModelFileError, reason
from gradcam_cli.runtime.stderr import without_library_messages


def import_optional(module: str, needed: str, install: str) -> Any:
    """Imports a library.

    Args:
        module: Its module.
        needed: The start of an error message: the file, and what needs the library.
        install: The command that installs it.

    Returns:
        The module.

    Raises:
        ModelFileError: It isn't installed, or can't be imported.
    """
    try:
        with without_library_messages():
            return importlib.import_module(module)
    # A library that doesn't fit the others can raise any error.
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            raise ModelFileError(
                f"{needed} takes {error.name}, which is not installed: {install}"
            ) from error
        raise ModelFileError(
            f"{needed} takes {module}, which can't be imported ({reason(error)}): {install}"
        ) from error
