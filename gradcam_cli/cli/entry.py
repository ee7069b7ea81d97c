"""Where the process of the command begins and ends."""

from __future__ import annotations

import contextlib
import os
import sys

from gradcam_cli.cli import main
from gradcam_cli.cli.group import INTERRUPTED


def run() -> None:
    """Runs the command and leaves at once.

    Python would take TensorFlow apart object by object before it ends, which lasts about
    a quarter of its import, for nothing: every file is written and closed by then.
    """
    try:
        main()
        code: str | int | None = 0
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        code = INTERRUPTED
    if isinstance(code, str):
        print(code, file=sys.stderr)
    # Nobody may be listening any more.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else code is not None)
