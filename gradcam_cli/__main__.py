"""The entry point of the command: ``gradcam`` and ``python -m gradcam_cli``."""

from __future__ import annotations

import os
import sys

from gradcam_cli.errors import GradcamError, ReaderGoneError, describe_interruption
from gradcam_cli.runtime.signals import heed_signals
from gradcam_cli.runtime.standard_streams import prepare_standard_streams
from gradcam_cli.runtime.stderr import separate_stderr


def run() -> None:
    """Runs the command and exits immediately.

    A normal exit would first destroy TensorFlow's objects one by one, which takes about a
    quarter of the time of its import. It isn't needed: every file is written and closed by then.
    """
    # Every core works on its own pictures, so threads of NumPy would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code: str | int | None = 0
    try:
        separate_stderr()
        prepare_standard_streams()
        heed_signals()
        # Imported here, where Ctrl-C is already handled.
        from gradcam_cli.cli import main

        main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt as interrupt:
        word, code = describe_interruption(interrupt)
        print(f"\n{word}.", file=sys.stderr)
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = GradcamError.exit_code
    try:
        sys.stdout.flush()
    except GradcamError as error:
        # The command may have reported it already.
        if not code and not isinstance(error, ReaderGoneError):
            print(f"Error: {error}", file=sys.stderr)
        code = code or error.exit_code
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    run()
