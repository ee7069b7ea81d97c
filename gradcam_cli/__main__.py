"""Where the process of the command begins and ends: ``gradcam``, ``python -m gradcam_cli``."""

from __future__ import annotations

import os
import sys

from gradcam_cli.errors import INTERRUPTED
from gradcam_cli.runtime.stderr import separate_stderr


def run() -> None:
    """Runs the command and leaves at once.

    Python would take TensorFlow apart object by object before it ends, which lasts about
    a quarter of its import, for nothing: every file is written and closed by then.
    """
    # All cores have pictures of their own: NumPy's threads would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code: str | int | None = 0
    try:
        separate_stderr()
        # Here, where Ctrl-C is waited for already.
        from gradcam_cli.cli import main

        main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        code = INTERRUPTED
    if isinstance(code, str):
        print(code, file=sys.stderr)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    # Nobody may be listening any more.
    except BrokenPipeError:
        pass
    os._exit(code if isinstance(code, int) else code is not None)


if __name__ == "__main__":
    run()
